"""/proc/vmallocinfo: areas of kernel memory that hold modules.

Interface: mm/vmalloc.c `s_show` (proc(5)), 0400; lines `0xSTART-0xEND SIZE CALLER pages=N …`.
Absent: where a container masks it.

Facts the code below is written from:

- START and END are hashed while kptr_restrict is 0, even for root; real at 1 with CAP_SYSLOG; zero at 2. When they are
  not real, END - START is not SIZE, and only SIZE (one guard page included) and CALLER are usable.
- CALLER of module memory varies with inlining: load_module, layout_and_allocate, move_module, module_alloc. Since Linux
  kernel commit 12af2b83d0b1 ("mm: introduce execmem_alloc() and execmem_free()") (in v6.10) it is execmem_alloc*, which
  BPF programs and trampolines share.
- A module has one core area up to Linux kernel commit ac3b43283923 ("module: replace module_layout with module_memory")
  (in v6.4), and several since. With 5185e7f9f3bd ("x86/module: enable ROX caches for module text on 64 bit"), in effect
  on 6.17 and 7.2, the text of several modules shares areas of 2 MiB: the number of areas then tells nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kmodmon.types.text import safe_text

_AREA = re.compile(
    rb"^0x([0-9a-f]{8,16})-0x([0-9a-f]{8,16}) +([0-9]{1,20}) "
    rb"(\w*module\w*|layout_and_allocate|execmem\w*|__execmem\w*)[+ ]",
    re.MULTILINE,
)
_LINE_MAX = 1024  # bytes of an incomplete line that are kept for the next chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleArea:
    """One area that a function of the module loader or of execmem allocated."""

    start: int | None  # address; None: hashed or zeroed
    end: int | None  # address behind the area; None: as start
    size: int  # bytes, one guard page included
    caller: str  # name of the function, safe text


def parse_module_areas(chunks: Iterable[bytes]) -> tuple[ModuleArea, ...]:
    """Read the areas of modules from the file, given in chunks of any size. Raises nothing."""
    areas: list[ModuleArea] = []
    rest = b""
    for chunk in chunks:
        whole, newline, rest = (rest + chunk).rpartition(b"\n")
        areas += map(_area, _AREA.finditer(whole + newline))
        rest = rest[:_LINE_MAX]
    areas += map(_area, _AREA.finditer(rest))
    return tuple(areas)


def _area(match: re.Match[bytes]) -> ModuleArea:
    start, end, size = int(match[1], 16), int(match[2], 16), int(match[3])
    real = start != 0 and end - start == size
    return ModuleArea(start=start if real else None, end=end if real else None, size=size, caller=safe_text(match[4]))
