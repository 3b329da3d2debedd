"""The dashboard of kmodmon itself: its sources, what it lost, and what it costs."""

from grafana.src.dashboards.dashboard import SELF, Dashboard, PanelRow
from grafana.src.dashboards.panel import (
    ALWAYS_GOOD,
    BAD,
    BAD_FROM_ONE,
    GOOD,
    NEUTRAL,
    FieldStyle,
    Query,
    TableColumn,
    TableOptions,
    bar_gauge,
    stat,
    state_timeline,
    table,
    timeseries,
)
from grafana.src.dashboards.queries import count_or_zero, increase_per_step, increase_query, select, sum_query

_SUMMARY = PanelRow(
    title="At a glance",
    panels=(
        stat(
            "Answering",
            "Daemons that answered the last scrape.",
            count_or_zero(f"{select('up')} == 1"),
            FieldStyle(steps=((None, BAD), (1, GOOD))),
        ),
        stat(
            "Sources failing",
            "Interfaces that are there and cannot be read.",
            count_or_zero(f"{select('kmodmon_source_up')} == 0"),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Histories failing",
            "Daemons that cannot write their history.",
            count_or_zero(f"{select('kmodmon_history_up')} == 0"),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Settings refused",
            "Daemons whose settings file has an error; the earlier settings are in force.",
            count_or_zero(f"{select('kmodmon_config_last_reload_successful')} == 0"),
            FieldStyle(steps=BAD_FROM_ONE),
        ),
        stat(
            "Largest memory",
            "Resident memory of the largest daemon.",
            f"max({select('process_resident_memory_bytes')})",
            FieldStyle(unit="bytes", steps=ALWAYS_GOOD),
        ),
        stat(
            "Busiest",
            "Share of one processor that the busiest daemon takes.",
            f"max(rate({select('process_cpu_seconds_total')}[$__rate_interval]))",
            FieldStyle(unit="percentunit", steps=ALWAYS_GOOD),
        ),
        stat(
            "Slowest scrape",
            "Time that the slowest scrape takes.",
            f"max({select('scrape_duration_seconds')})",
            FieldStyle(unit="s", steps=ALWAYS_GOOD),
        ),
        stat(
            "Most series",
            "Series of the host that has most.",
            f"max({select('scrape_samples_scraped')})",
            FieldStyle(steps=ALWAYS_GOOD),
        ),
    ),
)
_SOURCES = PanelRow(
    title="Sources",
    panels=(
        state_timeline(
            "Sources over time",
            "Whether each interface could be read. One that the kernel does not offer is not shown.",
            Query(expr=f"min by (source) ({select('kmodmon_source_up')})", legend="{{source}}"),
            FieldStyle(mappings={"0": ("failing", BAD), "1": ("read", GOOD)}, no_value="Nothing is read"),
            width=12,
            height=10,
        ),
        table(
            "Sources now",
            "Each interface: whether it is there, whether it can be read, and what in it could not. `kmodmon doctor` "
            "says what to change.",
            (
                f"max by (instance, source) ({select('kmodmon_source_present')})",
                f"max by (instance, source) ({select('kmodmon_source_up')})",
                f"max by (instance, source) ({select('kmodmon_source_unreadable')})",
                f"time() - max by (instance, source) ({select('kmodmon_source_last_read_timestamp_seconds')})",
            ),
            (
                TableColumn(source="instance", title="Host"),
                TableColumn(source="source", title="Source"),
                TableColumn(
                    source="Value #A",
                    title="There",
                    style=FieldStyle(mappings={"0": ("no", NEUTRAL), "1": ("yes", GOOD)}),
                ),
                TableColumn(
                    source="Value #B",
                    title="Read",
                    style=FieldStyle(mappings={"0": ("failing", BAD), "1": ("yes", GOOD)}),
                ),
                TableColumn(source="Value #C", title="Unreadable"),
                TableColumn(source="Value #D", title="Last read", style=FieldStyle(unit="s")),
            ),
            TableOptions(no_value="No daemon answers", width=12, height=10, sort="Source"),
        ),
        timeseries(
            "Lost",
            "Records, datagrams and trace events that the kernel dropped before they were read, and events that the "
            "history or the journal did not take. All should be 0.",
            (
                Query(expr=f"sum by (source) ({increase_per_step('kmodmon_source_lost_total')})", legend="{{source}}"),
                increase_query("kmodmon_history_lost_total", "history"),
                increase_query("kmodmon_journal_lost_total", "journal"),
            ),
            FieldStyle(no_value="No daemon answers"),
            bars=True,
        ),
        timeseries(
            "Events",
            "What happened, by type.",
            (sum_query("type", increase_per_step("kmodmon_events_total")),),
            FieldStyle(no_value="Nothing happened"),
            bars=True,
        ),
    ),
)
_COST = PanelRow(
    title="Cost",
    panels=(
        timeseries(
            "Memory",
            "Resident memory of each daemon.",
            (Query(expr=select("process_resident_memory_bytes"), legend="{{instance}}"),),
            FieldStyle(unit="bytes", no_value="No daemon answers"),
            width=8,
        ),
        timeseries(
            "Processor",
            "Share of one processor that each daemon takes.",
            (Query(expr=f"rate({select('process_cpu_seconds_total')}[$__rate_interval])", legend="{{instance}}"),),
            FieldStyle(unit="percentunit", no_value="No daemon answers"),
            width=8,
        ),
        timeseries(
            "Open files",
            "File descriptors of each daemon.",
            (Query(expr=select("process_open_fds"), legend="{{instance}}"),),
            FieldStyle(no_value="No daemon answers"),
            width=8,
        ),
        timeseries(
            "Series",
            "Series that each scrape gives: what a host costs Prometheus.",
            (Query(expr=select("scrape_samples_scraped"), legend="{{instance}}"),),
            FieldStyle(no_value="No daemon answers"),
            width=8,
        ),
        timeseries(
            "Scrape time",
            "How long each scrape takes, reading included.",
            (Query(expr=select("scrape_duration_seconds"), legend="{{instance}}"),),
            FieldStyle(unit="s", no_value="No daemon answers"),
            width=8,
        ),
        timeseries(
            "History",
            "Size of each history on disk.",
            (Query(expr=select("kmodmon_history_size_bytes"), legend="{{instance}}"),),
            FieldStyle(unit="bytes", no_value="No daemon answers"),
            width=8,
        ),
    ),
)
_HTTP = PanelRow(
    title="HTTP and versions",
    panels=(
        timeseries(
            "Requests",
            "Requests answered, and those that were refused, too slow, too many, unauthorised, malformed or failed.",
            (
                increase_query("kmodmon_http_requests_total", "answered"),
                increase_query("kmodmon_http_rejected_total", "no room"),
                increase_query("kmodmon_http_timeouts_total", "too slow"),
                increase_query("kmodmon_http_auth_failures_total", "unauthorised"),
                increase_query("kmodmon_http_rate_limited_total", "too many"),
                increase_query("kmodmon_http_bad_requests_total", "not HTTP"),
                increase_query("kmodmon_http_handshake_failures_total", "no TLS"),
                increase_query("kmodmon_http_accept_errors_total", "no descriptor"),
                increase_query("kmodmon_http_handler_errors_total", "failed"),
            ),
            FieldStyle(no_value="No daemon answers"),
            bars=True,
            width=16,
        ),
        bar_gauge(
            "Versions",
            "How many hosts run each version of kmodmon.",
            Query(expr=f"count by (version) ({select('kmodmon_build_info')})", legend="{{version}}"),
            FieldStyle(no_value="No daemon answers"),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid=SELF,
    title="kmodmon / Itself",
    description="Whether kmodmon sees what it should, what it lost, and what it costs.",
    rows=(_SUMMARY, _SOURCES, _COST, _HTTP),
)
