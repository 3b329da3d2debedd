"""Autoload requests, which anybody can cause: told by name, and no flood of names drives what matters away."""

from kmodmon.events.event import Actor, Event, Process
from kmodmon.events.sentence import sentence_of
from kmodmon.lifecycle.autoload import MAX_REPORTED, requested
from kmodmon.lifecycle.pending import Lifecycle
from kmodmon.lifecycle.signals import TraceEntry, TraceKind
from kmodmon.system.clock import FakeClock
from kmodmon.types.units import Usec

ACTOR = Actor(process=Process(pid=7, comm="mount"), uid=1000)


class Asking:
    """A user who asks for modules."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.life = Lifecycle()
        self.told: list[Event] = []

    def ask(self, name: str, after: float = 0.001) -> tuple[Event, ...]:
        self.clock.advance(after)
        now = self.clock.now()
        entry = TraceEntry(kind=TraceKind.REQUEST, monotonic_usec=Usec(now.monotonic_usec), tid=7, module=name,
                           actor=ACTOR)  # fmt: skip
        self.life, events = requested(self.life, entry, now)
        self.told += events
        return events


def test_request_when_repeated_then_told_again_after_a_while_with_their_number() -> None:
    asking = Asking()
    (first,) = asking.ask("fs-xfs")
    assert sentence_of(first) == "The kernel was made to ask for module fs-xfs by mount[7] (uid 1000)"
    assert asking.ask("fs-xfs") == asking.ask("fs-xfs") == ()
    (again,) = asking.ask("fs-xfs", after=601)
    assert again.fields["repeats"] == 2


def test_request_when_names_are_made_up_by_the_thousand_then_few_are_told_and_the_rest_is_counted() -> None:
    asking = Asking()
    for number in range(5000):
        asking.ask(f"fs-{number}")
    assert len(asking.told) == MAX_REPORTED and len(asking.life.request_counts) <= MAX_REPORTED + 1
    (later,) = asking.ask("net-pf-9", after=601)
    assert later.fields["untold"] == 5000 - MAX_REPORTED
    assert sentence_of(later).endswith(f"(uid 1000), {5000 - MAX_REPORTED} more before it")
    (next_one,) = asking.ask("net-pf-10")
    assert "untold" not in next_one.fields


def test_request_when_its_name_is_unreadable_then_it_is_a_name_like_others() -> None:
    asking = Asking()
    assert len(asking.ask("")) == 1 and asking.ask("") == ()
    assert "untold" not in asking.ask("x")[0].fields
