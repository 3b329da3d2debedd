"""Pages of the ring buffer in every form that a kernel may write, and lengths that do not hold."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.ring_buffer import parse_page
from kmodmon.kernel.trace_format import Field, PageLayout
from kmodmon.types.error import ParseError
from tests.kernel.trace_recording import KERNELS, TRACES, Recording

WIDE = Recording(TRACES / KERNELS[0]).layout.page
NARROW = PageLayout(
    byteorder="big",
    timestamp=Field(type="u64", offset=0, size=8, signed=False),
    commit=Field(type="local_t", offset=8, size=4, signed=True),
    data=Field(type="char", offset=12, size=4084, signed=True),
)
LAYOUTS = pytest.mark.parametrize("layout", [WIDE, NARROW], ids=["little64", "big32"])
BEGAN = 5_000_000_000


def words(layout: PageLayout, numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(4, layout.byteorder) for number in numbers)


def head(layout: PageLayout, kind: int, delta: int) -> int:
    return kind | delta << 5 if layout.byteorder == "little" else kind << 27 | delta


def page(layout: PageLayout, data: bytes, *, used: int | None = None, behind: bytes = b"", time: int = BEGAN) -> bytes:
    commit = len(data) if used is None else used
    raw = time.to_bytes(8, layout.byteorder) + (commit % (1 << 8 * layout.commit.size)).to_bytes(
        layout.commit.size, layout.byteorder
    )
    return (raw + data + behind).ljust(layout.page_size, b"\0")


@LAYOUTS
def test_page_when_records_are_of_every_form_then_their_times_and_data(layout: PageLayout) -> None:
    def kind(number: int, delta: int = 0) -> int:
        return head(layout, number, delta)

    data = words(layout, [kind(1, 10), 0xAA])  # one word
    data += words(layout, [kind(0, 5), 12, 0xBB, 0xBC])  # its length, with itself, in bytes
    data += words(layout, [kind(30, 3), 2])  # the time goes on by 2 << 27 and 3
    data += words(layout, [kind(28, 1), *range(28)])
    data += words(layout, [kind(29, 7), 8, 0xDD])  # discarded by a filter, 7 later
    data += words(layout, [kind(29, 1), 4])  # discarded, at the same time
    data += words(layout, [kind(1, 1), 0xEE])
    data += words(layout, [kind(29, 0), 0xFFFF_FFFF])  # nothing more
    raw = page(layout, data)
    found = parse_page(raw, layout)
    starts = [raw[start:end] for _, start, end in found.records]
    assert starts == [words(layout, part) for part in ([0xAA], [0xBB, 0xBC], range(28), [0xEE])]
    assert [nsec - BEGAN for nsec, _, _ in found.records] == [10, 15, 15 + (2 << 27) + 4, 15 + (2 << 27) + 12]
    assert (found.used, found.last_nsec, found.lost) == (len(data), found.records[-1][0], 0)


@LAYOUTS
def test_page_when_it_has_the_time_itself_then_that_with_the_highest_bits_of_before(layout: PageLayout) -> None:
    now = (3 << 59) + BEGAN
    stamp = BEGAN + 77

    def data(number: int) -> bytes:
        return words(layout, [head(layout, 31, number & (1 << 27) - 1), number >> 27, head(layout, 1, 1), 9])

    assert parse_page(page(layout, data(stamp), time=now), layout).records[0][0] == now + 78
    # The lower bits have begun again.
    assert parse_page(page(layout, data(5), time=now), layout).records[0][0] == (4 << 59) + 6


@LAYOUTS
def test_page_when_events_were_overwritten_then_their_number_if_there_is_one(layout: PageLayout) -> None:
    data = words(layout, [head(layout, 1, 0), 1])
    number = (4711).to_bytes(layout.commit.size, layout.byteorder)
    for flags in (0xC000_0000, 0xFFFF_FFFF_C000_0000):
        found = parse_page(page(layout, data, used=len(data) | flags, behind=number), layout)
        assert (found.lost, found.lost_uncounted, len(found.records)) == (4711, False, 1)
    found = parse_page(page(layout, data, used=len(data) | 0x8000_0000, behind=number), layout)
    assert (found.lost, found.lost_uncounted, len(found.records)) == (0, True, 1)


@LAYOUTS
def test_page_when_it_is_empty_then_no_record_and_its_own_time(layout: PageLayout) -> None:
    found = parse_page(page(layout, b""), layout)
    assert (found.records, found.last_nsec, found.used) == ((), BEGAN, 0)


@LAYOUTS
@pytest.mark.parametrize(
    "numbers",
    [
        [(2, 0), 1],  # longer than what is in use
        [(0, 0)],  # no length
        [(0, 0), 0], [(0, 0), 3], [(0, 0), 6, 0, 0], [(0, 0), 4096], [(0, 0), 0xFFFF_FFFC],
        [(29, 1)], [(29, 1), 0], [(29, 1), 4096],
        [(30, 1)], [(31, 1)],
        [(30, 0), 0xFFFF_FFFF] * 16 + [(1, 0), 1],  # later than any clock
    ],
)  # fmt: skip
def test_page_when_a_length_or_time_does_not_hold_then_parse_error(
    layout: PageLayout, numbers: list[tuple[int, int] | int]
) -> None:
    data = words(layout, [head(layout, *word) if isinstance(word, tuple) else word for word in numbers])
    with pytest.raises(ParseError):
        parse_page(page(layout, data), layout)


@LAYOUTS
def test_page_when_its_size_or_use_does_not_hold_then_parse_error(layout: PageLayout) -> None:
    whole = page(layout, words(layout, [head(layout, 1, 0), 1]))
    for raw in (whole[:-1], whole + b"\0", b""):
        with pytest.raises(ParseError):
            parse_page(raw, layout)
    for used in (layout.data.size + 1, 0x3FFF_FFFF, 6, layout.data.size | 0xC000_0000):
        with pytest.raises(ParseError):
            parse_page(
                page(layout, words(layout, [head(layout, 1, 0), 1] * 600)[: layout.data.size], used=used), layout
            )


@LAYOUTS
@given(data=st.data())
def test_page_when_any_bytes_then_records_within_it_or_parse_error(layout: PageLayout, data: st.DataObject) -> None:
    used = data.draw(st.integers(0, layout.data.size))
    content = data.draw(st.binary(max_size=256))
    try:
        found = parse_page(page(layout, content[: layout.data.size], used=used), layout)
    except ParseError:
        return
    before = layout.data.offset
    for nsec, start, end in found.records:
        assert before <= start <= end <= layout.data.offset + used and 0 <= nsec < 1 << 63
        before = end
