"""Records are counted each once, however the stream is cut; the quick count is the slow one."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from kmodmon.subjects import log_count as logcount
from kmodmon.subjects.log import NO_LOG, LogAccount, Unfinished, account_from_json, account_to_json
from kmodmon.subjects.log_clock import UNSET_CLOCK, LogClock
from kmodmon.subjects.log_count import CountedBatch
from kmodmon.types.units import Instant, JsonObject, JsonValue, Usec
from tests.kmsg_maker import record, records

AT = Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(5_000_000))

NUMBERED = re.compile(rb"[0-9]{1,10},[0-9]{1,20},[0-9]*,[^,;\n](?:,[^,;\n]*)*;")


def count(account: LogAccount, batch: Sequence[bytes]) -> CountedBatch:
    regular = all(NUMBERED.match(raw) for raw in batch)
    return logcount.count(account, batch, UNSET_CLOCK, regular=regular)


def count_singly(account: LogAccount, batch: Sequence[bytes]) -> CountedBatch:
    return logcount.count_singly(account, batch, UNSET_CLOCK)


GARBAGE = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"", b"\n", b"6", b"6,", b"6,7", b"6,7,", b",,;", b"x,5,5,-;t\n", b"6,+5,5,-;t\n", b"6,1_0,5,-;t"]
    ),
    st.builds(lambda seq: b"6,%d" % seq, st.integers(0, 40)),
)
PRIORITIES = st.one_of(st.integers(0, 191), st.sampled_from([0, 7, 8, 15, 2**31]))


def rising(numbers: Iterable[int], others: Sequence[tuple[int, bytes]], priorities: Sequence[int]) -> list[bytes]:
    """Records numbered as a kernel does, each greater than the one before, with other things among them."""
    stream = [record(seq, b"x", priority=priority) for seq, priority in zip(sorted(numbers), cycle(priorities))]
    for place, other in others:
        stream.insert(place, other)
    return stream


STREAMS = st.builds(
    rising,
    st.sets(st.integers(0, 60), max_size=50),
    st.lists(st.tuples(st.integers(0, 60), GARBAGE), max_size=6),
    st.lists(PRIORITIES, min_size=1, max_size=5),
)
RUNS = st.builds(
    lambda first, priorities: [record(first + at, b"x", priority=one) for at, one in enumerate(priorities)],
    st.integers(0, 30),
    st.lists(PRIORITIES, min_size=1, max_size=40),
)
ACCOUNTS = st.builds(
    lambda following, lost: replace(NO_LOG, next_seq=following, first_seq=following, lost=lost),
    st.one_of(st.none(), st.integers(0, 50)),
    st.integers(0, 5),
)


def same(left: CountedBatch, right: CountedBatch) -> bool:
    return left.account == right.account and all(
        tuple(ours) == tuple(theirs) for ours, theirs in ((left.fresh, right.fresh), (left.replayed, right.replayed))
    )


@given(ACCOUNTS, st.one_of(STREAMS, RUNS))
def test_count_when_given_any_batch_then_it_is_the_count_one_by_one(account: LogAccount, batch: list[bytes]) -> None:
    assert same(count(account, batch), count_singly(account, batch))


@given(STREAMS, st.lists(st.integers(0, 60), max_size=6))
def test_count_when_the_stream_is_cut_differently_then_the_account_is_the_same(
    stream: list[bytes], cuts: list[int]
) -> None:
    account, fresh = NO_LOG, list[bytes]()
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        counted = count(account, stream[begin:end])
        account = counted.account
        fresh += counted.fresh
    whole = count_singly(NO_LOG, stream)
    assert (account, fresh) == (whole.account, whole.fresh)


@given(st.sets(st.integers(0, 300), min_size=1), st.lists(st.integers(0, 60), max_size=8))
def test_count_when_numbers_are_missing_then_each_is_lost_once(present: set[int], cuts: list[int]) -> None:
    stream = [record(seq, b"x") for seq in sorted(present)]
    account = NO_LOG
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        account = count(account, stream[begin:end]).account
    assert account.total + account.lost == max(present) - min(present) + 1
    assert (account.first_seq, account.total) == (min(present), len(present))


def test_count_when_a_user_writes_then_the_origin_says_so() -> None:
    batch = [record(0, b"k", priority=3), record(1, b"u", priority=8 + 3), record(2, b"u", priority=191)]
    counted = count(NO_LOG, batch).account.records
    assert counted == {("err", "kernel"): 1, ("err", "user"): 1, ("debug", "user"): 1}


def test_count_when_the_ring_is_read_again_then_nothing_is_counted_twice() -> None:
    ring = records([b"a"] * 10)
    first = count(NO_LOG, ring[:7])
    again = count(first.account, ring)
    assert (again.account.total, again.account.lost, tuple(again.replayed)) == (10, 0, ring[:7])
    assert count(again.account, ring).account == again.account


def test_account_when_remembered_then_it_is_the_same() -> None:
    account = replace(
        count(NO_LOG, records([b"a"] * 3, first=5)).account,
        opened=True,
        lost=4,
        lost_reported=2,
        malformed=1,
        forged=9,
        forged_reported=3,
        repeats={"warning": 2},
        suppressed=1,
        unfinished=Unfinished(since_seq=6, reported=(7, 9)),
        clock=LogClock(ahead_usec=-5, last_at_offset=(AT,)),
    )
    assert account_from_json(account_to_json(account)) == account


ODD: tuple[JsonValue, ...] = (None, "x", ["x"], [None], {"a": "b"}, {"a": [1]}, 1.5, True)


@given(st.dictionaries(st.sampled_from(list(account_to_json(NO_LOG))), st.sampled_from(ODD)))
def test_account_when_what_was_remembered_has_another_shape_then_it_counts_as_nothing(odd: JsonObject) -> None:
    assert replace(account_from_json(odd), opened=False) == NO_LOG
