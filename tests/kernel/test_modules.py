"""/proc/modules: lines recorded on 4.18 to 7.2, hostile names, and passes that disagree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.modules import (
    PAGE,
    ModuleLine,
    ModulesFile,
    ModuleState,
    by_name,
    is_complete,
    merge_passes,
    parse_modules,
)
from kmodmon.types.text import raw_bytes, safe_text
from tests.kernel.render import render_line

RECORDED = b"""\
stack_b 16384 0 - Live 0xffffffffc05c3000 (OE)
stack_a 16384 1 stack_b, Live 0xffffffffc05be000 (OE)
kmt 16384 1 kmtdep, Live 0xffffffffc05be000 (OE)
kmtperm 24576 1 [permanent], Live 0xffffffffc05c3000 (OE)
kmtgone 16384 -1 - Unloading 0xffffffffc05be000 (OE-)
initfail_mod 28672 1 - Loading 0xffffffffc0600000 (OE+)
kmttest 12288 0 - Live 0xffffffffc0400000 (COEKN)
stp 12288 1 bridge, Live 0xffffffffc0402000
bridge 311296 2 a,b,[permanent], Live 0x0000000000000000
nounload 1234 - - Live 0xbf000000
loading_clean 16384 1 - Loading 0xffffffffc0700000
"""


def one(raw: bytes, *sysfs_names: bytes) -> ModuleLine:
    file = parse_modules(raw, sysfs_names)
    assert file.skipped == ()
    (line,) = file.lines
    return line


def test_parse_modules_when_recorded_lines_then_every_field() -> None:
    file = parse_modules(RECORDED)
    assert file.skipped == ()
    assert len(file.lines) == 11
    lines = by_name(file)
    assert lines["stack_a"] == ModuleLine(
        name="stack_a", size=16384, refcnt=1, holders=("stack_b",), permanent=False, state=ModuleState.LIVE,
        address=0xFFFFFFFFC05BE000, taint="OE",
    )  # fmt: skip
    assert lines["kmtperm"].permanent and lines["kmtperm"].holders == ()
    assert (lines["kmtgone"].refcnt, lines["kmtgone"].state, lines["kmtgone"].taint) == (-1, ModuleState.GOING, "OE")
    assert (lines["initfail_mod"].state, lines["initfail_mod"].taint) == (ModuleState.COMING, "OE")
    assert lines["kmttest"].taint == "COEKN"
    assert lines["stp"].taint == ""
    assert (lines["bridge"].holders, lines["bridge"].permanent, lines["bridge"].address) == (("a", "b"), True, None)
    assert lines["nounload"].refcnt is None and lines["nounload"].holders == ()
    assert lines["loading_clean"].state is ModuleState.COMING


def test_parse_modules_when_empty_then_no_lines() -> None:
    assert parse_modules(b"") == ModulesFile(lines=())


@pytest.mark.parametrize(
    "name",
    [
        b"a b",
        b"a\nb",
        b"\nlead",
        b"a\tb",
        b"\xff\xfe",
        b"a,b",
        b"%s",
        b"../../x",
        b"a\\x0ab",
        b"5 6 b",
        b"x\n\n\ny",
        b"trail\n",
    ],
)
def test_parse_modules_when_name_is_odd_then_name_and_holder_come_back(name: bytes) -> None:
    raw = b"%b 16384 0 - Live 0xffffffffc0100000 (OE)\nbase 8192 1 %b, Live 0x0000000000000000\n" % (name, name)
    file = parse_modules(raw, [name.replace(b"/", b"!"), b"base"])
    assert file.skipped == ()
    assert [raw_bytes(line.name) for line in file.lines] == [name, b"base"]
    assert [raw_bytes(holder) for holder in file.lines[1].holders] == [name]


@pytest.mark.parametrize("name", [b"a b", b"a\nb", b"\nlead", b"a\tb", b"\xff\xfe", b"5 6 b", b"1 2 - x", b"x\n\ny"])
def test_parse_modules_when_odd_name_and_no_sysfs_then_read_from_the_right(name: bytes) -> None:
    assert raw_bytes(one(name + b" 16384 1 user, Live 0xffffffffc0100000\n").name) == name


def test_parse_modules_when_name_forges_a_whole_line_then_sysfs_settles_it() -> None:
    name = b"a 1 0 - Live 0x0000000000000000\nb"
    raw = name + b" 16384 0 - Live 0xffffffffc0100000 (OE)\n"
    assert [line.name for line in parse_modules(raw).lines] == ["a", "b"]
    assert raw_bytes(one(raw, b"dummy", name).name) == name


def test_parse_modules_when_name_looks_like_other_fields_then_other_lines_stay_right() -> None:
    raw = b"dummy 16384 0 - Live 0xffffffffc0100000\n0 - 16384 0 - Live 0xffffffffc0200000\n"
    assert [line.name for line in parse_modules(raw, [b"dummy", b"0 -"]).lines] == ["dummy", "0 -"]


@pytest.mark.parametrize("raw", [b"garbage\n", b"dummy 16384 0 - Live 0xffff", b"dummy 16384", b"- Live 0x0\n"])
def test_parse_modules_when_no_whole_line_then_kept_as_skipped(raw: bytes) -> None:
    good = b"stp 12288 1 bridge, Live 0xffffffffc0402000\n"
    if raw == b"dummy 16384 0 - Live 0xffff":  # an address cut short cannot be told from a short one
        assert len(parse_modules(good + raw).lines) == 2
        return
    file = parse_modules(good + raw)
    assert [line.name for line in file.lines] == ["stp"]
    assert file.skipped == (raw.removesuffix(b"\n"),)


def test_parse_modules_when_long_garbage_precedes_a_line_then_the_line_is_found() -> None:
    file = parse_modules(b"x" * 80 + b"\nstp 12288 1 bridge, Live 0xffffffffc0402000\n")
    assert [line.name for line in file.lines] == ["stp"]
    assert file.skipped == (b"x" * 80,)


@pytest.mark.parametrize("length", [56, 57, 58, 59])
def test_parse_modules_when_an_odd_name_is_as_long_as_a_name_can_be_then_it_is_read(length: int) -> None:
    name = b"a b" + b"x" * (length - 3)
    raw = name + b" 16384 1 a_user,another_user,a_third_user, Live 0xffffffffc0100000\n"
    assert one(raw) == ModuleLine(
        name=safe_text(name), size=16384, refcnt=1, holders=("a_user", "another_user", "a_third_user"), permanent=False,
        state=ModuleState.LIVE, address=0xFFFFFFFFC0100000, taint="",
    )  # fmt: skip


@pytest.mark.parametrize("name", [b"x" * 80, b"x" * 255, b"a\0b"])
def test_parse_modules_when_a_name_without_blanks_is_one_that_no_kernel_gives_then_it_is_read(name: bytes) -> None:
    assert raw_bytes(one(name + b" 16384 0 - Live 0xffffffffc0100000\n").name) == name


def test_parse_modules_when_an_odd_name_is_longer_than_a_name_can_be_then_it_is_no_line() -> None:
    text = b"a b" + b"x" * 57 + b" 16384 0 - Live 0xffffffffc0100000"
    assert parse_modules(text + b"\n") == ModulesFile(lines=(), skipped=(text,))


def test_parse_modules_when_a_name_is_longer_than_any_that_is_shown_then_it_is_no_line() -> None:
    text = b"x" * 256 + b" 16384 0 - Live 0xffffffffc0100000"
    assert parse_modules(text + b"\n") == ModulesFile(lines=(), skipped=(text,))


@pytest.mark.parametrize(("newlines", "read"), [(256, True), (257, False)])
def test_parse_modules_when_newlines_cut_a_line_then_into_at_most_257_pieces(newlines: int, read: bool) -> None:
    file = parse_modules(b"m 1 1 " + b"x\n" * newlines + b"y, Live 0x1\n")
    assert [line.name for line in file.lines] == (["m"] if read else [])
    assert (file.skipped == ()) is read


def test_parse_modules_when_one_odd_name_begins_another_then_the_longer_one_is_the_holder() -> None:
    line = one(b"base 1 1 x y,z, Live 0x1\n", b"x y", b"x y,z")
    assert [raw_bytes(holder) for holder in line.holders] == [b"x y,z"]


names = (
    st.binary(min_size=1, max_size=55)
    .map(lambda raw: raw.replace(b"\0", b"_"))
    .filter(lambda raw: raw != b"[permanent]")
)
lines = st.builds(
    ModuleLine,
    name=names.map(safe_text), size=st.integers(0, 1 << 32), refcnt=st.integers(-1, 1 << 30),
    holders=st.lists(names.map(safe_text), max_size=3).map(tuple), permanent=st.booleans(),
    state=st.sampled_from(ModuleState), address=st.none() | st.integers(1, (1 << 64) - 1),
    taint=st.text("PFCOEKXTN?", max_size=4),
)  # fmt: skip


@given(st.lists(lines, max_size=4))
def test_parse_modules_when_rendered_by_the_kernel_then_same_lines_with_sysfs_names(
    given_lines: list[ModuleLine],
) -> None:
    plain = [line for line in given_lines if not set(raw_bytes(line.name)) & set(b"\n,!/")]
    known = [raw_bytes(name) for line in plain for name in (line.name, *line.holders)]
    usable = [line for line in plain if not any(set(raw_bytes(name)) & set(b"\n,!/ ") for name in line.holders)]
    file = parse_modules(b"".join(map(render_line, usable)), known)
    assert [line.name for line in file.lines] == [line.name for line in usable]
    assert file == ModulesFile(lines=tuple(usable))


@given(st.binary(), st.lists(st.binary(max_size=6), max_size=3))
def test_parse_modules_when_any_bytes_then_a_value_and_nothing_is_lost(raw: bytes, sysfs_names: list[bytes]) -> None:
    file = parse_modules(raw, sysfs_names)
    if not file.lines:
        kept = b"".join(file.skipped)
        assert sorted(kept) == sorted(raw.replace(b"\n", b"")) or b"\0" in raw or b"\n" in kept


@given(
    st.lists(st.sampled_from([b"a 1 0 - Live 0x0", b"b", b"", b" 5 5 c,", b", Live 0x5 (OE)", b"1 2 -"]), max_size=12)
)
def test_parse_modules_when_fragments_then_every_byte_is_accounted_for(pieces: list[bytes]) -> None:
    raw = b"\n".join(pieces)
    file = parse_modules(raw)
    seen = sum(len(raw_bytes(line.name)) for line in file.lines) + sum(map(len, file.skipped))
    assert seen <= len(raw)
    assert (not file.lines and not file.skipped) == (not raw.strip(b"\n"))


def test_merge_passes_when_a_module_is_missing_from_one_then_listed_and_doubtful() -> None:
    both, first, second = b"a 1 0 - Live 0x1\n", b"gone 1 0 - Live 0x2\n", b"new 1 0 - Live 0x3\n"
    merged = merge_passes(parse_modules(both + first), parse_modules(second + both.replace(b" 0 ", b" 7 ")))
    assert {line.name: line.refcnt for line in merged.lines} == {"a": 7, "gone": 0, "new": 0}
    assert merged.doubtful == {"gone", "new"}


def test_merge_passes_when_a_line_appears_twice_then_once() -> None:
    file = parse_modules(b"a 1 0 - Live 0x1\na 1 1 - Live 0x1\n")
    merged = merge_passes(file, file)
    assert [(line.name, line.refcnt) for line in merged.lines] == [("a", 1)]
    assert merged.doubtful == frozenset()


def test_is_complete_when_shorter_than_a_page_then_true() -> None:
    assert is_complete(RECORDED)
    assert is_complete(b"x" * 4095) and not is_complete(b"x" * 4096) and PAGE == 4096
