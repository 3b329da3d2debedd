"""The budget of events that users can provoke: without one, a user could push other events out of the history.

Each name of a kind is told once in PERIOD_USEC, and at most MAX_NAMES names of each share in that time. The rest is
counted: the next event of the name has how often it was repeated, the next event of the share how many others there
were, and one event a period says how many of which types were left out. Name and share are declared with the kind
(`EventKind.budget_name`). Counters of what happened count every event, told or not, but for those that say otherwise
(`EventCounter.reported_only`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.event import Event, EventType, Severity
from kmodmon.events.kinds.daemon import EventsSuppressed
from kmodmon.types.codec import entries_from_json, members_from_json, value_or_none
from kmodmon.types.units import Instant, JsonObject

PERIOD_USEC = 600_000_000
MAX_NAMES = 100  # of one share that are told in a period
MAX_KEPT = 1024  # names that are remembered, of all shares
MAX_LEFT_OUT = 1024  # events without an actor that are kept for a while: who caused one may be known a moment later

Share: TypeAlias = tuple[EventType, str]
Name: TypeAlias = tuple[EventType, str, str]  # a share, and the name


@dataclass(frozen=True, slots=True)
class Reported:
    """When a name was last told, and how often it was repeated since."""

    at_usec: int  # CLOCK_MONOTONIC
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBudget:
    """What was told lately, and what was only counted."""

    reported: Mapping[Name, Reported] = field(default_factory=lambda: MappingProxyType({}))  # the oldest first
    others: Mapping[Share, int] = field(default_factory=lambda: MappingProxyType({}))  # events of names not told
    unnamed: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # by type, in no summary yet
    since_usec: int = 0  # CLOCK_MONOTONIC when the first of `unnamed` was left out
    suppressed: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # by type, in this boot
    left_out: tuple[Event, ...] = ()  # the newest without an actor; in memory only


UNSPENT = EventBudget()


def spend(budget: EventBudget, events: tuple[Event, ...], at: Instant) -> tuple[EventBudget, tuple[Event, ...]]:
    """Return the events that are told by this budget; both are the same objects when it says nothing about them."""
    if any(event.details.kind.budget_name is not None for event in events):
        spender = _Spender(budget, at.monotonic_usec)
        events = tuple(kept for event in events if (kept := spender.reported_event(event)) is not None)
        budget = spender.budget()
    if not budget.unnamed or 0 <= at.monotonic_usec - budget.since_usec < PERIOD_USEC:
        return budget, events
    details = EventsSuppressed(count=sum(budget.unnamed.values()), types=budget.unnamed)
    summary = Event(details=details, at=at, severity=Severity.WARNING)
    return replace(budget, unnamed=MappingProxyType({})), (*events, summary)


def reconsider(budget: EventBudget, attributed: Iterable[tuple[Event, Event]]) -> tuple[EventBudget, tuple[Event, ...]]:
    """Take back events that were left out, and that draw on another share with the actor that is known now.

    `attributed`: each event as it was left out, and with its actor. They were counted when they were left out.
    """
    changed = [
        (before, after)
        for before, after in attributed
        if before.details.kind.budget_share(before) != after.details.kind.budget_share(after)
    ]
    if not changed:
        return budget, ()
    taken = {id(before) for before, _ in changed}
    left_out = tuple(event for event in budget.left_out if id(event) not in taken)
    return replace(budget, left_out=left_out), tuple(after for _, after in changed)


class _Spender:
    """A mutable copy of the budget for the events of one step."""

    def __init__(self, budget: EventBudget, now: int) -> None:
        self._before = budget
        self._now = now
        self._reported, self._others = dict(budget.reported), dict(budget.others)
        self._unnamed, self._suppressed = dict(budget.unnamed), dict(budget.suppressed)
        self._left_out: list[Event] = []

    def budget(self) -> EventBudget:
        """The budget after the events."""
        for name in list(self._reported)[: max(0, len(self._reported) - MAX_KEPT)]:
            del self._reported[name]
        return EventBudget(
            reported=MappingProxyType(self._reported),
            others=MappingProxyType(self._others),
            unnamed=MappingProxyType(self._unnamed),
            since_usec=self._before.since_usec if self._before.unnamed else self._now,
            suppressed=MappingProxyType(self._suppressed),
            left_out=(*self._before.left_out, *self._left_out)[-MAX_LEFT_OUT:],
        )

    def reported_event(self, event: Event) -> Event | None:
        """The event with what was left out before it; None: it is left out."""
        kind = event.details.kind
        if kind.budget_name is None:
            return event
        share: Share = (kind.type, kind.budget_share(event))
        name: Name = (*share, kind.budget_name(event))
        before = self._reported.get(name)
        if before is not None and self._is_recent(before):
            self._reported[name] = Reported(before.at_usec, before.repeats + 1)
            self._leave_out(event)
            return None
        if sum(row[:2] == share and self._is_recent(entry) for row, entry in self._reported.items()) >= MAX_NAMES:
            self._others[share] = self._others.get(share, 0) + 1
            self._leave_out(event)
            return None
        self._reported.pop(name, None)
        self._reported[name] = Reported(self._now)
        repeats, others = 0 if before is None else before.repeats, self._others.pop(share, 0)
        return event if not (repeats or others) else replace(event, details=event.details.after(repeats, others))

    def _is_recent(self, entry: Reported) -> bool:
        return self._now - entry.at_usec < PERIOD_USEC

    def _leave_out(self, event: Event) -> None:
        type = event.type
        if event.actor is None:
            self._left_out.append(event)
        self._unnamed[type] = self._unnamed.get(type, 0) + 1
        self._suppressed[type] = self._suppressed.get(type, 0) + 1


def budget_to_json(budget: EventBudget) -> JsonObject:
    """Write the checkpoint."""
    return {
        "reported": [[*name, entry.at_usec, entry.repeats] for name, entry in budget.reported.items()],
        "others": [[*share, count] for share, count in budget.others.items()],
        "unnamed": dict(budget.unnamed),
        "since": budget.since_usec,
        "suppressed": dict(budget.suppressed),
    }


def budget_from_json(document: JsonObject) -> EventBudget:
    """Undo :func:`budget_to_json`; entries of another shape are dropped."""
    reported = entries_from_json(tuple[str, str, str, int, int], document.get("reported"))
    others = entries_from_json(tuple[str, str, int], document.get("others"))
    return EventBudget(
        reported=MappingProxyType(
            {(EventType(type), share, name): Reported(at, repeats) for type, share, name, at, repeats in reported}
        ),
        others=MappingProxyType({(EventType(type), share): count for type, share, count in others}),
        unnamed=members_from_json(int, document.get("unnamed")),
        since_usec=value_or_none(int, document.get("since")) or 0,
        suppressed=members_from_json(int, document.get("suppressed")),
    )
