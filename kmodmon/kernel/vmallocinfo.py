"""/proc/vmallocinfo: areas of kernel memory that modules were put into.

Interface: mm/vmalloc.c `s_show`, 0400; lines `0xSTART-0xEND SIZE CALLER pages=N …`.

Facts the code below is written from:

- START and END are hashed while kptr_restrict is 0, even for root; real at 1 with CAP_SYSLOG; zero at 2. Then only SIZE
  (one guard page included) and CALLER speak: END - START is not SIZE.
- CALLER of module memory varies with inlining: load_module, layout_and_allocate, move_module, module_alloc, and from
  6.10 execmem_alloc*, which BPF programs and trampolines share.
- One area a module up to 6.3; several from 6.4; where text shares 2 MiB areas (x86 since 6.17) counting says nothing.
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
_LINE_MAX = 1024  # bytes kept where chunks meet


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleArea:
    """One area that a module loader's function asked for. `size` in bytes, one guard page included."""

    start: int | None  # None: hashed or zeroed
    end: int | None
    size: int
    caller: str


def parse_module_areas(chunks: Iterable[bytes]) -> tuple[ModuleArea, ...]:
    """Pick the areas of modules out of the list, read in chunks of any size; never fails."""
    found: list[ModuleArea] = []
    rest = b""
    for chunk in chunks:
        whole, newline, rest = (rest + chunk).rpartition(b"\n")
        found += map(_area, _AREA.finditer(whole + newline))
        rest = rest[:_LINE_MAX]
    found += map(_area, _AREA.finditer(rest))
    return tuple(found)


def area_of(areas: Iterable[ModuleArea], address: int) -> ModuleArea | None:
    """The area that holds `address`; None when none does or addresses are hidden."""
    for area in areas:
        if area.start is not None and area.end is not None and area.start <= address < area.end:
            return area
    return None


def _area(found: re.Match[bytes]) -> ModuleArea:
    start, end, size = int(found[1], 16), int(found[2], 16), int(found[3])
    real = start != 0 and end - start == size
    return ModuleArea(start=start if real else None, end=end if real else None, size=size, caller=safe_text(found[4]))
