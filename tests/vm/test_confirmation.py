"""Reports of real kernels, and forged ones that a module prints: the kernel's own numbers tell them apart."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

from tests.vm.conftest import Boot
from tests.vm.guest import Guest
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.product_client import Client, Series
from tests.vm.test_log import STEPS, WATCHDOGS

FORGE = "/sys/module/forge_mod/parameters"
CRASH = "/opt/modules/crash_mod.ko"
REMOVE = "rmmod crash_mod 2>/dev/null || true; "
STALLS = {
    "soft_lockup": "/sys/kernel/softlockup_count",
    "rcu_stall": "/sys/kernel/rcu_stall_count",
    "hung_task": "/proc/sys/kernel/hung_task_detect_count",
}
RECORDS = 100_000
RECORDS_OF_ONE = 12
FIRST = 1000
GROWTH_KIB = 4096


def started(guest: Guest, product: Product) -> Client:
    guest.install_kmodmon(product)
    client = Client(guest, guest.start_kmodmon())
    guest.shell("dmesg -n 1")  # the console of a guest is slow, and the kernel waits for it
    return client


def told(client: Client, module: str) -> list[tuple[object, object, object]]:
    """Class, severity and whether it is confirmed, of the reports that blame a module."""
    rows = client.rows(f"/api/v1/events?type=KernelReport&module={module}&limit=1000")
    fields = ((row, cast(Mapping[str, object], row["fields"])) for row in rows)
    return [(field["class"], row["severity"], field["confirmed"]) for row, field in fields]


def until_told(client: Client, module: str, timeout: float = 30) -> list[tuple[object, object, object]]:
    began = time.monotonic()
    client.until(lambda _: bool(told(client, module)), f"a report about {module}", timeout)
    print(f"{module}: told within {time.monotonic() - began:.1f} s")
    return told(client, module)


def test_reports_when_they_are_real_then_the_kernels_own_numbers_confirm_them(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = started(boot(kernel, fresh=True), kmodmon)
    guest = client.guest
    # After an oops the kernel looks for no hung tasks any more.
    for kind, counter in STALLS.items():
        guest.shell(f"{WATCHDOGS}{REMOVE}insmod {CRASH} kind={kind} seconds=12", timeout=120)
        counted = guest.shell(f"test -e {counter}", check=False).code == 0
        confirmed = until_answered(client, "crash_mod", kind, timeout=120)
        # L is set by the first soft lockup; the others set no bit
        assert confirmed is (True if counted or kind == "soft_lockup" else None), (kind, counter)
    for step in STEPS:
        guest.shell(step.script)
        until_answered(client, step.module, step.report_class)
    assert told(client, "warn_mod") == [("warning", "warning", True)]
    assert told(client, "oops_mod") == [("oops", "critical", True)]
    assert ("refcount", True) in answers(client)
    assert {confirmed for _, confirmed in answers(client)} <= {True, None}
    series = client.scrape()
    assert series.get("kmodmon_kernel_log_forged_total") == 0
    assert _unconfirmed(series) == 0


def answers(client: Client) -> set[tuple[object, object]]:
    """Class of each report that was told, and whether it is confirmed."""
    fields = (cast(Mapping[str, object], row["fields"]) for row in client.rows("/api/v1/reports"))
    return {(field["class"], field["confirmed"]) for field in fields}


def until_answered(client: Client, module: str, report_class: str, timeout: float = 30) -> object:
    """Wait for a report of a class that blames a module; whether it is confirmed."""

    def mine() -> list[object]:
        return [confirmed for kind, _, confirmed in told(client, module) if kind == report_class]

    client.until(lambda _: bool(mine()), f"{report_class} of {module}", timeout)
    return mine()[0]


def test_reports_when_they_are_forged_in_the_kernels_own_records_then_nobody_is_woken(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = started(boot(kernel, fresh=True), kmodmon)
    guest = client.guest
    guest.insmod("forge_mod")
    before = guest.read("/sys/kernel/oops_count")
    guest.shell(f"echo innocent >{FORGE}/oops")
    assert until_told(client, "innocent") == [("oops", "warning", False)]
    guest.shell(f"echo 'Kernel panic - not syncing: Attempted to kill init!' >{FORGE}/line")
    series = client.until(lambda now: _unconfirmed(now) == 2, "the panic that was none")
    assert guest.read("/sys/kernel/oops_count") == before
    assert series.get("kmodmon_kernel_log_forged_total") == 2
    assert series.labels("kmodmon_kernel_report_timestamp_seconds") == [], "what the critical alerts read"
    reports = {key: value for key, value in series.values.items() if key[0] == "kmodmon_kernel_reports_total"}
    assert set(reports.values()) == {0}
    client.until_rows("/api/v1/events?type=LogForged")
    assert "Unconfirmed: " in client.command("status")[1]
    assert "Unconfirmed: " in client.command("events", "--type", "KernelReport")[1]
    # A real one afterwards is believed, although its bit D and its counter tell of one only.
    guest.insmod("oops_mod")
    assert until_told(client, "oops_mod") == [("oops", "critical", True)]


def _unconfirmed(series: Series) -> float:
    name = "kmodmon_kernel_reports_unconfirmed_total"
    return sum(value for (family, _), value in series.values.items() if family == name)


def test_reports_when_100000_records_are_forged_around_a_real_one_then_it_is_told_and_nothing_is_lost(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = started(boot(kernel, "log_buf_len=64M", fresh=True), kmodmon)
    guest = client.guest
    guest.insmod("hello_unsigned")
    guest.insmod("forge_mod")
    guest.shell(f"echo {FIRST} >{FORGE}/oopses", timeout=60)  # what is bounded is full then
    patiently(client, lambda now: _unconfirmed(now) == FIRST, "the first forgeries")
    events = client.rows("/api/v1/events?limit=1000")
    before = client.pss_kib()
    guest.background("flood", "sh", "-c", f"echo {RECORDS // RECORDS_OF_ONE} >{FORGE}/oopses")
    guest.insmod("oops_mod")
    guest.until("! systemctl is-active flood", timeout=300)
    last = guest.shell("dmesg | tail -n 1 | cut -c 1-40").text  # the ring holds all of the flood
    print(f"{kernel.release}: the flood ended: {last}")
    patiently(client, lambda _: bool(believed(client)), "the real report")
    # Without the task or CPU of each record, reports that are printed at the same time cannot be told apart.
    if b"caller=" in guest.shell("dd if=/dev/kmsg bs=8192 count=1").stdout:
        assert believed(client) == ["oops_mod"]
    patiently(client, lambda now: _unconfirmed(now) > FIRST + RECORDS // RECORDS_OF_ONE // 2, "the forgeries")
    assert client.scrape().get("kmodmon_kernel_log_lost_total") == 0
    time.sleep(10)  # what was held is decided
    after = client.pss_kib()
    print(f"{kernel.release}: {before} KiB before, {after} KiB after")
    assert after - before < GROWTH_KIB
    kept = {row["id"] for row in client.rows("/api/v1/events?limit=1000")}
    assert {row["id"] for row in events} <= kept, "every event from before"
    assert len(kept) < 600, "the flood did not fill the history"


def believed(client: Client) -> list[object]:
    """The modules that confirmed reports blame."""
    rows = client.rows("/api/v1/events?type=KernelReport&limit=1000")
    return [row["module"] for row in rows if cast(Mapping[str, object], row["fields"])["confirmed"]]


def patiently(client: Client, holds: Callable[[Series], bool], what: str) -> None:
    """Scrape until something holds; an emulated guest in a flood may take longer for an answer than a client waits."""
    deadline = time.monotonic() + 600
    while True:
        with suppress(TimeoutError):
            if holds(client.scrape()):
                return
        assert time.monotonic() < deadline, f"not within 600 s: {what}"
        time.sleep(1)


def test_refusals_when_50000_are_forged_then_a_hundred_are_told_and_roots_own_is_among_the_told(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = started(boot(kernel, "log_buf_len=64M", fresh=True), kmodmon)
    guest = client.guest
    guest.insmod("forge_mod")
    client.until(lambda now: bool(now.labels("kmodmon_module_load_timestamp_seconds")), "the load")
    guest.shell(f"echo 50000 >{FORGE}/refusals", timeout=120)
    client.until(
        lambda now: (now.get("kmodmon_module_load_failures_total", reason="blacklisted") or 0) >= 50_000,
        "every refusal to be counted",
        timeout=120,
    )
    assert guest.insmod("bad_symbol_mod", check=False).code != 0
    client.until(
        lambda _: any(row["module"] == "bad_symbol_mod" for row in _failures(client)), "root's own refusal", timeout=30
    )
    assert len(_failures(client)) <= 110
    assert [row["module"] for row in client.rows("/api/v1/events?type=ModuleLoaded")] == ["forge_mod"]
    left_out = client.scrape().get("kmodmon_events_suppressed_total", type="ModuleLoadFailed")
    assert left_out is not None and left_out >= 49_900


def _failures(client: Client) -> list[dict[str, object]]:
    return client.rows("/api/v1/events?type=ModuleLoadFailed&limit=1000")
