"""/proc/sys/kernel/tainted: the kernel's taint number.

Interface: kernel/panic.c, kernel/sysctl.c (Documentation/admin-guide/sysctl/kernel.rst). World readable, host-global.
Nothing wakes a watcher of it, so it is read by timer and whenever a module or a report was heard of.
"""

from kmodmon.kernel.error import ParseError
from kmodmon.kernel.taint import parse_tainted
from kmodmon.model.observation import TaintRead
from kmodmon.model.outcome import Failed, Read
from kmodmon.sources.source import Look, PollSource, Reader, Surroundings


def _make(around: Surroundings) -> Reader:
    path = around.root.proc(b"sys", b"kernel", b"tainted")

    def read_tainted() -> Look:
        outcome = around.root.read(path)
        if not isinstance(outcome, Read):
            return Look(outcome=outcome)
        if not outcome.value.endswith(b"\n"):
            return Look(outcome=Failed("/proc/sys/kernel/tainted: cut short"))  # 308 of 308225 is a number too
        try:
            return Look(outcome=Read(TaintRead(value=parse_tainted(outcome.value))))
        except ParseError as error:
            return Look(outcome=Failed(str(error)))

    return read_tainted


SOURCE = PollSource(
    name="taint",
    make=_make,
    every=lambda settings: settings.poll.taint,
    cheap=True,
    interfaces=("/proc/sys/kernel/tainted",),
    grant="mount procfs with /proc/sys where --path.procfs says",
)
