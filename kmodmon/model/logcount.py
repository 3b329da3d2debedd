"""Counting records of /dev/kmsg: each once, by level and origin, and every gap in their numbers.

A flood is many records, so the usual batch (well-formed, numbers rising by one) is counted without looking at each: the
numbers are compared with what they must be as one list, the priorities are counted as bytes. Anything else is counted
one by one; both ways give the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.kernel.error import ParseError
from kmodmon.kernel.kmsg import KERNEL_PRIORITIES, parse_prefix
from kmodmon.model.log import KERNEL, LEVELS, USER, LogAccount

_MAX_PRIORITY_DIGITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The account after a batch; `fresh` are the records that were counted, `known` those that were counted before."""

    account: LogAccount
    fresh: Sequence[bytes] = ()
    known: Sequence[bytes] = ()


def count(account: LogAccount, records: Sequence[bytes]) -> Counted:
    """Take records into the account, in the order in which they were read."""
    if not records:
        return Counted(account=account)
    return _in_one(account, records) or count_singly(account, records)


def count_singly(account: LogAccount, records: Sequence[bytes]) -> Counted:
    """Count record by record: the definition that :func:`count` must agree with."""
    fresh: list[bytes] = []
    known: list[bytes] = []
    priorities: Counter[int] = Counter()
    first, expected, lost, malformed = account.first_seq, account.next_seq, 0, 0
    for raw in records:
        try:
            priority, seq = parse_prefix(raw)
        except ParseError:
            malformed += 1
            continue
        if expected is not None and seq < expected:
            known.append(raw)
            continue
        first = seq if first is None else first
        lost += 0 if expected is None else seq - expected
        expected = seq + 1
        priorities[priority] += 1
        fresh.append(raw)
    after = replace(
        account,
        first_seq=first,
        next_seq=expected,
        records=_added(account.records, priorities),
        lost=account.lost + lost,
        malformed=account.malformed + malformed,
    )
    return Counted(account=after, fresh=fresh, known=known)


def _in_one(account: LogAccount, records: Sequence[bytes]) -> Counted | None:
    """Count a batch whose numbers rise by one; None when it is no such batch."""
    parts = [raw.split(b",", 2) for raw in records]
    if min(map(len, parts)) < 3 or not parts[0][1].isdigit() or len(parts[0][1]) > 19:
        return None
    first = int(parts[0][1])
    if [part[1] for part in parts] != [b"%d" % seq for seq in range(first, first + len(parts))]:
        return None
    expected = account.next_seq
    known = 0 if expected is None else min(max(0, expected - first), len(parts))
    priorities = _priorities(Counter([part[0] for part in parts[known:]]))
    if priorities is None or (known and _priorities(Counter([part[0] for part in parts[:known]])) is None):
        return None
    if known == len(parts):
        return Counted(account=account, known=records)
    after = replace(
        account,
        first_seq=first + known if account.first_seq is None else account.first_seq,
        next_seq=first + len(parts),
        records=_added(account.records, priorities),
        lost=account.lost + (0 if expected is None else max(0, first - expected)),
    )
    return Counted(account=after, fresh=records[known:], known=records[:known])


def _priorities(digits: Mapping[bytes, int]) -> Mapping[int, int] | None:
    if not all(one.isdigit() and len(one) <= _MAX_PRIORITY_DIGITS for one in digits):
        return None
    counts: Counter[int] = Counter()
    for one, times in digits.items():  # `06` and `6` are the same priority
        counts[int(one)] += times
    return counts


def _added(records: Mapping[tuple[str, str], int], priorities: Mapping[int, int]) -> Mapping[tuple[str, str], int]:
    if not priorities:
        return records
    after = dict(records)
    for priority, times in priorities.items():
        key = LEVELS[priority & 7], KERNEL if priority < KERNEL_PRIORITIES else USER
        after[key] = after.get(key, 0) + times
    return MappingProxyType(after)
