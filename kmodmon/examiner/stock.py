"""Reads one module of a kernel's own tree as a sample of what all its modules have in common."""

from dataclasses import dataclass

from kmodmon.examiner.examine import read_contents
from kmodmon.examiner.image import ImageLimits, open_image
from kmodmon.examiner.locate import ModuleTree
from kmodmon.examiner.tree import FileError
from kmodmon.kernel.module_name import THIS_MODULE, name_of_file
from kmodmon.modfile.elf import parse_elf
from kmodmon.subjects.module_file import TreeOrigin
from kmodmon.types.error import ParseError

_TRIES = 8  # files that are opened before giving up


@dataclass(frozen=True, slots=True, kw_only=True)
class StockModule:
    """Properties of a module that was built with the kernel."""

    bits: int  # 32 or 64
    little_endian: bool
    machine: int  # ELF e_machine
    module_struct_bytes: int | None  # sizeof(struct module); None: it has no .gnu.linkonce.this_module
    vermagic: str | None  # None: it has none


def stock_module(tree: ModuleTree) -> StockModule | None:
    """Read the first readable module of the tree's `kernel` directory; None when there is none."""
    tries = 0
    for path in tree.host.walk(f"{tree.directory}/kernel"):
        if name_of_file(path) is None or tree.origin(path) is not TreeOrigin.KERNEL:
            continue
        tries += 1
        if tries > _TRIES:
            break
        try:
            with open_image(tree.host, path, ImageLimits()) as image:
                elf = parse_elf(image.read, image.size)
                this_module = elf.find(THIS_MODULE)
                info = read_contents(image).modinfo
        except (FileError, ParseError):
            continue
        if info is not None and info.intree:
            return StockModule(
                bits=elf.header.bits,
                little_endian=elf.header.little_endian,
                machine=elf.header.machine,
                module_struct_bytes=None if this_module is None else this_module.size,
                vermagic=info.vermagic,
            )
    return None
