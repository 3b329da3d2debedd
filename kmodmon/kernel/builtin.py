"""/lib/modules/RELEASE/modules.builtin: modules that are part of the kernel image.

Interface: scripts/Makefile.modfinal, Documentation/kbuild/kbuild.rst ("modules.builtin"); one path a line, such as
`kernel/arch/x86/events/amd/amd-uncore.ko`, never with a compression suffix. World readable.
Absent: kernels installed by hand, and containers without the host's /lib/modules.

A file name may hold `-` where the kernel's name of the module has `_`.
"""

import re

from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_PATH = re.compile(rb"(?:[^\n]*/)?([^/\n]+)\.ko")


def parse_builtin(raw: bytes) -> tuple[str, ...]:
    """Give the kernel names (with `_`) in the file's order; raises ParseError at a line that is no module's path."""
    names = []
    for line in raw.split(b"\n"):
        path = _PATH.fullmatch(line)
        if path is not None:
            names.append(safe_text(path[1].replace(b"-", b"_")))
        elif line.strip():
            raise ParseError("/lib/modules/<release>/modules.builtin", line, "not the path of a .ko file")
    return tuple(names)
