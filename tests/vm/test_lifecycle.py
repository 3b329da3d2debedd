"""Loads and unloads on stock kernels under the shipped unit: all, once, with who did it, whatever happens to us."""

import json
import statistics
from collections import Counter
from collections.abc import Callable
from typing import cast

import pytest

from tests.vm.conftest import Boot
from tests.vm.guest import MODULES, Guest
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.product_client import Client

Row = dict[str, object]
LATENCY_LIMIT_MS = 250.0  # of the slowest in a hundred, on a machine that does nothing else
POLL_SECONDS = 15
UID = 4242
CYCLES = f"""
i=0
while [ $i -lt COUNT ]; do
    insmod {MODULES}/transient.ko
    rmmod transient
    i=$((i + 1))
    PAUSE
done
"""
CONFIG = f"[poll]\nmodules = '{POLL_SECONDS}s'\n"
# A user without a name who may load modules and nothing else.
AS_USER = (
    "setpriv",
    f"--reuid={UID}",
    f"--regid={UID}",
    "--clear-groups",
    "--inh-caps=+sys_module",
    "--ambient-caps=+sys_module",
)


def start(guest: Guest, product: Product, config: str = "") -> Client:
    if guest.run("test", "-e", "/usr/bin/kmodmon", check=False).code != 0:
        guest.install_kmodmon(product)
    client = Client(guest, guest.start_kmodmon(config))
    if "trace]\nenabled = false" not in config:
        client.until(lambda series: series.get("kmodmon_source_up", source="trace") == 1, "trace is followed", 60)
        client.until(lambda series: series.get("kmodmon_source_up", source="uevent") == 1, "uevents are heard", 60)
    return client


def main_pid(guest: Guest) -> str:
    return guest.shell("systemctl show -p MainPID --value kmodmon").text.strip()


def at_rest(client: Client) -> Client:
    """Wait until what a start brings with it is over: emulated, it keeps both processors for some seconds."""
    client.until(
        lambda series: (
            series.get("kmodmon_modules_unexamined") == 0
            and series.get("kmodmon_source_up", source="watch") == 1
            and series.get("kmodmon_source_up", source="crossview") == 1
        ),
        "files examined, views compared, directories watched",
        120,
    )
    return client


def events(client: Client, after: int = 0) -> list[Row]:
    """Every event of the history from `after` on, oldest first."""
    found: list[Row] = []
    while page := client.rows(f"/api/v1/events?limit=1000&after={after}"):
        page.sort(key=lambda row: cast(int, row["id"]))
        found += page
        after = cast(int, page[-1]["id"])
    return found


def newest(client: Client) -> int:
    rows = events(client)
    return cast(int, rows[-1]["id"]) if rows else 0


def until(client: Client, after: int, holds: Callable[[list[Row]], bool], timeout: float = 30) -> list[Row]:
    """Events after `after`, once they are as they should be."""
    found: list[Row] = []

    def look(_: object) -> bool:
        found[:] = events(client, after)
        return holds(found)

    client.until(look, "events as expected", timeout)
    return found


def of(rows: list[Row], kind: str, module: str | None) -> list[Row]:
    return [row for row in rows if row["type"] == kind and row["module"] == module]


def lives(rows: list[Row]) -> list[tuple[object, object]]:
    """Loads, unloads and failures, in order."""
    kinds = {"ModuleLoaded", "ModuleUnloaded", "ModuleTransient", "ModuleLoadFailed"}
    return [(row["type"], row["module"]) for row in rows if row["type"] in kinds]


def actor(row: Row) -> Row:
    found = row["actor"]
    assert isinstance(found, dict), row
    return found


def fields(row: Row) -> Row:
    found = row["fields"]
    assert isinstance(found, dict)
    return found


def no_contradictions(rows: list[Row]) -> None:
    assert [row for row in rows if row["type"] == "WitnessContradicted"] == []


def latencies_ms(client: Client, last: int) -> list[float]:
    """From the kernel's own time of each of the `last` loads and unloads to its line in the journal.

    That line follows its row on the disk.
    """
    lines = client.guest.run("journalctl", "-u", "kmodmon", "-o", "json", "--no-pager", timeout=300).text
    records = [json.loads(line) for line in lines.splitlines()]
    kinds = {"ModuleLoaded", "ModuleUnloaded"}
    found = [
        (int(record["__REALTIME_TIMESTAMP"]) - int(record["KMODMON_REALTIME_USEC"])) / 1000
        for record in records
        if record.get("KMODMON_EVENT") in kinds and record.get("KMODMON_MODULE") == "transient"
    ]
    return sorted(found[-last:])


def cycles(client: Client, count: int, pause: str = "") -> None:
    """Load and unload as fast as a script can, or with a pause, and compare the history with what happened."""
    before = newest(client)
    script = CYCLES.replace("COUNT", str(count)).replace("PAUSE", pause)
    client.guest.run(*AS_USER, "/bin/sh", "-ec", script, timeout=60 + 2 * count)
    rows = until(client, before, lambda rows: len(of(rows, "ModuleUnloaded", "transient")) >= count, 60 + count)
    assert len(of(rows, "ModuleLoaded", "transient")) == len(of(rows, "ModuleUnloaded", "transient")) == count
    for kind, comm in (("ModuleLoaded", "insmod"), ("ModuleTransient", "insmod"), ("ModuleUnloaded", "rmmod")):
        told = of(rows, kind, "transient")
        # Seen while it was loaded, none of them was transient.
        whose = Counter((actor(row)["comm"], actor(row)["uid"]) for row in told)
        assert whose == Counter({(comm, UID): len(told)}), kind
    at = [cast(int, row["monotonic"]) for row in of(rows, "ModuleLoaded", "transient")]
    assert len(set(at)) == count and at == sorted(at)
    no_contradictions(rows)
    assert not of(rows, "ModuleHidden", "transient")
    stamps = client.scrape().labels("kmodmon_module_load_timestamp_seconds")
    assert {"module": "transient", "signature": "unsigned", "taints": "OE", "actor": "insmod"} in stamps


def report_latency(client: Client, last: int, capsys: pytest.CaptureFixture[str]) -> tuple[float, float]:
    """Print how long it took from the kernel to the history; give the median and the 99th percentile in ms."""
    measured = latencies_ms(client, last)
    median, p99 = statistics.median(measured), measured[int(len(measured) * 0.99)]
    with capsys.disabled():
        print(f"\nload or unload to history: median {median:.1f} ms, p99 {p99:.1f} ms, "
              f"worst {measured[-1]:.1f} ms of {len(measured)} ({client.guest.kernel_release}, emulated)")  # fmt: skip
    return median, p99


def test_cycles_when_faster_than_any_poll_then_each_is_told_with_who_did_it(
    kernel: Kernel, boot: Boot, kmodmon: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    client = at_rest(start(boot(kernel), kmodmon, CONFIG))
    cycles(client, 40)
    cycles(client, 20, "sleep 0.5")
    median, _ = report_latency(client, 40, capsys)  # one that waited for the processor says nothing
    assert median < POLL_SECONDS * 1000 / 5, "it does not wait for a poll"


@pytest.mark.soak
def test_cycles_when_a_thousand_then_a_thousand_loads_and_unloads(
    kernel: Kernel, boot: Boot, kmodmon: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    client = at_rest(start(boot(kernel, fresh=True), kmodmon, CONFIG))
    cycles(client, 1000)
    cycles(client, 100, "sleep 0.5")
    assert report_latency(client, 200, capsys)[1] < LATENCY_LIMIT_MS


def test_autoload_when_a_file_system_or_a_link_type_is_asked_for_then_by_whom(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel), kmodmon)
    before = newest(client)
    client.guest.shell("modprobe -r dummy 2>/dev/null || true; mkdir -p /tmp/m; mount -t kmodlabfs none /tmp/m || true")
    client.guest.run("ip", "link", "add", "kmod0", "type", "dummy")
    rows = until(client, before, lambda rows: bool(of(rows, "ModuleLoaded", "dummy")))
    asked = {fields(row)["name"]: row for row in rows if row["type"] == "ModuleRequested"}
    assert actor(asked["fs-kmodlabfs"])["comm"] == "mount"
    assert actor(asked["rtnl-link-dummy"])["comm"] == "ip"
    (loaded,) = of(rows, "ModuleLoaded", "dummy")
    requester = actor(loaded)["requester"]
    assert isinstance(requester, dict)
    assert (actor(loaded)["comm"], requester["comm"]) == ("modprobe", "ip")
    assert requester["cmdline"] == ["ip", "link", "add", "kmod0", "type", "dummy"]
    client.guest.shell("ip link del kmod0; modprobe -r dummy")


def test_load_when_init_fails_then_a_failure_with_its_task_and_no_load(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel), kmodmon)
    before = newest(client)
    assert client.guest.insmod("initfail_mod", check=False).code != 0
    rows = until(client, before, lambda rows: bool(of(rows, "ModuleLoadFailed", "initfail_mod")))
    (failed,) = of(rows, "ModuleLoadFailed", "initfail_mod")
    assert (fields(failed)["reason"], fields(failed)["error"], fields(failed)["taints"]) == ("init_failed", -5, "OE")
    assert actor(failed)["comm"] == "insmod"
    client.guest.insmod("slow_init", "ms=6000", "exit_ms=4000")
    client.guest.rmmod("slow_init")
    rows = until(client, before, lambda rows: bool(of(rows, "ModuleUnloaded", "slow_init")), timeout=60)
    assert len(of(rows, "ModuleLoaded", "slow_init")) == 1 and not of(rows, "ModuleLoaded", "initfail_mod")
    init_ms = fields(of(rows, "ModuleLoaded", "slow_init")[0])["init_ms"]
    assert isinstance(init_ms, float) and init_ms >= 6000
    no_contradictions(rows)


def test_load_when_init_oopses_then_it_stays_coming_and_nothing_is_contradicted(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    before = newest(client)
    client.guest.insmod("oops_mod", "where=2", check=False)
    rows = until(client, before, lambda rows: bool(of(rows, "ModuleLoaded", "oops_mod")), timeout=60)
    assert fields(of(rows, "ModuleLoaded", "oops_mod")[0])["state"] == "coming"
    client.guest.run("sleep", "15")
    rows = events(client, before)
    no_contradictions(rows)
    assert not of(rows, "ModuleUnloaded", "oops_mod") and not of(rows, "ModuleHidden", "oops_mod")


def test_daemon_when_killed_then_what_the_trace_kept_is_told_with_time_and_task(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    guest = client.guest
    guest.insmod("stack_a")
    until(client, 0, lambda rows: bool(of(rows, "ModuleLoaded", "stack_a")))
    before, killed = newest(client), main_pid(guest)
    guest.shell(
        f"""kill -KILL {killed}; insmod {MODULES}/hello_unsigned.ko
        insmod {MODULES}/transient.ko; rmmod transient; rmmod stack_a"""
    )
    # systemd may still take the killed one for active, so another process must be.
    guest.until(
        f"systemctl is-active kmodmon && [ $(systemctl show -p MainPID --value kmodmon) != {killed} ]", timeout=120
    )
    wanted = (
        ("ModuleLoaded", "hello_unsigned", "insmod"), ("ModuleLoaded", "transient", "insmod"),
        ("ModuleUnloaded", "transient", "rmmod"), ("ModuleUnloaded", "stack_a", "rmmod"),
    )  # fmt: skip
    until(client, before, lambda rows: all(of(rows, kind, module) for kind, module, _ in wanted), timeout=60)
    client.guest.run("sleep", "4")  # so long signals may still come, and none may be told twice
    rows = events(client, before)
    for kind, module, comm in wanted:
        (told,) = of(rows, kind, module)
        assert fields(told)["while_down"] is True and actor(told)["comm"] == comm, told
        assert any("traced at" in line for line in cast(list[str], told["evidence"]))
    no_contradictions(rows)


def test_daemon_when_stopped_then_it_says_what_can_be_known_and_no_more(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    guest = client.guest
    guest.insmod("stack_a")
    until(client, 0, lambda rows: bool(of(rows, "ModuleLoaded", "stack_a")))
    before = newest(client)
    guest.shell(
        f"""systemctl stop kmodmon; test ! -e /sys/kernel/tracing/instances/kmodmon
        insmod {MODULES}/transient.ko; rmmod transient; insmod {MODULES}/hello_unsigned.ko; rmmod stack_a"""
    )
    client = start(guest, kmodmon)
    rows = until(
        client,
        before,
        lambda rows: bool(of(rows, "ModuleUnloaded", "stack_a") and of(rows, "ModuleLoaded", "hello_unsigned")),
        timeout=60,
    )
    (loaded,) = of(rows, "ModuleLoaded", "hello_unsigned")
    (unloaded,) = of(rows, "ModuleUnloaded", "stack_a")
    for told in (loaded, unloaded):
        assert fields(told)["while_down"] is True and told["actor"] is None
    assert not [row for row in rows if row["module"] == "transient"]
    no_contradictions(rows)
    guest.run("systemctl", "restart", "kmodmon", timeout=120)
    client.until(lambda series: series.get("kmodmon_source_up", source="trace") == 1, "up again", 60)
    assert len(of(events(client, before), "ModuleLoaded", "hello_unsigned")) == 1


def test_witnesses_when_there_is_no_trace_then_list_and_uevents_tell(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon, "[trace]\nenabled = false\n")
    client.until(lambda series: series.get("kmodmon_source_up", source="uevent") == 1, "uevents are heard", 60)
    before = newest(client)
    client.guest.shell(f"for i in 1 2 3 4 5; do insmod {MODULES}/transient.ko; rmmod transient; done")
    rows = until(client, before, lambda rows: len(of(rows, "ModuleUnloaded", "transient")) >= 5)
    assert len(of(rows, "ModuleLoaded", "transient")) == 5
    client.guest.shell("udevadm trigger --subsystem-match=module")
    client.guest.run("sleep", "3")
    # What is found of a module (policy, files) may come after its unload; lives may not.
    assert lives(events(client, before)) == lives(rows)
    assert client.scrape().get("kmodmon_source_present", source="trace") == 0


def test_trace_when_another_root_user_resets_all_tracing_then_noticed_and_no_contradiction(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm), kmodmon)
    before = newest(client)
    instance = "/sys/kernel/tracing/instances/kmodmon"
    client.guest.shell(f"echo 0 > {instance}/events/module/enable; echo 0 > {instance}/tracing_on")
    client.guest.insmod("hello_unsigned")
    rows = until(
        client,
        before,
        lambda rows: bool(of(rows, "ModuleLoaded", "hello_unsigned") and of(rows, "SourceLost", None)),
        timeout=60,
    )
    client.guest.until(f"grep -q 1 {instance}/events/module/module_load/enable && grep -q 1 {instance}/tracing_on")
    client.guest.rmmod("hello_unsigned")
    rows = until(client, before, lambda rows: bool(of(rows, "ModuleUnloaded", "hello_unsigned")))
    assert actor(of(rows, "ModuleUnloaded", "hello_unsigned")[0])["comm"] == "rmmod"
    no_contradictions(rows)
