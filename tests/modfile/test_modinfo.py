"""`.modinfo`, names, version strings, checksums and exports of stock modules and of made-up ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.module_name import THIS_MODULE, is_file_name, kernel_name, name_of_file, parse_this_module
from kmodmon.kernel.note import build_id, parse_notes
from kmodmon.modfile.elf import parse_elf, parse_symbols, section_bytes
from kmodmon.modfile.ksymtab import Export, kernel_exports, module_exports
from kmodmon.modfile.modinfo import ModInfo, ModinfoParameter, parse_modinfo
from kmodmon.modfile.modversions import ModVersions, parse_extended, parse_modversions
from kmodmon.modfile.vermagic import explain_difference, same_magic
from kmodmon.types.error import ParseError
from kmodmon.types.text import raw_bytes
from tests.elf_maker import Ko, Part, Sym, make
from tests.module_files import RECORDED, image, reader


def modinfo_of(name: str) -> ModInfo:
    raw = image(name)
    elf = parse_elf(reader(raw), len(raw))
    section = elf.find(b".modinfo")
    assert section is not None
    return parse_modinfo(section_bytes(elf, reader(raw), section))


def exports_of(raw: bytes) -> dict[bytes, Export]:
    elf = parse_elf(reader(raw), len(raw))
    return {one.name: one for one in module_exports(elf, reader(raw), parse_symbols(elf, reader(raw)))}


def versions_of(raw: bytes) -> ModVersions:
    return parse_modversions(parse_elf(reader(raw), len(raw)), reader(raw))


def test_parse_modinfo_when_a_stock_module_then_its_facts() -> None:
    info = modinfo_of("dax_cxl-6.12-amd64.ko.xz")
    assert info.first("name") == "dax_cxl"
    assert info.vermagic == "6.12.117+deb13-cloud-amd64 SMP preempt mod_unload modversions "
    assert info.license == "GPL" and info.gpl_compatible and info.intree
    assert info.all("import_ns") == ("CXL",)
    assert info.depends == ()
    assert info.stray == ()


@pytest.mark.parametrize("name", RECORDED)
def test_this_module_when_a_stock_module_then_its_name_in_the_kernel(name: str) -> None:
    raw = image(name)
    elf = parse_elf(reader(raw), len(raw))
    section = elf.find(THIS_MODULE)
    assert section is not None
    assert parse_this_module(section_bytes(elf, reader(raw), section), elf.header.bits) == name.partition("-")[0]


def test_parse_this_module_when_short_or_unterminated_then_none() -> None:
    assert parse_this_module(bytes(20), 64) is None
    assert parse_this_module(bytes(400), 64) is None
    assert parse_this_module(bytes(24) + b"x" * 56, 64) is None
    assert parse_this_module(bytes(24) + b"a\nb\0" + bytes(60), 64) == "a\\x0ab"


def test_parse_modinfo_when_keys_repeat_then_all_are_kept_and_the_first_counts() -> None:
    info = parse_modinfo(
        b"license=GPL\0\0\0alias=a=b\0alias=c\0license=Proprietary\0intree\0depends=a,,b\0"
        b"parm=x:what: it is\0parmtype=x:int\0parmtype=y:bool"
    )
    assert info.license == "GPL"
    assert info.all("license") == ("GPL", "Proprietary")
    assert info.all("alias") == ("a=b", "c")
    assert info.stray == ("intree",)
    assert info.depends == ("a", "b")
    assert not info.intree
    assert info.parameters == (
        ModinfoParameter(name="x", type="int", description="what: it is"),
        ModinfoParameter(name="y", type="bool"),
    )


@pytest.mark.parametrize(
    ("license", "compatible"),
    [("GPL", True), ("GPL v2", True), ("Dual MIT/GPL", True), ("gpl", False), ("GPL ", False), ("BSD", False)],
)
def test_gpl_compatible_when_a_license_then_the_kernels_answer(license: str, *, compatible: bool) -> None:
    assert parse_modinfo(b"license=" + license.encode()).gpl_compatible is compatible
    assert not parse_modinfo(b"").gpl_compatible


@given(st.binary(max_size=300))
def test_parse_modinfo_when_any_bytes_then_nothing_is_lost(raw: bytes) -> None:
    info = parse_modinfo(raw)
    back = [f"{key}={value}" for key, value in info.fields] + list(info.stray)
    assert sorted(map(raw_bytes, back)) == sorted(item for item in raw.split(b"\0") if item)


def test_names_when_a_file_then_the_kernels_spelling() -> None:
    assert name_of_file("kernel/drivers/usb/usb-storage.ko.zst") == "usb_storage"
    assert name_of_file("snd-hda.ko") == "snd_hda"
    assert name_of_file("x.ko.bz2") is None
    assert name_of_file(".ko") is None
    assert name_of_file("dir.ko/readme") is None
    assert kernel_name("a-b_c-d") == "a_b_c_d"
    assert is_file_name("a b") and not any(map(is_file_name, ("", ".", "..", "a/b", "a\0b")))


KERNEL = "6.1.0-56-amd64 SMP preempt mod_unload modversions "


@pytest.mark.parametrize(
    ("module", "has_crcs", "same"),
    [
        (KERNEL, True, True),
        (KERNEL, False, True),
        ("6.1.0-50-amd64 SMP preempt mod_unload modversions ", True, True),
        ("6.1.0-50-amd64 SMP preempt mod_unload modversions ", False, False),
        ("6.1.0-56-amd64 SMP preempt mod_unl0ad modversions ", True, False),
        (KERNEL.rstrip(), True, False),
        ("", True, False),
    ],
)
def test_same_magic_when_checksums_then_the_release_does_not_count(module: str, *, has_crcs: bool, same: bool) -> None:
    assert same_magic(module, KERNEL, has_crcs=has_crcs) is same


def test_explain_difference_when_words_differ_then_it_names_them() -> None:
    assert explain_difference(KERNEL, KERNEL) == ""
    assert "built for 6.2" in explain_difference("6.2 SMP mod_unload modversions ", KERNEL)
    assert "built without preempt" in explain_difference("6.2 SMP mod_unload modversions ", KERNEL)
    assert "built with KASAN" in explain_difference(KERNEL + "KASAN ", KERNEL)
    assert "spacing" in explain_difference(KERNEL.rstrip(), KERNEL)


def test_parse_modversions_when_stock_then_the_checksums_of_the_build() -> None:
    versions = versions_of(image("crc7-6.1-amd64.ko"))
    assert versions.present and not versions.extended
    assert versions.crcs[b"module_layout"] == 0x9060323F
    assert versions_of(image("failover-7.2-amd64.ko.xz")) == ModVersions()


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_parse_modversions_when_basic_or_extended_then_equal(bits: int, order: str) -> None:
    wanted = {"module_layout": 0xDEADBEEF, "printk": 1}
    expected = {name.encode(): crc for name, crc in wanted.items()}
    basic = versions_of(make(Ko(versions=wanted, bits=bits, order=order)))
    assert dict(basic.crcs) == expected and basic.present
    long = {**wanted, "n" * 100: 7}
    extended = versions_of(make(Ko(versions=wanted, extended_versions=long, bits=bits, order=order)))
    assert extended.extended and extended.crcs[b"n" * 100] == 7


def test_parse_modversions_when_the_extended_form_is_incomplete_then_the_loaders_objection() -> None:
    raw = make(Ko(extended_versions={"a": 1}, without=frozenset({"__version_ext_names"})))
    with pytest.raises(ParseError, match="crc\\+name presence does not match"):
        versions_of(raw)
    with pytest.raises(ParseError, match="more extended version crcs than names"):
        parse_extended(bytes(12), b"a\0b\0", "<")


def test_module_exports_when_stock_then_gpl_namespace_and_checksum() -> None:
    old = exports_of(image("crc7-6.1-amd64.ko"))
    assert set(old) == {b"crc7_be", b"crc7_be_syndrome_table"}
    assert not any(one.gpl_only for one in old.values())
    assert all(one.crc for one in old.values())
    assert all(one.gpl_only and one.crc for one in exports_of(image("failover-6.12-amd64.ko.xz")).values())
    new = exports_of(image("failover-7.2-amd64.ko.xz"))
    assert set(new) == {b"failover_register", b"failover_unregister", b"failover_slave_unregister"}
    assert all(one.gpl_only and one.crc is None for one in new.values())


def test_module_exports_when_flags_and_namespaces_then_each_by_its_index() -> None:
    names = b"\0NS_A\0"
    ko = Ko(
        parts=(
            Part(name="__ksymtab", data=bytes(36)),
            Part(name="__kflagstab", data=b"\x00\x01\x02"),
            Part(name="__ksymtab_strings", data=names),
        ),
        symbols=(
            Sym(name="__ksymtab_one", section="__ksymtab", value=0),
            Sym(name="__ksymtab_two", section="__ksymtab", value=12),
            Sym(name="__ksymtab_six", section="__ksymtab", value=24),
            Sym(name="__ksymtab_out", section="__ksymtab", value=600),
            Sym(name="__kstrtabns_two", section="__ksymtab_strings", value=1),
            Sym(name="__crc_one", section=0xFFF1, value=0x1234),
        ),
    )
    found = exports_of(make(ko))
    assert found[b"one"] == Export(b"one", False, None, 0x1234)
    assert found[b"two"] == Export(b"two", True, b"NS_A", None)
    assert found[b"six"].gpl_only is False
    assert found[b"out"].gpl_only is None


def test_kernel_exports_when_it_has_no_tables_then_parse_error() -> None:
    raw = make(Ko())
    with pytest.raises(ParseError, match="no __ksymtab"):
        kernel_exports(parse_elf(reader(raw), len(raw)), reader(raw))


def test_build_id_when_stock_then_twenty_bytes() -> None:
    raw = image("crc7-6.1-s390x.ko")
    elf = parse_elf(reader(raw), len(raw))
    section = elf.find(b".note.gnu.build-id")
    assert section is not None
    assert build_id(section_bytes(elf, reader(raw), section), ">") == "1217b72bc366432ecaadbc6aa827aa7ff650509d"


def test_parse_notes_when_one_runs_past_the_end_then_parse_error() -> None:
    assert build_id(b"") is None
    assert parse_notes(bytes(12))[0].owner == b""
    with pytest.raises(ParseError):
        parse_notes(b"\x04\0\0\0\xff\0\0\0\x03\0\0\0GNU\0")


@given(st.binary(max_size=200))
def test_build_id_when_any_bytes_then_a_value_or_parse_error(raw: bytes) -> None:
    try:
        build_id(raw)
    except ParseError:
        return
