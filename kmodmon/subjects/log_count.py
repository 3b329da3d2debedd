"""Counts records of /dev/kmsg: each once, by level and origin, and every gap in their sequence numbers.

A flood is many records, so a batch whose records all have the regular form is counted as a whole: priorities as bytes,
and lost records by the first and the last sequence number, because the kernel gives each record a greater number than
the one before. Any other batch is counted record by record.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from types import MappingProxyType

from kmodmon.kernel.kmsg import KERNEL_PRIORITIES, parse_prefix
from kmodmon.subjects.log import KERNEL, LEVELS, USER, LogAccount
from kmodmon.subjects.log_clock import LogClock
from kmodmon.types.error import ParseError

_FIRST, _SECOND = itemgetter(0), itemgetter(1)
_DIGITS = tuple(b"%d" % digit for digit in range(10))
_MAX_PRIORITY_DIGITS = 10  # as parse_prefix() takes them


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedBatch:
    """The account after a batch, and the batch in two parts."""

    account: LogAccount
    fresh: Sequence[bytes] = ()  # records that this batch counted
    replayed: Sequence[bytes] = ()  # records that were counted before: the ring is read again after each open()


def count(account: LogAccount, records: Sequence[bytes], clock: LogClock, *, regular: bool) -> CountedBatch:
    """Add records to the account, in the order in which they were read.

    `clock`: after this read of the log. `regular`: each record begins with `PRIO,SEQ,USEC,FLAG;`.
    """
    counted = _in_one(account, records, clock) if regular and records else None
    return count_singly(account, records, clock) if counted is None else counted


def count_singly(account: LogAccount, records: Sequence[bytes], clock: LogClock) -> CountedBatch:
    """Count record by record: the definition that :func:`count` must agree with."""
    fresh: list[bytes] = []
    replayed: list[bytes] = []
    priorities: Counter[int] = Counter()
    first, expected, lost, malformed = account.first_seq, account.next_seq, 0, 0
    for raw in records:
        try:
            priority, seq = parse_prefix(raw)
        except ParseError:
            malformed += 1
            continue
        if expected is not None and seq < expected:
            replayed.append(raw)
            continue
        first = seq if first is None else first
        lost += 0 if expected is None else seq - expected
        expected = seq + 1
        priorities[priority] += 1
        fresh.append(raw)
    after = replace(
        account,
        opened=True,
        clock=clock,
        first_seq=first,
        next_seq=expected,
        records=_added(account.records, priorities),
        lost=account.lost + lost,
        malformed=account.malformed + malformed,
    )
    return CountedBatch(account=after, fresh=fresh, replayed=replayed)


def _in_one(account: LogAccount, records: Sequence[bytes], clock: LogClock) -> CountedBatch | None:
    """Count a batch of ascending sequence numbers by its ends; None when it is no such batch."""
    expected = account.next_seq
    try:
        first, last = _seq(records[0]), _seq(records[-1])
        begin = 0 if expected is None or first >= expected else bisect_left(records, expected, key=_seq)
        fresh = records[begin:] if begin else records
        first = _seq(fresh[0]) if begin and fresh else first
    except ParseError:
        return None
    missing = last - first + 1 - len(fresh) if fresh else 0
    if missing < 0:
        return None
    priorities = _single_digits(fresh) or _priorities(Counter([raw.partition(b",")[0] for raw in fresh]))
    if priorities is None:
        return None
    after = replace(
        account,
        opened=True,
        clock=clock,
        first_seq=first if account.first_seq is None else account.first_seq,
        next_seq=last + 1 if fresh else expected,
        records=_added(account.records, priorities),
        lost=account.lost + missing + (0 if expected is None or not fresh else first - expected),
    )
    return CountedBatch(account=after, fresh=fresh, replayed=records[:begin] if begin else ())


def _seq(raw: bytes) -> int:
    return parse_prefix(raw)[1]


def _single_digits(records: Sequence[bytes]) -> Mapping[int, int] | None:
    # Nearly all priorities are below ten: then the first bytes of all records are one string to count in.
    if bytes(map(_SECOND, records)).strip(b","):
        return None
    firsts = bytes(map(_FIRST, records))
    return {int(digit): firsts.count(digit) for digit in _DIGITS if digit in firsts} if firsts.isdigit() else None


def _priorities(digits: Mapping[bytes, int]) -> Mapping[int, int] | None:
    if not all(priority.isdigit() and len(priority) <= _MAX_PRIORITY_DIGITS for priority in digits):
        return None
    counts: Counter[int] = Counter()
    for priority, times in digits.items():  # `06` and `6` are the same priority
        counts[int(priority)] += times
    return counts


def _added(records: Mapping[tuple[str, str], int], priorities: Mapping[int, int]) -> Mapping[tuple[str, str], int]:
    if not priorities:
        return records
    after = dict(records)
    for priority, times in priorities.items():
        key = LEVELS[priority & 7], KERNEL if priority < KERNEL_PRIORITIES else USER
        after[key] = after.get(key, 0) + times
    return MappingProxyType(after)
