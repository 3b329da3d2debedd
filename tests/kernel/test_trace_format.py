"""header_page and format files, as kernels wrote them and as none would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.trace_format import Field, parse_event_format, parse_header_page
from kmodmon.types.error import ParseError
from tests.kernel.trace_recording import EVENTS, KERNELS, TRACES, Recording

every_kernel = pytest.mark.parametrize("recording", [Recording(TRACES / name) for name in KERNELS], ids=KERNELS)
HEADER = Recording(TRACES / KERNELS[0]).read("header_page")
FORMAT = Recording(TRACES / KERNELS[0]).read("module_load")


@every_kernel
def test_header_page_when_recorded_then_a_page_of_4096_bytes(recording: Recording) -> None:
    layout = parse_header_page(recording.read("header_page"), "little")
    assert (layout.page_size, layout.timestamp.offset, layout.commit.offset, layout.data.offset) == (4096, 0, 8, 16)
    assert (layout.commit.size, layout.byteorder) == (8, "little")


def test_header_page_when_words_have_32_bits_then_so_has_commit() -> None:
    raw = HEADER.replace(b"local_t commit;\toffset:8;\tsize:8", b"local_t commit;\toffset:8;\tsize:4")
    layout = parse_header_page(raw.replace(b"offset:16;\tsize:4080", b"offset:12;\tsize:4084"), "big")
    assert (layout.commit.size, layout.data.offset, layout.page_size, layout.byteorder) == (4, 12, 4096, "big")


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        (b"char data", b"char other"),
        (b"u64 timestamp;\toffset:0;\tsize:8", b"u64 timestamp;\toffset:0;\tsize:4"),
        (b"size:4080", b"size:0"),
        (b"size:4080", b"size:99999999"),
        (b"data;\toffset:16", b"data;\toffset:12"),
        (b"commit;\toffset:8;\tsize:8", b"commit;\toffset:8;\tsize:2"),
    ],
)
def test_header_page_when_it_does_not_hold_then_parse_error(what: bytes, instead: bytes) -> None:
    assert what in HEADER
    with pytest.raises(ParseError):
        parse_header_page(HEADER.replace(what, instead), "little")


@every_kernel
@pytest.mark.parametrize("event", EVENTS)
def test_format_when_recorded_then_every_field_of_it(recording: Recording, event: str) -> None:
    raw = recording.read(event)
    form = parse_event_format(raw)
    assert form.name == event and len(form.fields) == raw.count(b"\tfield:")
    assert form.fields["common_type"] == Field(type="unsigned short", offset=0, size=2, signed=False)
    assert form.fields["common_pid"] == Field(type="int", offset=4, size=4, signed=True)
    assert form.size >= 12


def test_format_when_there_are_types_of_every_form_then_their_fields() -> None:
    lines = (
        b"\tfield:char prev_comm[TASK_COMM_LEN];\toffset:8;\tsize:16;\tsigned:0;\n"
        b"\tfield:const struct x *name;\toffset:24;\tsize:8;\tsigned:0;\n"
        b"\tfield:__rel_loc char[] text;\toffset:32;\tsize:4;\tsigned:0;\n"
        b"\tfield:bool wait;\toffset:36;\tsize:1;\n"
    )
    fields = parse_event_format(b"name: some_event\nID: 7\nformat:\n" + lines).fields
    assert {name: field.type for name, field in fields.items()} == {
        "prev_comm": "char", "name": "const struct x *", "text": "__rel_loc char[]", "wait": "bool",
    }  # fmt: skip


@pytest.mark.parametrize("raw", [b"", b"name: x\nID: 5\nformat:\n", b"name: x y\nID: 5\nformat:\n", FORMAT[6:]])
def test_format_when_it_is_none_then_parse_error(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_event_format(raw)


@given(st.binary() | st.integers(0, len(FORMAT)).map(lambda at: FORMAT[:at] + b"\tfield:" + FORMAT[at:]))
def test_files_when_any_bytes_then_a_value_or_parse_error(raw: bytes) -> None:
    for parse in (parse_event_format, lambda raw: parse_header_page(raw, "little")):
        try:
            parse(raw)
        except ParseError:
            continue
