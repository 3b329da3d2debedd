"""The trace on stock kernels: what its pages say against the kernel's own text, and users who choose what is in it."""

from pathlib import Path

from tests.kernel.trace_recording import Recording, assert_as_told
from tests.vm.conftest import Boot
from tests.vm.guest import MODULES
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.test_lifecycle import actor, at_rest, events, fields, newest, no_contradictions, of, start, until
from tests.vm.traced import AS_NOBODY, FORGER, push_forger, record_trace

LOADS = 6
INSTANCE = "/sys/kernel/tracing/instances/kmodmon"


def test_pages_when_names_are_hostile_then_what_the_kernels_own_text_says(
    kernel: Kernel, boot: Boot, tmp_path: Path
) -> None:
    recording = Recording(record_trace(boot(kernel, fresh=True), tmp_path))
    for part in (1, 2, 3):
        assert_as_told(recording.chunks(part), recording.read(f"{part}.text"))
    assert sum(chunk.lost + chunk.lost_uncounted for chunk in recording.chunks(3)) > 0


def test_trace_when_a_user_forges_lines_then_loads_have_their_actor_and_nothing_is_believed(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    guest = client.guest
    push_forger(guest)
    before = newest(client)
    guest.background("forger", *AS_NOBODY, FORGER, "1000000")
    # It is at work when the kernel has asked for what it wants.
    until(client, before, lambda rows: any("evil" in str(fields(row).get("name")) for row in rows), timeout=60)
    for _ in range(LOADS):
        guest.shell(f"insmod {MODULES}/hello_unsigned.ko; sleep 1; rmmod hello_unsigned; sleep 1")
    guest.run("systemctl", "is-active", "forger")
    rows = until(client, before, lambda rows: len(of(rows, "ModuleUnloaded", "hello_unsigned")) >= LOADS, timeout=120)
    guest.run("systemctl", "stop", "forger")
    for kind, comm in (("ModuleLoaded", "insmod"), ("ModuleUnloaded", "rmmod")):
        told = of(rows, kind, "hello_unsigned")
        # Its uid is unknown if the tool had exited before it could be looked at, as a busy, emulated guest has it.
        assert [actor(row)["comm"] for row in told] == [comm] * LOADS
        assert {actor(row)["uid"] for row in told} <= {0, None}
    rows = events(client, before)
    # Its names are in what it asked for, and in nothing else.
    assert {row["type"] for row in rows if "evil" in str(row["module"])} <= {"ModuleRequested"}
    assert not [row for row in rows if row["type"] == "SourceLost" and fields(row)["source"] == "trace"]
    no_contradictions(rows)
    series = client.scrape()
    assert series.get("kmodmon_source_up", source="trace") == 1
    assert series.get("kmodmon_source_unreadable", source="trace") in (None, 0)


def test_trace_when_a_cpu_comes_online_later_then_its_events_are_told(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = at_rest(start(boot(kernel, "maxcpus=1", fresh=True), kmodmon))
    before = newest(client)
    client.guest.shell("echo 1 > /sys/devices/system/cpu/cpu1/online")
    client.guest.run("taskset", "-c", "1", "insmod", f"{MODULES}/hello_unsigned.ko")
    rows = until(client, before, lambda rows: bool(of(rows, "ModuleLoaded", "hello_unsigned")))
    assert actor(of(rows, "ModuleLoaded", "hello_unsigned")[0])["comm"] == "insmod"
    series = client.scrape()
    assert series.get("kmodmon_source_lost_total", source="trace") in (None, 0)


def test_trace_when_read_as_the_daemons_user_then_only_one_reader(kernel: Kernel, boot: Boot, kmodmon: Product) -> None:
    client = start(boot(kernel), kmodmon)
    busy = client.guest.shell(f"timeout 2 cat {INSTANCE}/trace_pipe", check=False)
    assert b"busy" in busy.stderr
    paths = " ".join(
        f"{INSTANCE}/{name}"
        for name in ("events/header_page", "events/module/module_load/format", "per_cpu/cpu0/trace_pipe_raw",
                     "events/initcall/initcall_finish/format", "events/sched/sched_process_exec/format")
    )  # fmt: skip
    owners = set(client.guest.shell(f"stat -c %u {paths} /run/kmodmon/.").text.split())
    assert len(owners) == 1 and owners != {"0"}
