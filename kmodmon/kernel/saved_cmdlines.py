r"""tracefs saved_cmdlines: names of tasks that were traced lately, also of some that have exited.

Interface: kernel/trace/trace_sched_switch.c `saved_cmdlines_show` (Documentation/trace/ftrace.rst), root. One file for
all instances; the last 128 tasks (saved_cmdlines_size). Absent: as tracefs; also where only an instance is in sight.

A line is ``PID COMM``. The name is up to 15 bytes that the task chose, newline included (prctl(2) PR_SET_NAME):
`x\n1 evil` looks like two lines. So a line says nothing if the name in the line before and itself, as one name, would
not be longer than a name is, nor does that line before; and a task that has more than one line is unknown. A user can
make a name unknown in this way, and give no other task a name.
"""

import re
from collections.abc import Iterator

from kmodmon.types.text import safe_text

_COMM_MAX = 15  # bytes
_LINE = re.compile(rb"(0|[1-9]\d{0,9}) (.{1,15})", re.DOTALL)


def parse_saved_cmdlines(raw: bytes) -> dict[int, str]:
    """Return the name of each task, by thread id, as safe text; raises nothing."""
    names: dict[int, str | None] = {}
    for tid, comm, certain in _lines(raw.split(b"\n")):
        names[tid] = safe_text(comm) if certain and tid not in names else None
    return {tid: name for tid, name in names.items() if name is not None}


def _lines(lines: list[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    # What follows the last newline is empty, and no part of a name: the kernel ends its last line.
    complete = lines[:-1]
    for number, line in enumerate(complete):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        before = number > 0 and _may_be_one_name(complete[number - 1], line)
        after = number + 1 < len(complete) and _may_be_one_name(line, complete[number + 1])
        yield int(match[1]), match[2], not (before or after)


def _may_be_one_name(line: bytes, after: bytes) -> bool:
    # The first of them may itself be a part of a name: then its text is at most longer than the name in it.
    comm = line.partition(b" ")[2]
    return len(comm) + 1 + len(after) <= _COMM_MAX
