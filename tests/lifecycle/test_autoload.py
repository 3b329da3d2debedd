"""Autoload requests, which any user can cause: reported once per name, and a flood of names is only counted."""

from kmodmon.events.event import Actor, Event, Process
from kmodmon.events.sentence import sentence_of
from kmodmon.lifecycle.autoload import MAX_REPORTED, requested
from kmodmon.lifecycle.pending import Lifecycle
from kmodmon.lifecycle.signals import TraceEntry, TraceKind
from kmodmon.system.clock import FakeClock
from kmodmon.types.units import Usec

ACTOR = Actor(process=Process(pid=7, comm="mount"), uid=1000)


class Requester:
    """A user who requests modules."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lifecycle = Lifecycle()
        self.reported: list[Event] = []

    def request(self, name: str, after: float = 0.001) -> tuple[Event, ...]:
        self.clock.advance(after)
        now = self.clock.now()
        entry = TraceEntry(kind=TraceKind.REQUEST, monotonic_usec=Usec(now.monotonic_usec), tid=7, module=name,
                           actor=ACTOR)  # fmt: skip
        self.lifecycle, events = requested(self.lifecycle, entry, now)
        self.reported += events
        return events


def test_request_when_repeated_then_told_again_after_a_while_with_their_number() -> None:
    requester = Requester()
    (first,) = requester.request("fs-xfs")
    assert sentence_of(first) == "The kernel was made to ask for module fs-xfs by mount[7] (uid 1000)"
    assert requester.request("fs-xfs") == requester.request("fs-xfs") == ()
    (again,) = requester.request("fs-xfs", after=601)
    assert again.fields["repeats"] == 2


def test_request_when_names_are_made_up_by_the_thousand_then_few_are_told_and_the_rest_is_counted() -> None:
    requester = Requester()
    for number in range(5000):
        requester.request(f"fs-{number}")
    assert len(requester.reported) == MAX_REPORTED and len(requester.lifecycle.request_counts) <= MAX_REPORTED + 1
    (later,) = requester.request("net-pf-9", after=601)
    assert later.fields["untold"] == 5000 - MAX_REPORTED
    assert sentence_of(later).endswith(f"(uid 1000), {5000 - MAX_REPORTED} more before it")
    (following,) = requester.request("net-pf-10")
    assert "untold" not in following.fields


def test_request_when_its_name_is_unreadable_then_it_is_a_name_like_others() -> None:
    requester = Requester()
    assert len(requester.request("")) == 1 and requester.request("") == ()
    assert "untold" not in requester.request("x")[0].fields
