r"""Lists other than /proc/modules in which the kernel names modules: kallsyms, ftrace's functions, kprobes.

Interfaces, with the text around a module's name:

- /proc/kallsyms (kernel/kallsyms.c), world readable, ``ADDR TYPE SYMBOL\t[MODULE]``. It walks the module list, so a
  module unlinked from that list is missing here too. Absent: kernel without CONFIG_KALLSYMS.
- tracefs available_filter_functions (kernel/trace/ftrace.c, Documentation/trace/ftrace.rst), root,
  ``FUNCTION [MODULE]``. It keeps a module that was only unlinked from the list, and never has one that was built
  without tracing. Absent: kernel without CONFIG_DYNAMIC_FTRACE; unreadable under lockdown=confidentiality.
- debugfs kprobes/list (kernel/kprobes.c `report_probe`), 0400, ``ADDR k FUNCTION+0x0  MODULE [DISABLED][FTRACE]``. An
  address without a symbol is printed with %pS, which puts the module into brackets. Absent: no CONFIG_KPROBES, debugfs
  not mounted.

Tags in brackets that are not modules are left out:

- `bpf`: programs compiled by the BPF JIT.
- `__builtin__ftrace`: since Linux kernel commit fc0ea795f53c ("ftrace: Add symbols for ftrace trampolines") (in v5.9).
- `__builtin__kprobes`: since "kprobes: Add symbols for kprobe insn pages", of the same series.

No list is atomic: a name that one list has and another lacks must be checked again. The lists are long (kallsyms
10 MiB), so they are read in chunks of any size and only the names are kept.
"""

import re
from collections.abc import Iterable

from kmodmon.types.text import safe_text

_CARRY = 512  # bytes kept of a chunk; longer than a tag with a name of 59 bytes, so that no tag is cut in two
_KALLSYMS = re.compile(rb"\t\[(.{1,59}?)\]\n", re.DOTALL)
_FILTER_FUNCTION = re.compile(rb" \[(.{1,59}?)\]\n", re.DOTALL)
# The module's name is plain behind a symbol, and in brackets where %pS printed symbol and module together.
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
    """Names of the modules whose functions have kprobes, as safe text."""
    return _names({bracketed or plain for bracketed, plain in _KPROBE.findall(raw)})


def _tags(tag: re.Pattern[bytes], chunks: Iterable[bytes]) -> frozenset[str]:
    names: set[bytes] = set()
    rest = b""
    for chunk in chunks:
        rest += chunk
        end = 0
        for match in tag.finditer(rest):
            names.add(match[1])
            end = match.end()
        rest = rest[max(end, len(rest) - _CARRY) :]
    return _names(names)


def _names(names: set[bytes]) -> frozenset[str]:
    return frozenset(safe_text(name) for name in names if name not in _PSEUDO and not name.startswith(b"__builtin__"))
