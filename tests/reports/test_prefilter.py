from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from kmodmon.reports.prefilter import MAX_SHAPES, Prefilter, is_relevant
from kmodmon.savedlog.savedlog import read_saved_log
from tests.reports.casefile import CASES, CLEAN, near_misses, read_case


def _record(text: str, seq: int = 7, priority: int = 4) -> bytes:
    escaped = "".join(char if " " <= char < "\x7f" else f"\\x{ord(char):02x}" for char in text if ord(char) < 256)
    return f"{priority},{seq},{seq * 1000},-;{escaped}\n".encode()


def _texts() -> list[str]:
    logs = [read_case(path).log for path in CASES] + [path.read_bytes() for path in CLEAN]
    return sorted({line.text for log in logs for line in read_saved_log(log)} | {line for _, line in near_misses()})


RECORDS = [_record(text) for text in _texts()]


def first(prefilter: Prefilter, records: Sequence[bytes]) -> int | None:
    return next(iter(prefilter.select(records).hits), None)


def first_naive(records: Sequence[bytes]) -> int | None:
    return next((index for index, record in enumerate(records) if is_relevant(record)), None)


def test_hits_when_asked_of_every_known_line_then_equals_the_naive_search() -> None:
    expected = [index for index, record in enumerate(RECORDS) if first_naive([record]) is not None]
    prefilter = Prefilter()
    assert prefilter.select(RECORDS).hits == expected
    assert prefilter.select(RECORDS).hits == expected  # and again, with what it remembers


@given(st.lists(st.one_of(st.sampled_from(RECORDS), st.binary(max_size=60).map(lambda raw: raw.replace(b"\0", b"")))))
def test_first_when_asked_of_any_batches_then_equals_the_naive_search(records: list[bytes]) -> None:
    prefilter = Prefilter()
    for _ in range(2):
        assert first(prefilter, records) == first_naive(records)


@given(st.sampled_from(RECORDS), st.integers(0, 2**63), st.integers(0, 2**63))
def test_first_when_only_digits_differ_then_what_it_remembers_hides_nothing(record: bytes, seq: int, usec: int) -> None:
    prefilter = Prefilter()
    first(prefilter, [record])
    head, _, text = record.partition(b";")
    priority = head.split(b",")[0].decode()
    other = f"{priority},{seq},{usec},-;".encode() + text.replace(b"1", b"2").replace(b"0", b"77")
    assert first(prefilter, [other]) == first_naive([other])


def test_first_when_a_line_feed_is_inside_a_record_then_looks_behind_it() -> None:
    assert first(Prefilter(), [b"3,1,1,-;do_init_module: fine\\x0aBUG: workqueue lockup - pool cpus=0\n"]) == 0
    assert first(Prefilter(), [b"3,1,1,-;\\x09BUG: workqueue lockup - pool cpus=0\n"]) == 0


def test_prefilter_when_every_line_is_new_then_remembers_a_bounded_number() -> None:
    prefilter = Prefilter()
    words = ["".join(chr(97 + (number >> shift) % 26) for shift in (0, 4, 8, 12, 16)) for number in range(60_000)]
    for start in range(0, len(words), 1000):
        first(prefilter, [_record(f"{word} says {word}") for word in words[start : start + 1000]])
    assert len(prefilter._irrelevant) <= MAX_SHAPES
