"""What stock kernels say, heard by the daemon as it is shipped: each report told once, each record counted once."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.vm.conftest import Boot
from tests.vm.guest import Guest
from tests.vm.kernels import Kernel
from tests.vm.lab import GUEST_FILES
from tests.vm.product import Product
from tests.vm.product_client import Client, Series

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
WATCHDOGS = """sysctl -qw kernel.watchdog_thresh=2
sysctl -qw kernel.hung_task_timeout_secs=3 kernel.hung_task_check_interval_secs=1 kernel.hung_task_warnings=-1
echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout
"""
RAMOOPS_AT, RAMOOPS_SIZE = 0x30000000, 0x100000
RAMOOPS = f"modprobe ramoops mem_address={RAMOOPS_AT} mem_size={RAMOOPS_SIZE} record_size=131072 console_size=0"
KILLS, SOAK_KILLS = 15, 200


def start(guest: Guest, product: Product) -> Client:
    if guest.run("test", "-e", "/usr/bin/kmodmon", check=False).code != 0:
        guest.install_kmodmon(product)
        guest.push([GUEST_FILES / "kmsg_truth.py"], "/root")
    return Client(guest, guest.start_kmodmon())


def reports(client: Client) -> list[tuple[object, object]]:
    """Class and module of the reports told, oldest first."""
    return [(_fields(row)["class"], row["module"]) for row in reversed(client.rows("/api/v1/reports"))]


def events(client: Client, kind: str) -> list[dict[str, object]]:
    return client.rows(f"/api/v1/events?type={kind}&limit=1000")


def _fields(row: Mapping[str, object]) -> Mapping[str, object]:
    return cast(Mapping[str, object], row["fields"])


def causes(client: Client) -> dict[object, object]:
    """Cause of each taint bit that was added while the daemon ran, by letter."""
    return {_fields(row)["letter"]: _fields(row)["cause"] for row in events(client, "TaintAdded")}


def until_reported(client: Client, module: str | None, report_class: str, timeout: float = 30) -> None:
    client.until(lambda series: (report_class, module) in reports(client), f"{report_class} of {module}", timeout)


# Each report once, with its module


@dataclass(frozen=True, slots=True)
class Step:
    """A command in the guest, and the class and module of the report that it is to give."""

    script: str
    report_class: str
    module: str


def _crash(kind: str) -> str:
    return f"rmmod crash_mod 2>/dev/null || true; insmod /opt/modules/crash_mod.ko kind={kind}"


STEPS = (
    Step("insmod /opt/modules/warn_mod.ko", "warning", "warn_mod"),
    Step("insmod /opt/modules/oops_mod.ko", "oops", "oops_mod"),
    Step(_crash("refcount_underflow"), "refcount", "crash_mod"),
    Step(_crash("atomic_sleep"), "atomic_sleep", "crash_mod"),
    Step(_crash("list_del_twice"), "corruption", "crash_mod"),
)
REFUSALS = (
    ("bad_symbol_mod", "unknown_symbol", "bad_symbol_mod"),
    ("wrong_vermagic", "version_magic", "hello_unsigned"),
    ("ns_user", "namespace", "ns_user"),
    ("not_elf", "bad_format", None),
)


def test_log_when_modules_break_then_each_is_told_once_with_its_module_and_cause(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    before = client.scrape()
    assert reports(client) == [], "a clean boot reports nothing"
    assert events(client, "ModuleLoadFailed") == []
    assert before.get("kmodmon_kernel_reports_total", signature="warning") == 0
    for step in STEPS:
        client.guest.shell(step.script)
        until_reported(client, step.module, step.report_class)
    for module in ("stack_a", *(file for file, _, _ in REFUSALS)):
        client.guest.insmod(module, check=False)
    client.until(lambda _: len(events(client, "ModuleLoadFailed")) >= len(REFUSALS), "refusals")
    told = Counter(reports(client))
    assert {step: told[step.report_class, step.module] for step in STEPS} == dict.fromkeys(STEPS, 1), told
    assert [(_fields(row)["reason"], row["module"]) for row in events(client, "ModuleLoadFailed")] == [
        (reason, module) for _, reason, module in REFUSALS
    ]
    client.until(lambda _: {"W", "D", "O", "E"} <= causes(client).keys(), "the cause of each flag")
    found = causes(client)
    assert (found["W"], found["D"]) == ("report:warning", "report:null_pointer")
    assert (found["O"], found["E"]) == ("module:warn_mod", "module:warn_mod")
    assert "unexplained" not in str(found)
    after, _ = agreed(client)
    assert after.get("kmodmon_kernel_report_timestamp_seconds", signature="warning", module="warn_mod") is not None
    assert after.get("kmodmon_module_load_failures_total", reason="unknown_symbol") == 1
    assert_counts(client)


def test_log_when_a_module_oopses_in_its_init_then_it_is_the_module_at_fault(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm, fresh=True), kmodmon)
    client.guest.insmod("oops_mod", "where=2", check=False)
    until_reported(client, "oops_mod", "oops")
    client.until(lambda _: causes(client).get("D") == "report:null_pointer", "the cause of D")


def test_log_when_the_kernel_was_tainted_before_our_start_then_the_ring_tells_why(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    guest.insmod("hello_unsigned")
    guest.insmod("warn_mod")
    client = start(guest, kmodmon)
    until_reported(client, "warn_mod", "warning")
    client.until(lambda _: "report:warning" in client.command("taint")[1], "the ledger", timeout=60)
    ledger = client.command("taint")[1]
    assert "module:hello_unsigned" in ledger and "before-start" not in ledger, ledger
    assert events(client, "TaintAdded") == []


@pytest.mark.parametrize(
    ("option", "reason"), [("lockdown=integrity", "lockdown"), ("module.sig_enforce=1", "unsigned")]
)
def test_log_when_an_unsigned_module_is_refused_then_the_reason_is_told(
    option: str, reason: str, bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm, option), kmodmon)
    before = len(events(client, "ModuleLoadFailed"))
    for attempt in (1, 2):  # each attempt of root's is told
        assert client.guest.insmod("hello_unsigned", check=False).code != 0
        path = "/api/v1/events?type=ModuleLoadFailed&limit=1000"
        row, *earlier = client.until_rows(path, before + attempt)  # newest first
        assert len(earlier) == before + attempt - 1
        assert (_fields(row)["reason"], row["module"]) == (reason, None)


STALLS = ("soft_lockup", "hung_task", "rcu_stall")


def stalled(client: Client, kind: str) -> None:
    client.guest.shell(f"{WATCHDOGS}insmod /opt/modules/crash_mod.ko kind={kind} seconds=12", timeout=120)
    until_reported(client, "crash_mod", kind, timeout=120)
    assert Counter(reports(client))[kind, "crash_mod"] == 1
    if kind == "soft_lockup":
        client.until(lambda _: causes(client).get("L") == "report:soft_lockup", "the cause of L", timeout=60)


@pytest.mark.parametrize("kind", STALLS)
def test_log_when_something_stalls_then_it_is_told(kind: str, bookworm: Kernel, boot: Boot, kmodmon: Product) -> None:
    stalled(start(boot(bookworm, fresh=True), kmodmon), kind)


@pytest.mark.soak
@pytest.mark.parametrize("kind", STALLS)
def test_log_when_something_stalls_on_any_kernel_then_it_is_told(
    kind: str, kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    stalled(start(boot(kernel, fresh=True), kmodmon), kind)


# Counting


def total(series: Series) -> int:
    """Records read and lost."""
    read = sum(value for (name, _), value in series.values.items() if name == "kmodmon_kernel_log_records_total")
    return int(read + (series.get("kmodmon_kernel_log_lost_total") or 0))


@dataclass(frozen=True, slots=True)
class Truth:
    """What the second reader counted: first and last sequence number, numbers missing between, records by level."""

    first: int
    last: int
    missing: int
    counts: Mapping[str, int]


def parsed(text: str) -> Truth | None:
    """What the second reader printed last; None: it counted no record."""
    line = cast(Mapping[str, object], json.loads(text.splitlines()[-1]))
    if line["last"] is None:
        return None
    first, last, missing = (int(str(line[key])) for key in ("first", "last", "missing"))
    return Truth(first, last, missing, cast(Mapping[str, int], line["counts"]))


def truth(guest: Guest) -> Truth:
    """What the second reader counts in the ring now."""
    ring = parsed(guest.run("python3", "/root/kmsg_truth.py", "--now").text)
    assert ring is not None
    return ring


def continued(guest: Guest, earlier: Truth) -> Truth:
    """An earlier count and what was written to the ring since."""
    later = parsed(guest.run("python3", "/root/kmsg_truth.py", "--now", "--after", str(earlier.last)).text)
    if later is None:
        return earlier
    missing = earlier.missing + later.first - earlier.last - 1 + later.missing
    return Truth(earlier.first, later.last, missing, Counter(earlier.counts) + Counter(later.counts))


def agreed(client: Client, earlier: Truth | None = None, timeout: float = 60) -> tuple[Series, Truth]:
    """A scrape that counts every record of the ring, and the ring's count.

    The kernel may write a record between the two readings, so both are taken until no record lies between them.
    """
    rings: list[Truth] = []

    def same(now: Series) -> bool:
        rings[:] = [truth(client.guest) if earlier is None else continued(client.guest, earlier)]
        return total(now) == rings[0].last + 1

    return client.until(same, "all records read", timeout), rings[0]


def assert_counts(client: Client) -> None:
    """The daemon counted as many records as the second reader, which has them all if the ring lost none."""
    series, ring = agreed(client)
    assert (ring.first, ring.missing) == (0, 0), "the ring is too small for this test"
    assert_levels(series, ring.counts)
    assert series.get("kmodmon_kernel_log_lost_total") == 0


def assert_levels(series: Series, counts: Mapping[str, int]) -> None:
    for key, expected in counts.items():
        level, _, origin = key.partition("/")
        counted = series.get("kmodmon_kernel_log_records_total", level=LEVELS[int(level)], origin=origin)
        assert counted == expected, f"{key}: {counted}, and the kernel wrote {expected}"


def test_log_when_user_space_forges_reports_then_they_are_counted_and_not_believed(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm, fresh=True), kmodmon)
    forged = (
        "<0>BUG: unable to handle page fault for address: 00000000deadbeef",
        "<4>WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 fork+0x1/0x2 [innocent]",
        "<0>Kernel panic - not syncing: not really",
        "<2048>Oops: 0002 [#1] PREEMPT SMP NOPTI",
    )
    client.guest.shell("".join(f"echo '{line}' >/dev/kmsg\n" for line in forged))
    client.until(lambda now: now.get("kmodmon_kernel_log_forged_total") == len(forged), "the forgeries")
    assert reports(client) == []
    assert len(client.until_rows("/api/v1/events?type=LogForged")) == 1
    assert_counts(client)


def test_log_when_a_flood_overruns_the_ring_then_the_loss_is_the_gap(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    guest = client.guest
    guest.insmod("logflood", "lines=1")
    _, before = agreed(client)
    # Stopped, it cannot read; what the ring does not hold any more when it goes on is lost, and nothing else. Records
    # that are written while the stop or the flood begins or ends may be on either side.
    guest.shell("systemctl kill -s STOP kmodmon")
    stopped = truth(guest)
    guest.shell("echo 20000 >/sys/module/logflood/parameters/more", timeout=120)
    flooded = truth(guest)
    guest.shell("systemctl kill -s CONT kmodmon")
    series, after = agreed(client)
    assert flooded.missing == 0
    lost = series.get("kmodmon_kernel_log_lost_total") or 0
    assert 0 < flooded.first - stopped.last - 1 <= lost <= after.first - before.last - 1
    assert series.get("kmodmon_source_lost_total", source="kmsg") == series.get("kmodmon_kernel_log_lost_total")
    client.until(lambda _: _lost(client) == series.get("kmodmon_kernel_log_lost_total"), "the loss as an event")
    # At full speed, not stopped: whatever it loses, no number is unaccounted for.
    guest.shell("echo 20000 >/sys/module/logflood/parameters/more", timeout=120)
    series, after = agreed(client, timeout=120)
    print(f"{kernel.release}: {series.get('kmodmon_kernel_log_lost_total')} of {after.last + 1} lost")


def _lost(client: Client) -> int:
    return sum(int(str(_fields(row)["lost"])) for row in events(client, "LogLost"))


# Killed

LOAD = """
insmod /opt/modules/crash_mod.ko
insmod /opt/modules/logflood.ko lines=1 rate=60
while :; do
    echo 120 >/sys/module/logflood/parameters/more
    echo warn >/sys/module/crash_mod/parameters/trigger
    echo '<4>user text' >/dev/kmsg
    echo $((n += 1)) >/run/warnings
done
"""


@contextmanager
def second_reader(guest: Guest) -> Iterator[None]:
    """Count from before the first kill to after the last one; the result is in /root/truth."""
    guest.background("truth", "sh", "-c", "exec python3 /root/kmsg_truth.py >/root/truth")
    guest.until("grep -q ready /root/truth")
    yield
    guest.shell("systemctl stop truth")


def killed(guest: Guest, product: Product, times: int) -> None:
    """Kill the daemon at random moments under load; what it counted in all its lives is what the kernel wrote."""
    client = start(guest, product)
    guest.shell("systemctl stop kmodmon")
    rng = random.Random(3)
    with second_reader(guest):
        guest.write("/root/load", LOAD)
        guest.background("load", "sh", "/root/load")
        for _ in range(times):
            guest.shell("systemctl reset-failed kmodmon || true; systemctl start --no-block kmodmon")
            time.sleep(rng.uniform(0.0, 6.0))
            guest.shell("systemctl kill -s KILL kmodmon; systemctl stop kmodmon", check=False)
        guest.shell("systemctl stop load; systemctl reset-failed kmodmon || true; systemctl start kmodmon", timeout=120)
        guest.until("! pgrep -f [/]root/load")  # not the shell that asks
    counted = parsed(guest.read("/root/truth").decode())  # stopped, it has read the ring to its end
    # What the last life finds in the ring is all that none before it lived long enough to read.
    series, ring = agreed(client, counted, timeout=60 + 3 * times)
    assert (ring.first, ring.missing) == (0, 0)
    assert series.get("kmodmon_kernel_log_lost_total") == 0
    assert_levels(series, ring.counts)
    warnings = int(guest.read("/run/warnings"))
    told = client.until(
        lambda now: (now.get("kmodmon_kernel_reports_total", signature="warning") or 0) >= warnings, "the warnings"
    )
    assert told.get("kmodmon_kernel_reports_total", signature="warning") in (warnings, warnings + 1)
    print(f"{times} kills, {ring.last + 1} records, {warnings} warnings")


def test_log_when_killed_at_random_moments_then_every_record_is_counted_once(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    killed(boot(bookworm, "log_buf_len=1M", fresh=True), kmodmon, KILLS)


@pytest.mark.soak
def test_log_when_killed_200_times_then_every_record_is_counted_once(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    killed(boot(bookworm, "log_buf_len=16M", fresh=True), kmodmon, SOAK_KILLS)


# The boot before

PANICS: Mapping[str, tuple[str, Sequence[object]]] = {
    "panic": ("insmod /opt/modules/crash_mod.ko kind=panic", ("panic", "crash_mod")),
    "oops": ("sysctl -qw kernel.panic_on_oops=1; insmod /opt/modules/oops_mod.ko", ("oops", "oops_mod")),
}


@pytest.mark.parametrize("kind", sorted(PANICS))
def test_log_when_the_last_boot_panicked_then_pstore_tells_it_once(
    kind: str, bookworm: Kernel, boot: Boot, kmodmon: Product, tmp_path: Path
) -> None:
    script, (report_class, module) = PANICS[kind]
    options = (f"memmap={RAMOOPS_SIZE:#x}${RAMOOPS_AT:#x}", "panic=0")
    dying = boot(bookworm, *options, fresh=True)
    dying.shell(RAMOOPS)
    dying.shell(f"({script}) >/dev/null 2>&1 &")
    deadline = time.monotonic() + 60
    while "end Kernel panic" not in dying.console():
        assert time.monotonic() < deadline, dying.console()[-2000:]
        time.sleep(0.2)
    memory = tmp_path / "memory"
    said = dying.monitor(f'pmemsave {RAMOOPS_AT:#x} {RAMOOPS_SIZE:#x} "{memory}"')
    assert memory.exists(), said
    dying.halt()
    # A reboot keeps that memory; here it is handed on.
    guest = boot(bookworm, *options, fast=False)
    # A machine takes longer than a second from its panic to the next boot; this guest may not.
    guest.shell("date -s '+60 seconds'")
    guest.push([memory], "/root")
    guest.shell(
        f"dd if=/root/memory of=/dev/mem bs=4096 seek={RAMOOPS_AT // 4096} conv=notrunc status=none && {RAMOOPS}"
    )
    guest.until("ls /sys/fs/pstore/dmesg-ramoops-*")
    client = start(guest, kmodmon)
    (row,) = client.until_rows("/api/v1/reports")
    fields = _fields(row)
    assert (fields["class"], row["module"], fields["panic"]) == (report_class, module, True)
    assert (fields["previous_boot"], fields["dump"], fields["dump_reason"]) == (True, "dmesg-ramoops", "Panic")
    series = client.scrape()
    assert (
        sum(value for (name, _), value in series.values.items() if name == "kmodmon_previous_boot_reports_total") == 1
    )
    assert sum(value for (name, _), value in series.values.items() if name == "kmodmon_kernel_reports_total") == 0
    # systemd archives it, kmodmon starts anew: it is no news.
    guest.shell("/usr/lib/systemd/systemd-pstore && ! ls /sys/fs/pstore/dmesg-* && ls -R /var/lib/systemd/pstore")
    guest.shell("systemctl restart kmodmon", timeout=120)
    client.until(lambda now: now.get("kmodmon_source_up", source="pstore") == 1, "pstore read")
    assert len(client.rows("/api/v1/reports")) == 1
