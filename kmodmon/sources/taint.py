"""/proc/sys/kernel/tainted: the kernel's taint number.

Interface: kernel/panic.c, kernel/sysctl.c (Documentation/admin-guide/sysctl/kernel.rst). World readable, the same in
every container. Absent: /proc/sys not mounted. The file has no poll support, so it is read by timer, and whenever a
module event or a kernel report was received.
"""

from kmodmon.kernel.taint import parse_tainted
from kmodmon.sources.source import PollSource, Reading, SourceContext, SourceReader
from kmodmon.subjects.taint import TaintRead
from kmodmon.system.root import NUMBER
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Failed, Read
from kmodmon.types.source_name import SourceName


def _make(context: SourceContext) -> SourceReader:
    path = context.root.proc(b"sys", b"kernel", b"tainted")

    def read_tainted() -> Reading:
        outcome = context.root.read(path, NUMBER)
        if not isinstance(outcome, Read):
            return Reading(outcome=outcome)
        if not outcome.value.endswith(b"\n"):
            return Reading(outcome=Failed("/proc/sys/kernel/tainted: cut short"))  # 308 of 308225 is a number too
        try:
            return Reading(outcome=Read(TaintRead(value=parse_tainted(outcome.value))))
        except ParseError as error:
            return Reading(outcome=Failed(str(error)))

    return read_tainted


SOURCE = PollSource(
    name=SourceName.TAINT,
    make=_make,
    every=lambda settings: settings.poll.taint,
    cheap=True,
    interfaces=("/proc/sys/kernel/tainted",),
    remedy="mount procfs with /proc/sys where --path.procfs says",
)
