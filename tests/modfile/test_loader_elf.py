"""What the loader objects to in an ELF file: stock modules pass by every kernel's rules, each wound gets its line."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.kernel.module_name import THIS_MODULE
from kmodmon.modfile.elf import parse_elf
from kmodmon.modfile.loader_elf import NEWEST, PROBES, LoaderRules, elf_objection, loader_name
from kmodmon.types.error import ParseError
from tests.elf_maker import EM_386, EM_S390, EM_X86_64, THIS_MODULE_BYTES, Ko, Part, make
from tests.module_files import RECORDED, image, reader

OLD = frozenset({"elf messages", "blacklist message"})  # 6.1
RULES = {
    "6.1": LoaderRules(probes=OLD, machine=EM_X86_64, module_struct_bytes=THIS_MODULE_BYTES),
    "7.2": LoaderRules(probes=NEWEST, machine=EM_X86_64, module_struct_bytes=THIS_MODULE_BYTES),
}
MACHINES = {"amd64": (EM_X86_64, 64, True), "i386": (EM_386, 32, True), "s390x": (EM_S390, 64, False)}


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("probes", [OLD, NEWEST, frozenset[str]()])
def test_elf_objection_when_a_stock_module_then_none(name: str, probes: frozenset[str]) -> None:
    raw = image(name)
    machine, bits, little = MACHINES[name.partition(".ko")[0].rpartition("-")[2]]
    section = parse_elf(reader(raw), len(raw)).find(THIS_MODULE)
    assert section is not None
    rules = LoaderRules(
        probes=probes, machine=machine, bits=bits, little_endian=little, module_struct_bytes=section.size
    )
    assert elf_objection(reader(raw), len(raw), rules) is None


def wounded(raw: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(raw)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def header_of(raw: bytes, name: bytes) -> int:
    """Where the section header of that name is in a 64-bit file."""
    elf = parse_elf(reader(raw), len(raw))
    index = next(number for number, one in enumerate(elf.sections) if one.name == name)
    return elf.header.section_offset + index * 64


GOOD = make(Ko(undefined=("printk",)))
TABLE = parse_elf(reader(GOOD), len(GOOD)).header.section_offset
COUNT = parse_elf(reader(GOOD), len(GOOD)).header.section_count
NAMES = COUNT - 1
SYMTAB = header_of(GOOD, b".symtab")
THIS = header_of(GOOD, THIS_MODULE)
MODINFO = header_of(GOOD, b".modinfo")


def both(raw: bytes, line: str) -> tuple[bytes, str, str]:
    """A wound that every kernel describes alike."""
    return raw, line, line


# wound, line of 6.1, line of 7.2
WOUNDS: dict[str, tuple[bytes, str | None, str | None]] = {
    "short": (GOOD[:63], "Invalid ELF header len 63", "Invalid ELF header len 63"),
    "no magic": both(b"this is no module\n" * 10, "Invalid ELF header magic: != \\x7fELF"),
    "executable": both(wounded(GOOD, 16, "<H", 2), "Invalid ELF header type: 2 != 1"),
    "machine": both(wounded(GOOD, 18, "<H", 183), "Invalid architecture in ELF header: 183"),
    "entry size": both(wounded(GOOD, 58, "<H", 40), "Invalid ELF section header size"),
    "cut": both(GOOD[: len(GOOD) // 2], "Invalid ELF section header overflow"),
    "table far away": both(wounded(GOOD, 40, "<Q", 1 << 63), "Invalid ELF section header overflow"),
    "names index": both(
        wounded(GOOD, 62, "<H", 0),
        f"Invalid ELF section name index: 0 || e_shstrndx (0) >= e_shnum ({COUNT})",
    ),
    "section zero": both(
        wounded(GOOD, TABLE + 4, "<I", 1),
        "ELF Spec violation: section 0 type(1)!=SH_NULL or non-zero len or addr",
    ),
    "names outside": (
        wounded(GOOD, TABLE + NAMES * 64 + 24, "<Q", len(GOOD)),
        "Invalid ELF section hdr(type 3)",
        f"Invalid ELF section in module (section {NAMES} type 3)",
    ),
    "no names": both(wounded(GOOD, TABLE + NAMES * 64 + 32, "<Q", 0), "empty section name table"),
    "names not ended": both(
        wounded(GOOD, TABLE + NAMES * 64 + 32, "<Q", 3),
        "ELF Spec violation: section name table isn't null terminated",
    ),
    "names of another type": (
        wounded(GOOD, TABLE + NAMES * 64 + 4, "<I", 1),
        None,
        "Invalid ELF section name table type: 1",
    ),
    "section outside": both(
        wounded(GOOD, MODINFO + 24, "<Q", 1 << 40),
        "Invalid ELF section in module (section 2 type 1)",
    ),
    "section name outside": both(
        wounded(GOOD, MODINFO, "<I", 1 << 20),
        "Invalid ELF section name in module (section 2 type 1)",
    ),
    "string table of symbols": both(
        wounded(GOOD, SYMTAB + 40, "<I", 99),
        f"Invalid ELF sh_link!=SHN_UNDEF(99) or (sh_link(99) >= hdr->e_shnum({COUNT})",
    ),
    "stripped": both(make(Ko(without=frozenset({".symtab"}))), "demo: module has no symbols (stripped?)"),
    "no this_module": (
        make(Ko(without=frozenset({".gnu.linkonce.this_module"}))),
        "demo: No module found in object",
        "module demo: Exactly one .gnu.linkonce.this_module section must exist.",
    ),
    "this_module without memory": (
        wounded(GOOD, THIS + 8, "<Q", 0),
        "demo: No module found in object",
        "module demo: .gnu.linkonce.this_module must occupy memory during process execution",
    ),
    "this_module empty": (
        wounded(GOOD, THIS + 4, "<I", 8),
        None,
        "module demo: .gnu.linkonce.this_module section must have a size set",
    ),
    "this_module of another size": (
        make(Ko(this_module_bytes=960)),
        None,
        "module demo: .gnu.linkonce.this_module section size must match the kernel's built struct module size at run "
        "time",
    ),
    "two modinfo": (
        make(Ko(parts=(Part(name=".modinfo", data=b"name=x\0"),))),
        None,
        "Only one .modinfo section must exist.",
    ),
    "extended versions without names": (
        make(Ko(extended_versions={"a": 1}, without=frozenset({"__version_ext_names"}))),
        None,
        "extended version crc+name presence does not match",
    ),
    "fewer names than versions": (
        make(
            Ko(parts=(Part(name="__version_ext_crcs", data=bytes(12)), Part(name="__version_ext_names", data=b"a\0")))
        ),
        None,
        "more extended version crcs than names",
    ),
    "symbol name outside": (
        wounded(GOOD, parse_elf(reader(GOOD), len(GOOD)).of_type(2)[0].offset + 24, "<I", 1 << 20),
        None,
        "symbol name out of bounds in string table",
    ),
    "nameless": both(
        make(Ko(modinfo=(), without=frozenset({".symtab"}))),
        "(missing .modinfo section or name field): module has no symbols (stripped?)",
    ),
}


@pytest.mark.parametrize("wound", WOUNDS)
def test_elf_objection_when_wounded_then_the_line_of_each_kernel(wound: str) -> None:
    raw, old, new = WOUNDS[wound]
    assert elf_objection(reader(raw), len(raw), RULES["6.1"]) == old
    assert elf_objection(reader(raw), len(raw), RULES["7.2"]) == new


def test_elf_objection_when_the_kernel_says_nothing_then_an_empty_line() -> None:
    silent = LoaderRules(probes=frozenset(), machine=EM_X86_64)
    assert elf_objection(reader(b"x" * 100), 100, silent) == ""
    assert elf_objection(reader(GOOD), len(GOOD), silent) is None


def test_elf_objection_when_its_symbol_strings_are_odd_then_its_line() -> None:
    strings = parse_elf(reader(GOOD), len(GOOD)).find(b".strtab")
    assert strings is not None
    first = wounded(GOOD, strings.offset, "<B", 65)
    last = wounded(GOOD, strings.offset + strings.size - 1, "<B", 65)
    empty = wounded(GOOD, header_of(GOOD, b".strtab") + 32, "<Q", 0)
    other = wounded(GOOD, header_of(GOOD, b".strtab") + 4, "<I", 1)
    lines = [elf_objection(reader(raw), len(raw), RULES["7.2"]) for raw in (first, last, empty, other)]
    assert lines == [
        "symbol string table missing leading NUL",
        "symbol string table isn't NUL terminated",
        "empty symbol string table",
        "Invalid ELF symbol string table type: 1",
    ]


def test_loader_name_when_modinfo_has_none_then_the_one_of_struct_module() -> None:
    this = bytes(24) + b"own\0" + bytes(100)
    assert loader_name("told", this, 64) == "told"
    assert loader_name(None, this, 64) == "own"
    assert loader_name(None, None, 64) == ""


def test_probes_when_listed_then_each_is_a_rule_of_its_own() -> None:
    assert len(set(PROBES.values())) == len(PROBES)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(RULES)),
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=20),
    st.integers(0, len(GOOD)),
)
def test_elf_objection_when_any_damage_then_a_line_or_none(rules: str, wounds: list[tuple[int, int]], end: int) -> None:
    raw = bytearray(GOOD)
    for place, value in wounds:
        raw[place] = value
    damaged = bytes(raw[:end]) if end % 2 else bytes(raw)
    try:
        elf_objection(reader(damaged), len(damaged), RULES[rules])
    except ParseError:
        return
