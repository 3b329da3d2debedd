"""Pages of a trace as 6.1, 6.12 and 7.2 gave them: what is in them, whole and broken; and clocks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.taint import letters
from kmodmon.kernel.trace import TraceChunk, TraceEvent, make_layout, parse_trace_clock, parse_trace_page
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text
from tests.kernel.trace_recording import KERNELS, TRACES, Recording, assert_as_told, in_order
from tests.trace_maker import LAYOUT, event_data, page, record

every_kernel = pytest.mark.parametrize("recording", [Recording(TRACES / name) for name in KERNELS], ids=KERNELS)
ANY = Recording(TRACES / KERNELS[0])
PAGES = [raw for part in (1, 2, 3) for raw in ANY.pages(part)]
ODD = {
    safe_text(name)
    for name in (b"new\nline", b"byte\xff", b"\x1b[31mred", b"dummy 16384 0 - Live 0x0", b"..", b"l" * 55)
}
FORGED = {
    safe_text(b"crypto-" + name)
    for name in (
        b"\nxxxxxxxxxxxxxxxx-1     [000]   1  8.000000: a: ",
        b"\nx-1 [0] 9.0: module_load: evil POE\n",
        b"\nmodule_load: evil POE\nmodule_free: transient",
        b"\nCPU:0 [LOST 99999999 EVENTS]\n",
    )
}


def only(raw: bytes) -> TraceEvent:
    chunk = parse_trace_page(raw, LAYOUT)
    assert chunk.unreadable == 0
    (event,) = chunk.events
    return event


@every_kernel
@pytest.mark.parametrize("part", [1, 2])
def test_pages_when_recorded_then_what_the_kernels_own_text_says(recording: Recording, part: int) -> None:
    assert_as_told(recording.chunks(part), recording.read(f"{part}.text"))


@every_kernel
def test_pages_when_names_are_odd_then_they_come_back_and_nothing_is_forged(recording: Recording) -> None:
    events = in_order(recording.chunks(1))
    loads = {event.module: event for event in events if event.event == "module_load"}
    requests = {event.module for event in events if event.event == "module_request"}
    assert loads.keys() >= ODD and requests >= FORGED
    assert letters(loads["flags_mod"].taints or 0) == "COEKN" and loads["dummy"].taints == 0
    assert not [event for event in events if event.event != "module_request" and "evil" in (event.module or "")]
    failed = [event.ret for event in events if event.tid == loads["initfail_mod"].tid and event.ret is not None]
    assert failed == [-5]
    tools = {event.tid: event.comm for event in events if event.comm is not None}
    assert tools[loads["hello_unsigned"].tid] == "insmod" and tools[loads["dummy"].tid] == "modprobe"


@every_kernel
@pytest.mark.parametrize("cpu", ["0", "1"])
def test_pages_when_events_were_overwritten_then_as_many_as_the_kernel_counts(recording: Recording, cpu: str) -> None:
    chunks = recording.chunks(3, cpu)
    overrun = recording.overrun(3, cpu)
    assert [chunk.unreadable for chunk in chunks] == [0] * len(chunks) and overrun > 0
    if any(chunk.lost_uncounted for chunk in chunks):  # the page had no room for the number: 7.2's second CPU
        assert sum(chunk.lost_uncounted for chunk in chunks) == 1 and sum(chunk.lost for chunk in chunks) == 0
    else:
        assert sum(chunk.lost for chunk in chunks) == overrun


def test_page_when_lost_events_have_no_number_then_a_loss_without_one() -> None:
    chunk = parse_trace_page(page(record("module_free", 5, name=b"a"), missed=True), LAYOUT)
    assert (chunk.lost, chunk.lost_uncounted, len(chunk.events)) == (0, 1, 1)
    chunk = parse_trace_page(page(record("module_free", 5, name=b"a"), missed=True, lost=12), LAYOUT)
    assert (chunk.lost, chunk.lost_uncounted, len(chunk.events)) == (12, 0, 1)


@pytest.mark.parametrize("name", [b"", b"a b", b"a\nb", b"\xff", b"a\n\n", b"/", b"\n", b"x" * 55])
def test_page_when_a_name_is_odd_then_it_comes_back(name: bytes) -> None:
    for event in ("module_load", "module_free", "module_request"):
        assert only(page(record(event, 7, name=name))).module == safe_text(name)


def test_page_when_a_name_is_longer_than_any_then_256_characters_are_kept() -> None:
    module = only(page(record("module_free", 7, name=b"x" * 300))).module
    assert module is not None and len(module) == 256


def test_page_when_a_string_is_relative_then_read_from_behind_its_field() -> None:
    (free,) = (event for event in LAYOUT.events.values() if event.name == "module_free")
    field = free.fields["name"]
    relative = replace(free, fields={**free.fields, "name": replace(field, type="__rel_loc char[]")})
    layout = replace(LAYOUT, events={relative.id: relative})
    data = bytearray(event_data("module_free", 7, name=b"hello"))
    at = field.offset
    data[at : at + 2] = (int.from_bytes(data[at : at + 2], "little") - field.end).to_bytes(2, "little")
    (event,) = parse_trace_page(page((0, bytes(data))), layout).events
    assert event.module == "hello"


def test_page_when_an_event_was_not_enabled_then_left_out_and_the_others_are_read() -> None:
    foreign = (5, (4).to_bytes(2, "little") + b"\0\0" + (1).to_bytes(4, "little") + b"module_load: evil OE\0\0\0\0")
    chunk = parse_trace_page(page(foreign, record("module_free", 7, name=b"a"), foreign), LAYOUT)
    assert ([event.module for event in chunk.events], chunk.unreadable) == (["a"], 0)


@pytest.mark.parametrize(
    "location",
    [0, 0xFFFF_FFFF, 5 << 16, 5 << 16 | 8, 5 << 16 | 11, 6 << 16 | 12, 4 << 16 | 12, 0xFFFF_000C, 5 << 16 | 0xFFFF],
)
def test_page_when_a_string_is_not_in_its_record_then_unreadable_as_a_whole(location: int) -> None:
    data = bytearray(event_data("module_free", 7, name=b"abcd"))  # 5 bytes at 12, of 20
    data[8:12] = location.to_bytes(4, "little")
    raw = page(record("module_free", 7, name=b"before"), (0, bytes(data[:17] + b"xxx")))
    assert parse_trace_page(raw, LAYOUT) == TraceChunk(unreadable=1)


@pytest.mark.parametrize("tid", [-1, -(1 << 31)])
def test_page_when_a_thread_id_is_negative_then_unreadable(tid: int) -> None:
    assert parse_trace_page(page(record("module_free", tid, name=b"a")), LAYOUT).unreadable == 1


def test_page_when_a_record_is_too_short_for_its_event_then_unreadable() -> None:
    data = event_data("module_load", 7, name=b"a")
    assert parse_trace_page(page((0, data[:12])), LAYOUT).unreadable == 1
    assert parse_trace_page(page((0, b"")), LAYOUT).unreadable == 1


@given(st.sampled_from(PAGES), st.integers(0, 4095), st.binary(max_size=20))
def test_page_when_it_is_cut_or_longer_then_unreadable(raw: bytes, size: int, more: bytes) -> None:
    for changed in (raw[:size], raw + b"x" + more, more):
        assert parse_trace_page(changed, LAYOUT) == TraceChunk(unreadable=1)


@given(st.sampled_from(PAGES), st.integers(1, 4080))
def test_page_when_its_use_is_cut_then_no_event_that_it_does_not_hold(raw: bytes, less: int) -> None:
    used = int.from_bytes(raw[8:12], "little") & (1 << 30) - 1
    whole = parse_trace_page(raw, LAYOUT).events
    chunk = parse_trace_page(raw[:8] + max(0, used - less).to_bytes(8, "little") + raw[16:], LAYOUT)
    assert chunk.events == whole[: len(chunk.events)] and len(chunk.events) < len(whole)


@given(st.sampled_from(PAGES), st.lists(st.integers(0, 4096 * 8 - 1), min_size=1, max_size=8))
def test_page_when_bits_are_flipped_then_a_value_and_texts_within_bounds(raw: bytes, flips: list[int]) -> None:
    changed = bytearray(raw)
    for bit in flips:
        changed[bit // 8] ^= 1 << bit % 8
    chunk = parse_trace_page(bytes(changed), LAYOUT)
    assert chunk.unreadable in (0, 1) and (not chunk.unreadable or not chunk.events)
    for event in chunk.events:
        assert event.tid >= 0 and 0 <= event.trace_nsec < 1 << 63
        assert event.module is None or (len(event.module) <= 256 and event.module.isprintable())
        assert event.comm is None or len(event.comm) <= 15 * 4


@given(st.binary(min_size=4080, max_size=4080), st.integers(0, 4080))
def test_page_when_its_data_is_random_then_a_value(data: bytes, used: int) -> None:
    raw = bytes(8) + used.to_bytes(8, "little") + data
    chunk = parse_trace_page(raw, LAYOUT)
    assert all(event.event in {form.name for form in LAYOUT.events.values()} for event in chunk.events)


def test_layout_when_an_event_lacks_a_field_then_parse_error() -> None:
    events = list(LAYOUT.events.values())
    without = [replace(event, fields={"common_type": event.fields["common_type"]}) for event in events]
    with pytest.raises(ParseError, match="common_pid"):
        make_layout(LAYOUT.page, without)
    with pytest.raises(ParseError):
        make_layout(LAYOUT.page, ())
    with pytest.raises(ParseError):
        make_layout(LAYOUT.page, [replace(events[0], name="sched_switch")])
    name = replace(events[0].fields["name"], type="char[56]", size=8)
    with pytest.raises(ParseError, match="no string"):
        make_layout(LAYOUT.page, [replace(events[0], fields={**events[0].fields, "name": name})])


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
