import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.savedlog.logprefix import strip_prefix
from kmodmon.savedlog.savedlog import read_saved_log

TEXT = "EXT4-fs (sda1): mounted filesystem"


@pytest.mark.parametrize(
    "prefix",
    [
        "", "[   12.345678] ", "[   12.345678][ T1234] ", "[   12.345678] [T1234] ", "<4>", "<4>[   12.345678] ",
        "4,300,12345678,-;", "6,300,12345678,-,caller=T12;", "[Mon Mar  4 09:12:01 2024] ", "[Mar 4 09:12] ",
        "[  +0.000123] ", "[   12.345678 <    0.000011>] ", "kern  :info  : [   12.345678] ",
        "kern  :warn  : [Mon Mar  4 09:12:01 2024] ", "2024-03-04T09:12:01,123456+01:00 ",
        "Mar  4 09:12:01 server01 kernel: ", "Mar  4 09:12:01 server01 kernel: [   12.345678] ",
        "Mar  4 09:12:01.123456 server01 kernel: ", "2024-03-04T09:12:01+0100 server01 kernel: ",
        "2024-03-04T09:12:01.123456+01:00 server01 kernel: [   12.345678] ",
        "Mon 2024-03-04 09:12:01 CET server01 kernel: ", "[   12.345678] server01 kernel: ",
        "<4>1 2024-03-04T09:12:01.123456+01:00 server01 kernel - - - [   12.345678] ",
        "2024-03-04T09:12:01.123456+01:00 server01 kernel - - - ", "Feb 23 03:28:16 kernel: ",
        "Tue Mar  5 19:02:25 2024 kern.warn kernel: [   12.345678] ",
        "Jan  1 00:00:12 OpenWrt kern.info kernel: [12.345678] ",
        "июл 27 14:08:03 laptop kernel: ",
        "27 juil. 14:08:03 laptop kernel: ",
        "7月 27 14:08:03 laptop kernel: ",
        "Mo Mär  4 09:12:01 laptop kernel: ",
        "> [   12.345678] ", ">> > ", "| [   12.345678] ", " kernel:[   12.345678] ", "debian login: [   12.345678] ",
        "** 123 printk messages dropped ** [   12.345678] ", "[   12.345678@0] ", "\x1b[0;32m[   12.345678]\x1b[0m ",
        "09:12:01.123456  <4>[   12.345678] ", "vm-1  | [   12.345678] ", "01-02 03:04:05.678     0     0 W kernel  : ",
        "[   12.345678] (0)[123:kworker/0:1]", "[ T1234] ", "&lt;4&gt;[   12.345678] ", "    [   12.345678] ",
    ],
)  # fmt: skip
def test_strip_prefix_when_a_known_prefix_stands_there_then_leaves_the_kernels_text(prefix: str) -> None:
    assert strip_prefix(prefix + TEXT).text.strip() == TEXT


@pytest.mark.parametrize(
    "line",
    [
        "Mar  4 09:12:01 server01 systemd[1]: x", "2024-03-04T09:12:01+0100 server01 sshd[12]: x", "12,1,1,-;x",
        "<12>x", "<30>1 2024-03-04T09:12:01+01:00 server01 sshd 12 - - x", "daemon:info  : [   12.345678] x",
    ],
)  # fmt: skip
def test_strip_prefix_when_user_space_spoke_then_the_facility_says_so(line: str) -> None:
    assert strip_prefix(line).facility


def test_strip_prefix_when_stamps_and_callers_are_there_then_reads_them() -> None:
    line = strip_prefix("<4>[   12.345678][ T1234] text")
    assert (line.level, line.usec, line.caller, line.text) == (4, 12_345_678, "T1234", "text")
    record = strip_prefix("6,300,99,c,caller=C1; more")
    assert (record.seq, record.usec, record.continuation, record.caller) == (300, 99, True, "C1")
    assert record.text == " more"


@given(st.binary(max_size=400))
def test_read_saved_log_when_given_any_bytes_then_gives_lines_in_order(data: bytes) -> None:
    for line in read_saved_log(data):
        assert line.text.isprintable()
        assert line.number >= 1


@given(st.lists(st.sampled_from([b"{", b'"dmesg": [', b'"msg": "x"', b"__CURSOR=1\n",
b"MESSAGE\n\x04\0\0\0\0\0\0\0ab", b"\n",
                                 b"Oops#1 Part1\n", b"> [    1.234567] x", b"\r\n", b"\\x0a", b"#012",
                                 b"[1.2] "])))  # fmt: skip
def test_read_saved_log_when_formats_are_mixed_and_cut_then_never_raises(parts: list[bytes]) -> None:
    list(read_saved_log(b"".join(parts)))


def test_read_saved_log_when_dmesg_json_then_gives_texts_stamps_and_lines() -> None:
    data = json.dumps(
        {"dmesg": [{"pri": 4, "time": 1.5, "msg": "a"}, {"pri": 12, "time": "2.000001", "msg": "b"}]}, indent=3
    )
    lines = list(read_saved_log(data.encode()))
    assert [(line.text, line.printk_usec, line.facility, line.number) for line in lines] == [
        ("a", 1_500_000, 0, 6),
        ("b", 2_000_001, 1, 11),
    ]


def test_read_saved_log_when_dmesg_json_is_cut_short_then_gives_what_is_there() -> None:
    data = json.dumps({"dmesg": [{"pri": 4, "time": 1.5, "msg": "a"}, {"pri": 4, "time": 2, "msg": "b"}]}, indent=3)
    assert [line.text for line in read_saved_log(data[:-40].encode()) if line.text.strip() in ("a", "b")] == ["a"]


def test_read_saved_log_when_journal_json_then_user_space_is_told_apart() -> None:
    records = [
        {"_TRANSPORT": "kernel", "MESSAGE": "k", "PRIORITY": "3"},
        {"_TRANSPORT": "syslog", "SYSLOG_FACILITY": "3", "MESSAGE": "u"},
        {"_TRANSPORT": "kernel", "MESSAGE": [107, 255]},
    ]
    lines = list(read_saved_log("\n".join(json.dumps(one) for one in records).encode()))
    assert [(line.text, line.facility) for line in lines] == [("k", 0), ("u", 3), ("k\\xff", 0)]


def test_read_saved_log_when_export_with_a_binary_field_then_reads_its_length() -> None:
    data = b"__CURSOR=1\nMESSAGE\n\x03\0\0\0\0\0\0\0a\xffb\n_TRANSPORT=kernel\n\n"
    data += b"__CURSOR=2\nMESSAGE=c\n_TRANSPORT=kernel\n\n"
    assert [line.text for line in read_saved_log(data)] == ["a\\xffb", "c"]


def test_read_saved_log_when_pstore_parts_are_backwards_then_puts_them_in_order() -> None:
    data = b"Oops#1 Part1\n<4>[    2.000000] late\nOops#1 Part2\n<4>[    1.000000] early\n"
    assert [(line.text, line.number) for line in read_saved_log(data) if line.printk_usec] == [
        ("early", 4),
        ("late", 2),
    ]


def test_read_saved_log_when_a_mail_wrapped_a_line_then_joins_it() -> None:
    data = b"> [    1.000000] " + b"x" * 50 + b" at\n> drivers/net/ethernet/file.c:12\n> [    1.000001] next\n"
    assert [line.text for line in read_saved_log(data)] == ["x" * 50 + " at drivers/net/ethernet/file.c:12", "next"]


def test_read_saved_log_when_a_record_holds_line_feeds_then_they_stay_in_its_text() -> None:
    data = b"4,1,1,-;one\\x0atwo\nMar  4 09:12:01 h kernel: three#012four\n"
    data += b"Mar  4 09:12:02 h app[7]: five\n    six\n\n                 seven\nMar  4 09:12:02 h kernel: eight\n"
    assert [(line.text, line.number, line.facility) for line in read_saved_log(data)] == [
        ("one\\x0atwo", 1, 0),
        ("three\\x0afour", 2, 0),
        ("five\\x0a    six\\x0a                 seven", 3, 1),
        ("", 5, 1),
        ("eight", 7, 0),
    ]


def test_read_saved_log_when_few_lines_have_a_stamp_then_the_others_are_whoever_logged_before() -> None:
    data = b"<12>app: one\nBUG: two\n          three\nfour\nfive\n<4>six\nseven\n"
    assert [(line.text, line.facility) for line in read_saved_log(data)][:5] == [
        ("app: one", 1), ("BUG: two", 1), ("          three", 1), ("four", 1), ("five", 1),
    ]  # fmt: skip
    assert [(line.text, line.facility) for line in read_saved_log(data)][5:] == [("six", None), ("seven", None)]


def test_read_saved_log_when_a_mail_is_quoted_printable_then_undoes_it() -> None:
    line = b"[    1.000000] " + b"x" * 58 + b"=\n" + b"y =3D z\n"
    texts = [line.text for line in read_saved_log(line + line)]
    assert texts == ["x" * 58 + "y = z"] * 2


def test_read_saved_log_when_lines_are_made_of_equals_signs_then_they_stay() -> None:
    frame = b"=" * 66 + b"\n"
    assert [line.text for line in read_saved_log(frame * 3)] == ["=" * 66] * 3
