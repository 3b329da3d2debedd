"""The whole chain: a kernel, kmodmon under its unit, Prometheus with the shipped rules, Alertmanager with the example.

Prometheus scrapes and evaluates every 15 seconds. What happens in the guest must be in Alertmanager within a scrape, an
evaluation and five seconds. One guest, scenarios in sequence; the daemon is stopped at the end.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from grafana.src.generate import ROOT
from kmodmon.types.units import JsonObject, JsonValue
from tests.dashboards.lint import ROOM, load, member, objects, panels, queries
from tests.promql import filled
from tests.servers import Server, alertmanager, prometheus, until
from tests.vm import kernels
from tests.vm.conftest import Boot
from tests.vm.guest import MODULES, Guest
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.product_client import Client

SCRAPE, EVALUATION, MARGIN = 15, 15, 5
IN_TIME = SCRAPE + EVALUATION + MARGIN
CLEARS_AFTER = 20 * 60 + SCRAPE + EVALUATION + MARGIN
# What is polled seldom by default is polled often here: how long a poll takes is not what is tried.
CONFIG = "[poll]\nparameters = '5s'\ncrossview = '5s'\n"
INSTANCE = "guest:10069"
VARIABLES = {"$job": "kmodmon", "$instance": ".+", "$module": ".+"}
ZERO = " or vector(0)"
EMPTY: Mapping[str, str] = {
    "Hosts silent": "the guest answers",
    "Secure Boot": "the guest has no EFI",
    "Hosts that drifted": "the guest has no baseline",
    "Drift by kind": "the guest has no baseline",
    "Modules missing": "no module is expected on it",
    "Rare modules": "one guest is no fleet",
    "Hosts with other code than on disk": "its modules are those on its disk",
    "Reboots due": "it runs the newest kernel that it has",
    "Reports of earlier boots": "it has no pstore",
    "Sources failing": "every source that is there can be read",
    "Histories failing": "the history can be written",
    "Settings refused": "the settings are right",
}
"""Panels that have nothing to show of this guest, and why."""
COLUMNS: Mapping[str, str] = {"kmodmon_secure_boot": "the guest has no EFI"}
"""Queries of other panels that have nothing to show of it, by their metric, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The guest's kmodmon, what scrapes it, and what is told."""

    client: Client
    prometheus: Server
    manager: Server

    @property
    def guest(self) -> Guest:
        """The guest."""
        return self.client.guest

    def alerts(self) -> list[JsonObject]:
        """What Alertmanager holds, muted or not."""
        return list(objects(self.manager.get("/api/v2/alerts")))

    def find(self, name: str, **labels: str) -> JsonObject | None:
        """An alert that Alertmanager holds."""
        for alert in self.alerts():
            given = member(alert["labels"])
            if given["alertname"] == name and all(given.get(key) == value for key, value in labels.items()):
                return alert
        return None

    def arrives(self, began: float, name: str, **labels: str) -> JsonObject:
        """Wait for an alert and say how long after `began` it came; raises AssertionError when it is late."""
        alert = until(lambda: self.find(name, **labels), f"{name} {labels}", timeout=IN_TIME + 30)
        took = time.monotonic() - began
        print(f"{name} {labels}: {took:.1f} s")
        assert took <= IN_TIME, f"{name} came after {took:.1f} s"
        return alert

    def after_a_scrape(self) -> None:
        """Wait until a scrape has just ended, so that what follows lies between two."""

        def last() -> JsonValue:
            (target,) = objects(member(self.prometheus.data("/api/v1/targets"))["activeTargets"])
            return target["lastScrape"]

        before = last()
        until(lambda: last() != before, "a scrape", timeout=60, pause=0.2)


@contextmanager
def chain(client: Client, directory: Path) -> Iterator[Chain]:
    """Prometheus and Alertmanager over a guest."""
    with alertmanager((ROOT / "grafana/alertmanager.yml").read_text(), directory) as manager:
        config = f"""
global: {{scrape_interval: {SCRAPE}s, evaluation_interval: {EVALUATION}s}}
rule_files: ["{ROOT}/grafana/alerts/*.rules.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{manager.url.removeprefix("http://")}"]}}]}}]}}
scrape_configs:
  - job_name: kmodmon
    static_configs: [{{targets: ["{client.url.removeprefix("http://")}"], labels: {{instance: "{INSTANCE}"}}}}]
"""
        with prometheus(config, directory) as server:
            until(lambda: server.query("up == 1"), "the first scrape")
            yield Chain(client=client, prometheus=server, manager=manager)


def started(guest: Guest, product: Product) -> Client:
    guest.install_kmodmon(product)
    return Client(guest, guest.start_kmodmon(CONFIG))


def transient_module(chain: Chain) -> None:
    """An unsigned module is loaded and removed at once, between two scrapes."""
    chain.after_a_scrape()
    chain.guest.shell(f"insmod {MODULES}/hello_unsigned.ko; rmmod hello_unsigned")
    began = time.monotonic()
    alert = chain.arrives(began, "KmodUnsignedModuleLoaded", module="hello_unsigned", actor="insmod")
    assert "insmod loaded it" in str(member(alert["annotations"])["description"])
    assert not chain.prometheus.query('kmodmon_module_size_bytes{module="hello_unsigned"}')
    taint = until(lambda: chain.find("KmodTaintSecurity", cause="module:hello_unsigned"), "the taint's alert")
    assert state(chain, taint) == "suppressed"


def warning(chain: Chain) -> None:
    """A module makes the kernel warn."""
    chain.guest.insmod("warn_mod", check=False)
    began = time.monotonic()
    chain.arrives(began, "KmodKernelWarning", signature="warning")
    chain.arrives(began, "KmodTaintDegraded", flag="warning")
    taint = until(lambda: chain.find("KmodTaintDegraded", flag="warning"), "the taint's alert")
    assert (member(taint["labels"])["cause"], state(chain, taint)) == ("report:warning", "suppressed")


def asked(chain: Chain) -> None:
    """Root has the kernel ask for a module: shown, and nobody is woken."""
    chain.guest.shell("ip link add kmod0 type dummy && ip link del kmod0")
    until(lambda: chain.prometheus.query('kmodmon_module_request_timestamp_seconds{user="root"}'), "the request")


def parameter(chain: Chain) -> None:
    """A parameter of a loaded module is changed."""
    chain.guest.insmod("params_mod", "slow_ms=0")
    chain.client.until(
        lambda seen: seen.get("kmodmon_module_parameter", module="params_mod", parameter="int_rw") is not None,
        "the parameter to be read",
        timeout=60,
    )
    chain.guest.write("/sys/module/params_mod/parameters/int_rw", "7")
    chain.client.until(
        lambda seen: seen.get("kmodmon_module_parameter", module="params_mod", parameter="int_rw") == 7,
        "the sweep after the change",
        timeout=60,
    )
    began = time.monotonic()
    chain.arrives(began, "KmodModuleParameterChanged", module="params_mod", parameter="int_rw")


def hidden(chain: Chain) -> None:
    """A module takes itself out of the module list; the views are compared every five seconds."""
    hides = time.monotonic()
    chain.guest.insmod("hidden_mod", "mode=1", "seconds=600")
    chain.client.until(
        lambda seen: any(row["module"] == "hidden_mod" for row in seen.labels("kmodmon_module_hidden")),
        "the module to be found",
        timeout=30,
    )
    began = time.monotonic()
    print(f"found after {began - hides:.1f} s")
    chain.arrives(began, "KmodModuleHidden", module="hidden_mod")


def oops(chain: Chain) -> None:
    """The kernel crashes in a thread of a module."""
    chain.guest.insmod("oops_mod")
    began = time.monotonic()
    chain.arrives(began, "KmodKernelOops", module="oops_mod")
    taint = until(lambda: chain.find("KmodTaintSecurity", flag="die"), "the taint's alert")
    assert state(chain, taint) == "suppressed"


def refused(chain: Chain) -> None:
    """Lockdown is raised, and an unsigned module refused."""
    chain.guest.write("/sys/kernel/security/lockdown", "integrity")
    assert chain.guest.insmod("hello_unsigned", check=False).code != 0
    began = time.monotonic()
    chain.arrives(began, "KmodModuleLoadRefused", reason="lockdown")


def stopped(chain: Chain) -> None:
    """The daemon is stopped; what is critical stays heard."""
    chain.guest.run("systemctl", "stop", "kmodmon")
    began = time.monotonic()
    chain.arrives(began, "KmodmonDown", instance=INSTANCE)
    oops = until(lambda: chain.find("KmodKernelOops", module="oops_mod"), "the alert about the crash")
    assert state(chain, oops) == "active"


def state(chain: Chain, alert: JsonObject) -> str:
    """Whether an alert gets through: `active`, or `suppressed` by another one."""
    labels = member(alert["labels"])
    name, others = str(labels["alertname"]), {key: str(value) for key, value in labels.items() if key != "alertname"}
    now = chain.find(name, **others)
    assert now is not None
    return str(member(now["status"])["state"])


SCENARIOS: tuple[Callable[[Chain], None], ...] = (transient_module, warning, asked, parameter, hidden, oops, refused)


@pytest.fixture
def bookworm() -> Kernel:
    return kernels.kernel("bookworm")


def test_chain_when_things_happen_in_the_kernel_then_their_alerts_arrive_in_time(
    bookworm: Kernel, boot: Boot, kmodmon: Product, tmp_path: Path
) -> None:
    with chain(started(boot(bookworm, fresh=True), kmodmon), tmp_path) as links:
        time.sleep(SCRAPE + 2 * EVALUATION)
        assert links.alerts() == []
        for scenario in SCENARIOS:
            scenario(links)
        ask_every_panel(links)
        (series,) = links.prometheus.query("scrape_samples_scraped")
        (modules,) = links.prometheus.query('sum(kmodmon_modules{state="live"})')
        print(f"{series.value:.0f} series for {modules.value:.0f} modules")
        stopped(links)


def ask_every_panel(links: Chain) -> None:
    """Every query of every dashboard gives data while all this is going on, or says why it has none."""
    empty = {
        str(panel["title"])
        for path in sorted(ROOM.glob("*.json"))
        for panel in panels(load(path))
        for query in queries(panel)
        if not any(metric in str(query["expr"]) for metric in COLUMNS)
        and not links.prometheus.query(filled(str(query["expr"]), VARIABLES).removesuffix(ZERO))
    }
    assert empty <= set(EMPTY), empty - set(EMPTY)


@pytest.mark.soak
def test_chain_when_a_stock_host_boots_and_runs_then_nobody_is_told_anything(
    bookworm: Kernel, boot: Boot, kmodmon: Product, tmp_path: Path
) -> None:
    with chain(started(boot(bookworm, fast=False), kmodmon), tmp_path) as links:
        until_then = time.monotonic() + 600
        while time.monotonic() < until_then:
            assert links.alerts() == []
            time.sleep(EVALUATION)


@pytest.mark.soak
def test_alert_when_nothing_happens_any_more_then_it_clears_as_its_runbook_says(
    bookworm: Kernel, boot: Boot, kmodmon: Product, tmp_path: Path
) -> None:
    with chain(started(boot(bookworm, fresh=True), kmodmon), tmp_path) as links:
        transient_module(links)
        began = time.monotonic()
        until(lambda: links.find("KmodUnsignedModuleLoaded") is None, "the alert to clear", CLEARS_AFTER + 60, pause=5)
        assert 15 * 60 < time.monotonic() - began <= CLEARS_AFTER
