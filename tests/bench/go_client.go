// Serves as many gauge series as asked for through client_golang, made anew at each scrape as exporters do: the peer for
// the cost of a scrape.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type modules struct {
	families int
	each     int
	descs    []*prometheus.Desc
}

func (m *modules) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range m.descs {
		ch <- desc
	}
}

func (m *modules) Collect(ch chan<- prometheus.Metric) {
	for index, desc := range m.descs {
		for number := 0; number < m.each; number++ {
			name := fmt.Sprintf("module_%05d", number)
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(index*number), name)
		}
	}
}

func main() {
	series, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	collector := &modules{families: 10, each: series / 10}
	for index := 0; index < collector.families; index++ {
		name := fmt.Sprintf("bench_family_%d", index)
		collector.descs = append(collector.descs, prometheus.NewDesc(name, "A family.", []string{"module"}, nil))
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	log.Fatal(http.Serve(listener, nil))
}
