"""trace_pipe lines as 4.18 to 7.2 wrote them, hostile names, losses, statistics and clocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.trace import (
    TraceChunk,
    TraceEvent,
    parse_trace,
    parse_trace_clock,
    split_stream,
)
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

RECORDED = b"""\
          insmod-94      [001] .....     6.495862: module_load: kmt OE
           rmmod-96      [001] .....     7.143959: module_free: kmtdep
        modprobe-122     [001] .l...    24.193220: module_load: dummy 
        modprobe-122     [001] .....    24.196379: module_put: dummy call_site=do_init_module refcnt=1
         python3-110     [000] .....     9.523802: module_load: kmttest OCE0x48000
           mount-3456789 [127] ...1. 123456.000001: module_request: fs-kmodlabfs wait=1 call_site=get_fs_type
           <...>-325     [001] .....    34.803152: module_load: hello_unsigned OFE
"""  # noqa: W291


def line(text: bytes, comm: bytes = b"insmod", event: bytes = b"module_load") -> bytes:
    return b"%16b-%-7d [%03d] %b %5d.%06d: %b: %b\n" % (comm, 94, 1, b".....", 6, 495862, event, text)


def only(chunk: bytes) -> TraceEvent:
    found = parse_trace(chunk)
    assert found.skipped == ()
    (event,) = found.events
    return event


def test_parse_trace_when_recorded_then_every_event() -> None:
    found = parse_trace(RECORDED)
    assert found.skipped == () and found.lost == 0
    assert found.events[0] == TraceEvent(
        event="module_load", comm="insmod", tid=94, tgid=None, cpu=1, trace_usec=6495862, module="kmt", taints=12288
    )
    assert [(event.event, event.module) for event in found.events] == [
        ("module_load", "kmt"), ("module_free", "kmtdep"), ("module_load", "dummy"), ("module_put", None),
        ("module_load", "kmttest"), ("module_request", "fs-kmodlabfs"), ("module_load", "hello_unsigned"),
    ]  # fmt: skip
    assert [event.taints for event in found.events] == [12288, None, 0, None, 13312 + 0x48000, None, 12290]
    request = found.events[5]
    assert (request.tid, request.cpu) == (3456789, 127)
    assert request.trace_usec == 123456_000001
    assert found.events[6].comm is None


@pytest.mark.parametrize(
    "head",
    [
        b"          insmod-94      [001] .....     6.495862: ",  # 6.1 and later
        b"          insmod-94      [001] ....     6.495862: ",  # 5.10
        b"          insmod-94    [001] ....     6.495862: ",  # pid padded to 5
        b"          insmod-94      (     93) [001] .....     6.495862: ",
        b"          insmod-94      (-------) [001] .....     6.495862: ",
        b"          insmod-94    (-----) [001] ....     6.495862: ",
        b"          insmod-94      [001]      6.495862: ",  # options/irq-info off
    ],
)
def test_parse_trace_when_columns_of_any_version_then_read(head: bytes) -> None:
    event = only(head + b"module_free: kmt\n")
    assert (event.comm, event.tid, event.cpu, event.module, event.trace_usec) == ("insmod", 94, 1, "kmt", 6495862)
    assert event.tgid == (93 if b"(     93)" in head else None)


@pytest.mark.parametrize("comm", [b"a b", b"a-1 [000]", b"a\nb", b"\n", b"(sd-pam)", b"\xff\x1b[31m", b"x" * 15, b"-5"])
def test_parse_trace_when_comm_is_odd_then_it_comes_back(comm: bytes) -> None:
    chunk = line(b"first OE") + line(b"kmt OE", comm) + line(b"last OE")
    found = parse_trace(chunk)
    assert found.skipped == ()
    assert [event.module for event in found.events] == ["first", "kmt", "last"]
    assert found.events[1].comm == safe_text(comm)


@pytest.mark.parametrize(
    "name",
    [b"a b", b"a\nb", b"\xff", b"a OE", b"x wait=0 call_site=y", b"CPU:1 [LOST 5 EVENTS]", b"a\n\n", b"/", b"\n"],
)
def test_parse_trace_when_name_is_odd_then_it_comes_back(name: bytes) -> None:
    chunk = (
        line(name + b" OE")
        + line(name, event=b"module_free")
        + line(name + b" wait=0 call_site=f", event=b"module_request")
    )
    found = parse_trace(chunk)
    assert found.skipped == () and found.lost == 0
    assert [event.module for event in found.events] == [safe_text(name)] * 3


def test_parse_trace_when_a_request_forges_a_line_then_no_event_of_it() -> None:
    forged = b"fs-\n            evil-1   [0] .... 1.0: module_load: evil OE"
    assert len(forged) <= 64
    event = only(line(forged[:55] + b" wait=0 call_site=get_fs_type", event=b"module_request"))
    assert (event.event, event.module) == ("module_request", safe_text(forged[:55]))


def test_parse_trace_when_events_were_lost_then_counted() -> None:
    chunk = b"CPU:0 [LOST EVENTS]\n" + line(b"a OE") + b"CPU:1 [LOST 12 EVENTS]\nCPU:0 [LOST 3 EVENTS]\n" + line(b"b ")
    found = parse_trace(chunk + b"CPU:2 [LOST 1 EVENTS]\n")
    assert (found.lost, found.lost_uncounted, found.skipped) == (16, 1, ())
    assert [event.module for event in found.events] == ["a", "b"]


def test_parse_trace_when_text_is_not_of_the_event_then_skipped_verbatim() -> None:
    chunk = line(b"nothing", event=b"module_request") + line(b"a OE")
    found = parse_trace(b"# tracer: nop\n#\n" + chunk)
    assert found.skipped == (b"# tracer: nop\n#", line(b"nothing", event=b"module_request").removesuffix(b"\n"))
    assert [event.module for event in found.events] == ["a"]


def test_parse_trace_when_another_event_then_kept_without_a_module() -> None:
    assert only(line(b"comm=x", event=b"sched_wakeup")).module is None


@pytest.mark.parametrize("ret", [0, -5, -517])
def test_parse_trace_when_init_returned_then_what(ret: int) -> None:
    text = b"func=hello_init+0x0/0x1000 [hello_unsigned] ret=%d" % ret  # 6.1 and 6.12
    assert only(line(text, event=b"initcall_finish")).ret == ret


def test_parse_trace_when_a_name_is_longer_than_any_then_256_characters_are_kept() -> None:
    event = only(line(b"x" * 300, event=b"module_free"))
    assert event.module is not None and len(event.module) == 256


def test_parse_trace_when_empty_then_nothing() -> None:
    assert parse_trace(b"") == TraceChunk()


@given(st.binary() | st.binary().map(lambda raw: RECORDED + raw + RECORDED))
def test_parse_trace_when_any_bytes_then_a_value(chunk: bytes) -> None:
    found = parse_trace(chunk)
    assert all(event.module is None or event.module.isprintable() for event in found.events)


@given(st.lists(st.integers(0, len(RECORDED)), max_size=5))
def test_split_stream_when_cut_anywhere_then_the_same_events(cuts: list[int]) -> None:
    events: tuple[TraceEvent, ...] = ()
    rest = b""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(RECORDED)], strict=True):
        whole, rest = split_stream(rest + RECORDED[start:end])
        events += parse_trace(whole).events
    assert rest == b""
    assert events == parse_trace(RECORDED).events


def test_parse_trace_clock_when_recorded_then_current() -> None:
    assert parse_trace_clock(b"[local] global counter uptime perf mono mono_raw boot tai x86-tsc\n") == "local"


@given(st.binary(max_size=80))
def test_parsers_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        parse_trace_clock(raw)
    except ParseError:
        return


@pytest.mark.parametrize("raw", [b"", b"local global\n", b"[local] [mono]\n"])
def test_parse_trace_clock_when_not_one_current_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_trace_clock(raw)
