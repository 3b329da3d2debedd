r"""Other places where the kernel names modules: kallsyms, ftrace's function list, the kprobe list.

Interfaces, each with the bytes around a module's name:

- /proc/kallsyms (kernel/kallsyms.c), world readable, ``ADDR TYPE SYMBOL\t[MODULE]``; built from the module list, so it
  forgets what that list forgets.
- tracefs available_filter_functions (kernel/trace/ftrace.c), root, ``FUNCTION [MODULE]``; keeps a module that was only
  unlinked from the list; knows none that was built without tracing. Not readable under lockdown=confidentiality.
- debugfs kprobes/list (kernel/kprobes.c), 0400, ``ADDR k FUNCTION+0x0  MODULE [DISABLED][FTRACE]``.

Tags that are no modules are left out: `bpf`, `__builtin__ftrace` and their like. None of the lists is atomic: a name
that one has and another lacks must be looked at twice. They are long (kallsyms 10 MiB): they are read in chunks of any
size and only the names are kept.
"""

import re
from collections.abc import Iterable

from kmodmon.types.text import safe_text

_CARRY = 512  # bytes: more than a tag with a name of 59, so that none is lost where chunks meet
_KALLSYMS = re.compile(rb"\t\[(.{1,59}?)\]\n", re.DOTALL)
_FILTER_FUNCTION = re.compile(rb" \[(.{1,59}?)\]\n", re.DOTALL)
_KPROBE = re.compile(
    rb"^[0-9a-f]{8,16} +[kr] +\S+\+0x[0-9a-f]+(?:/0x[0-9a-f]+)? +(?:\[([^\n]{1,59})\]|(\S[^\n]{0,58}?))"
    rb" +(?:\[(?:GONE|DISABLED|OPTIMIZED|FTRACE)\])*$",
    re.MULTILINE,
)
_PSEUDO = frozenset({b"bpf"})


def kallsyms_modules(chunks: Iterable[bytes]) -> frozenset[str]:
    """Names of the modules that own symbols, as safe text."""
    return _tags(_KALLSYMS, chunks)


def filter_function_modules(chunks: Iterable[bytes]) -> frozenset[str]:
    """Names of the modules that own traceable functions, as safe text."""
    return _tags(_FILTER_FUNCTION, chunks)


def kprobe_modules(raw: bytes) -> frozenset[str]:
    """Names of the modules in whose functions kprobes stand, as safe text."""
    return _names({bracketed or plain for bracketed, plain in _KPROBE.findall(raw)})


def _tags(tag: re.Pattern[bytes], chunks: Iterable[bytes]) -> frozenset[str]:
    found: set[bytes] = set()
    rest = b""
    for chunk in chunks:
        rest += chunk
        end = 0
        for match in tag.finditer(rest):
            found.add(match[1])
            end = match.end()
        rest = rest[max(end, len(rest) - _CARRY) :]
    return _names(found)


def _names(found: set[bytes]) -> frozenset[str]:
    return frozenset(safe_text(name) for name in found if name not in _PSEUDO and not name.startswith(b"__builtin__"))
