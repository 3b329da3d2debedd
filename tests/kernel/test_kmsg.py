"""Records of /dev/kmsg as 4.18 to 7.2 gave them, cut ones, forged ones, and their way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.kmsg import KmsgRecord, parse_prefix, parse_record, split_records
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text
from tests.kernel.render import render_record

RECORDED = [
    b"4,444,33973663,-;hello_unsigned: loading out-of-tree module taints kernel.\n",
    b"5,445,33973976,-;hello_unsigned: module verification failed: signature and/or required key missing"
    b" - tainting kernel\n",
    b"4,390,12545888,-;Modules linked in: kmtc(OE) llc nls_cp437 nls_utf8 [last unloaded: kmt(OE)]\n",
    b"1,560,14007500,-;BUG: kernel NULL pointer dereference, address: 0000000000000010\n",
    b"6,777,2345678,-,caller=T123;sd 0:0:0:0: [sda] Attached SCSI disk\n SUBSYSTEM=scsi\n DEVICE=+scsi:0:0:0:0\n",
    b"4,391,12546321,c; dm_mod dax fuse\n",
    b"14,900,5,-;kmt: loading out-of-tree module taints kernel.\n",
]


def test_parse_record_when_recorded_then_every_field() -> None:
    record = parse_record(RECORDED[0])
    assert record == KmsgRecord(
        facility=0, level=4, seq=444, printk_usec=33973663,
        text=b"hello_unsigned: loading out-of-tree module taints kernel.",
    )  # fmt: skip
    assert record.from_kernel and record.number == 444


def test_parse_record_when_dictionary_and_caller_then_read() -> None:
    record = parse_record(RECORDED[4])
    assert record.caller == "T123"
    assert record.fields == {"SUBSYSTEM": "scsi", "DEVICE": "+scsi:0:0:0:0"}
    assert record.text == b"sd 0:0:0:0: [sda] Attached SCSI disk"


def test_parse_record_when_fragment_then_continuation() -> None:
    assert [parse_record(raw).continuation for raw in RECORDED] == [False] * 5 + [True, False]


def test_parse_record_when_userspace_wrote_it_then_not_from_the_kernel() -> None:
    record = parse_record(RECORDED[6])
    assert (record.facility, record.level, record.from_kernel) == (1, 6, False)


@pytest.mark.parametrize(
    ("text", "expected", "cut"),
    [
        (b"caf\\xc3\\xa9", "café".encode(), False),
        (b"a\\x0ab", b"a\nb", False),
        (b"C:\\x5cx41", b"C:\\x41", False),
        (b"semi;colon", b"semi;colon", False),
        (b"", b"", False),
        (b"end\\xf", b"end", True),
        (b"end\\x", b"end", True),
        (b"end\\", b"end", True),
        (b"end\\xff", b"end\xff", False),
        (b"end\\ab", b"end\\ab", False),  # no kernel writes this
    ],
)
def test_parse_record_when_escaped_then_bytes_as_printed(text: bytes, expected: bytes, cut: bool) -> None:
    record = parse_record(b"6,1,2,-;" + text + b"\n")
    assert (record.text, record.cut) == (expected, cut)


def test_parse_record_when_fields_of_a_newer_kernel_then_ignored() -> None:
    record = parse_record(b"6,1,2,-,new=1,caller=C0,cpu;x\n")
    assert (record.caller, record.text) == ("C0", b"x")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"6,1,2;x\n", b"6,1,2,-", b"x,1,2,-;t\n", b"-1,1,2,-;t\n", b"6,1,2,-;t\n7,2,3,-;u\n", b"<6>text\n"],
)
def test_parse_record_when_no_record_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_record(raw)


@pytest.mark.parametrize("raw", [b"", b"6", b"6,", b"6,1", b"+6,1,2", b"6,1_0,2", b" 6,1,2", b",,"])
def test_parse_prefix_when_no_record_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_prefix(raw)


def test_parse_prefix_when_numbers_are_as_long_as_they_can_be_then_read_and_not_when_longer() -> None:
    longest = (b"9" * 10, b"9" * 20)
    assert parse_prefix(b"%b,%b,2,-;t\n" % longest) == (int(longest[0]), int(longest[1]))
    assert parse_record(b"%b,%b,2,-;t\n" % longest).seq == int(longest[1])
    for raw in (b"%b0,%b,2,-;t\n" % longest, b"%b,%b0,2,-;t\n" % longest):
        for parse in (parse_prefix, parse_record):
            with pytest.raises(ParseError):
                parse(raw)


def test_split_records_when_written_one_after_the_other_then_each_with_its_fields() -> None:
    assert split_records(b"".join(RECORDED)) == tuple(RECORDED)
    assert split_records(b" KEY=VALUE\n" + RECORDED[0]) == (b" KEY=VALUE\n", RECORDED[0])
    assert split_records(b"") == ()


@pytest.mark.parametrize("raw", RECORDED)
def test_parse_prefix_when_recorded_then_as_the_whole_record_says(raw: bytes) -> None:
    record = parse_record(raw)
    assert parse_prefix(raw) == (record.facility << 3 | record.level, record.seq)
    assert render_record(record) == raw


safe = st.binary(max_size=12).map(safe_text)
records = st.builds(
    KmsgRecord,
    facility=st.integers(0, 255), level=st.integers(0, 7), seq=st.integers(0, (1 << 64) - 1),
    printk_usec=st.integers(0, (1 << 63)), continuation=st.booleans(),
    caller=st.none() | st.from_regex(r"[TC][0-9]{1,7}", fullmatch=True), text=st.binary(max_size=60), cut=st.booleans(),
    fields=st.dictionaries(st.from_regex(r"[A-Z]{1,9}", fullmatch=True), safe, max_size=3),
)  # fmt: skip


@given(records)
def test_record_when_rendered_then_parses_back(record: KmsgRecord) -> None:
    assert parse_record(render_record(record)) == record


@given(
    st.binary() | st.binary().map(lambda raw: b"6,1,2,-;" + raw) | st.binary().map(lambda raw: b"6,1,2,-;x\n " + raw)
)
def test_parse_record_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        record = parse_record(raw)
    except ParseError:
        return
    assert parse_prefix(raw)[1] == record.seq
    assert all(key.isprintable() and value.isprintable() for key, value in record.fields.items())


@given(st.binary(max_size=30))
def test_parse_prefix_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        priority, seq = parse_prefix(raw)
    except ParseError:
        return
    assert raw.startswith((b"%d" % priority, b"0"))
    assert seq >= 0
