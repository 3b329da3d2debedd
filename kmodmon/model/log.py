"""The kernel log as an account: which record comes next, how many came by level and origin, how many were lost.

The account is a checkpoint, written in one transaction with the events that the records gave: after a restart or a
SIGKILL reading goes on at `next_seq`, so that nothing is counted twice and nothing that the ring still holds is missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.model.remembered import number_or_none
from kmodmon.model.units import JsonObject, JsonValue

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
KERNEL, USER = "kernel", "user"


class Hearing:
    """The recogniser's memory between two records; only the recogniser looks inside."""

    __slots__ = ()

    @property
    def waits(self) -> bool:
        """Whether a report is open, so that silence must be noticed."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAccount:
    """Counts of this boot. `next_seq` is None until a record was read."""

    next_seq: int | None = None
    records: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))  # (level, origin)
    lost: int = 0  # sequence numbers that were never read
    malformed: int = 0  # records that are no records; the stream goes on
    forged: int = 0  # lines of user space in words that only the kernel uses
    repeats: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({})
    )  # signature -> reports not told again
    suppressed: int = 0  # different reports beyond what is told in one window

    @property
    def total(self) -> int:
        """Records read."""
        return sum(self.records.values())


NO_LOG = LogAccount()


def account_to_json(account: LogAccount) -> JsonObject:
    """The account as a checkpoint."""
    return {
        "next_seq": account.next_seq,
        "records": {f"{level}/{origin}": count for (level, origin), count in account.records.items()},
        "lost": account.lost,
        "malformed": account.malformed,
        "forged": account.forged,
        "repeats": dict(account.repeats),
        "suppressed": account.suppressed,
    }


def account_from_json(document: JsonObject) -> LogAccount:
    """Undo :func:`account_to_json`; what has another shape counts as nothing."""
    records: dict[tuple[str, str], int] = {}
    for name, count in _numbers(document.get("records")).items():
        level, _, origin = name.partition("/")
        records[level, origin] = count
    return replace(
        NO_LOG,
        next_seq=number_or_none(document.get("next_seq")),
        records=MappingProxyType(records),
        lost=number_or_none(document.get("lost")) or 0,
        malformed=number_or_none(document.get("malformed")) or 0,
        forged=number_or_none(document.get("forged")) or 0,
        repeats=MappingProxyType(_numbers(document.get("repeats"))),
        suppressed=number_or_none(document.get("suppressed")) or 0,
    )


def _numbers(value: JsonValue) -> dict[str, int]:
    if not isinstance(value, Mapping):
        return {}
    return {name: count for name, count in value.items() if isinstance(count, int) and not isinstance(count, bool)}
