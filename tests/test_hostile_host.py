"""Every interface missing, unreadable, empty, cut short or full of garbage: no crash and no wrong number."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kmodmon.config.load import load
from kmodmon.metrics import EVENT_METRICS, METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.runtime.one_shot import look_once
from kmodmon.sources.source import SourceContext
from kmodmon.state.state import State
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Outcome, Read
from kmodmon.types.source_name import SourceName
from tests.fake_clock import FakeClock

TREE = Path(__file__).parent / "trees/debian12-6.1-x86_64"
GARBAGE = bytes(range(256)) * 3

MUTATIONS: dict[str, Callable[[bytes], Outcome[bytes]]] = {
    "missing": lambda raw: Absent("gone"),
    "unreadable": lambda raw: Failed("Permission denied", errno.EACCES),
    "failing": lambda raw: Failed("Input/output error", errno.EIO),
    "empty": lambda raw: Read(b""),
    "truncated": lambda raw: Read(raw[: len(raw) // 2]),
    "garbage": lambda raw: Read(GARBAGE),
    "nul": lambda raw: Read(b"\0" * 4096),
    "huge number": lambda raw: Read(b"9" * 400 + b"\n"),
}
# The interface, the source that reads it, and series that must be there as recorded, or not at all.
INTERFACES = {
    "proc/modules": ("modules", ()),
    "proc/version": ("kernel", ("kmodmon_kernel_boot_timestamp_seconds",)),
    "proc/stat": ("kernel", ("kmodmon_kernel_boot_timestamp_seconds",)),
    "proc/cmdline": ("kernel", ()),
    "proc/sys/kernel/tainted": ("taint", ("kmodmon_kernel_tainted",)),
    "proc/sys/kernel/modules_disabled": ("posture", ("kmodmon_modules_disabled",)),
    "sys/kernel/security/lockdown": ("lockdown", ("kmodmon_lockdown",)),
    "sys/kernel/security/lsm": ("lockdown", ()),
    "sys/module/module/parameters/sig_enforce": ("posture", ("kmodmon_signature_enforced",)),
    "sys/kernel/oops_count": ("counters", ("kmodmon_kernel_oops_count",)),
    "sys/module/hello_unsigned/srcversion": ("modules", ()),
    "sys/module/hello_unsigned/coresize": ("modules", ()),
    "sys/module/hello_unsigned/parameters/level": ("parameters", ()),
    "sys/module/hello_unsigned/notes/.note.gnu.build-id": ("modules", ()),
    "lib/modules/6.1.0-56-cloud-amd64/modules.builtin": ("builtin", ()),
}


class Mutant(Root):
    """A recorded host on which one file is not what it was."""

    victim: bytes
    mutate: Callable[[bytes], Outcome[bytes]]
    __slots__ = ("mutate", "victim")

    def read(self, path: bytes, limit: int = 1 << 26) -> Outcome[bytes]:
        found = Root.read(self, path, limit)
        if path == self.victim:
            return self.mutate(found.value if isinstance(found, Read) else b"")
        return found


def host(victim: str, mutate: Callable[[bytes], Outcome[bytes]]) -> State:
    base = str(TREE).encode()
    root = Mutant(
        procfs=base + b"/proc",
        sysfs=base + b"/sys",
        rootfs=base,
        securityfs=base + b"/sys/kernel/security",
        tracefs=base + b"/none",
        debugfs=base + b"/none",
        dev=base + b"/dev",
        modules=base + b"/lib/modules",
        efivars=base + b"/none",
        pstore=base + b"/none",
        kallsyms=base + b"/none",
    )
    object.__setattr__(root, "victim", base + b"/" + victim.encode())
    object.__setattr__(root, "mutate", mutate)
    return look_once(
        SourceContext(root=root, settings=load(None, {}, {}), clock=FakeClock()), event_metrics=EVENT_METRICS
    )


def series(state: State) -> dict[str, list[float]]:
    text = Exposition(METRICS).body(state, ExpositionFormat.TEXT).decode()
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        found.setdefault(family.name, []).extend(sample.value for sample in family.samples)
    return found


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[float]]:
    return series(host("nothing", lambda raw: Read(raw)))


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("victim", INTERFACES)
def test_interface_when_it_is_not_as_it_should_be_then_no_number_is_wrong(
    victim: str, mutation: str, recorded: dict[str, list[float]]
) -> None:
    source, names = INTERFACES[victim]
    state = host(victim, MUTATIONS[mutation])
    found = series(state)
    for name in names:
        assert name in recorded
        assert found.get(name, []) in ([], recorded[name]), f"{name} shows a number that the kernel never gave"
    assert source in state.sources
    if mutation in ("garbage", "failing") and len(names) == 1 and source in ("taint", "lockdown"):
        assert not state.sources[SourceName(source)].up and state.sources[SourceName(source)].why
    # what is read from elsewhere is all there
    if source != "modules":
        assert found["kmodmon_module_size_bytes"] == recorded["kmodmon_module_size_bytes"]
    if source != "taint":
        assert found["kmodmon_kernel_tainted"] == recorded["kmodmon_kernel_tainted"]
