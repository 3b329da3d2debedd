"""Autoload requests, which any user can cause: reported once per name, and a flood of names is only counted."""

from dataclasses import replace

import pytest

from kmodmon.events.budget import MAX_NAMES, UNSPENT, spend
from kmodmon.events.event import Actor, Event, Process
from kmodmon.events.kinds.module import ModuleRefused, ModuleRequested
from kmodmon.events.sentence import sentence_of
from kmodmon.lifecycle.autoload import answered, attempted, attribute, attribute_late, requested, with_requester
from kmodmon.lifecycle.pending import MAX_ATTEMPTS, MAX_REQUESTS, Lifecycle
from kmodmon.lifecycle.signals import TraceEntry, TraceKind
from kmodmon.types.units import Instant, Usec
from tests.fake_clock import FakeClock

ACTOR = Actor(process=Process(pid=7, comm="mount"), uid=1000)


class Requester:
    """A user who requests modules."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.lifecycle = Lifecycle()
        self.budget = UNSPENT
        self.reported: list[Event] = []

    def request(self, name: str, after: float = 0.001) -> tuple[Event, ...]:
        self.clock.advance(after)
        now = self.clock.now()
        entry = TraceEntry(kind=TraceKind.REQUEST, monotonic_usec=Usec(now.monotonic_usec), tid=7, module=name,
                           actor=ACTOR)  # fmt: skip
        self.lifecycle, event = requested(self.lifecycle, entry, now)
        self.budget, events = spend(self.budget, (event,), now)
        requests = tuple(event for event in events if event.type == ModuleRequested.kind.type)
        self.reported += requests
        return requests


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
    assert len(requester.reported) == MAX_NAMES == len(requester.budget.reported)
    (later,) = requester.request("net-pf-9", after=601)
    assert later.fields["untold"] == 5000 - MAX_NAMES
    assert sentence_of(later).endswith(f"(uid 1000), {5000 - MAX_NAMES} more before it")
    (following,) = requester.request("net-pf-10")
    assert "untold" not in following.fields


def test_request_when_repeated_for_ten_minutes_then_it_is_only_counted() -> None:
    requester = Requester()
    assert requester.request("fs-xfs") and requester.request("fs-xfs", after=599.999999) == ()
    (again,) = requester.request("fs-xfs", after=0.000001)
    assert again.fields["repeats"] == 1 and "untold" not in again.fields


@pytest.mark.parametrize(("after", "is_reported"), [(599.999999, False), (600, True)])
def test_request_when_ten_minutes_are_over_then_its_name_and_other_names_are_reported_again(
    after: float, is_reported: bool
) -> None:
    requester = Requester()
    for number in range(MAX_NAMES):
        assert requester.request(f"fs-{number}", after=0)
    assert not requester.request("net-pf-9", after=0)
    requester.clock.advance(after)
    assert bool(requester.request("fs-0", after=0)) is bool(requester.request("net-pf-9", after=0)) is is_reported


def test_request_when_many_names_come_over_hours_then_the_newest_are_kept() -> None:
    requester = Requester()
    for number in range(300):
        assert requester.request(f"fs-{number}", after=7)
    assert [entry.module for entry in requester.lifecycle.requests] == [
        f"fs-{number}" for number in range(300 - MAX_REQUESTS, 300)
    ]


def test_request_when_reported_then_dated_by_the_trace() -> None:
    requester = Requester()
    late = TraceEntry(kind=TraceKind.REQUEST, monotonic_usec=Usec(requester.clock.monotonic_usec), tid=7, module="fs")
    now = requester.clock.now()
    requester.clock.advance(3)
    _, event = requested(requester.lifecycle, late, requester.clock.now())
    assert event.at == now and event.fields["name"] == "fs" and event.fields["repeats"] == 0
    assert event.evidence == (f"module_request traced at {late.monotonic_usec / 1e6:.6f}",)


def test_request_when_its_name_is_unreadable_then_it_is_a_name_like_others() -> None:
    requester = Requester()
    assert len(requester.request("")) == 1 and requester.request("") == ()
    assert "untold" not in requester.request("x")[0].fields


# The task that requested a load


def entry(
    kind: TraceKind,
    seconds: float,
    name: str = "",
    *,
    task: str | None = "modprobe",
    requested_name: str | None = None,
    exited: bool = False,
) -> TraceEntry:
    process = Process(pid=9, comm=task or "", cmdline=(task or "", "-q", "--", f"{name}.ko.xz"))
    actor = None if task is None else Actor(process=process, exited=exited)
    return TraceEntry(
        kind=kind,
        monotonic_usec=Usec(round(seconds * 1e6)),
        tid=9,
        module=name,
        actor=actor,
        requested_name=requested_name,
    )


def requests(*moments: tuple[float, str]) -> Lifecycle:
    entries = (entry(TraceKind.REQUEST, seconds, name, task="mount") for seconds, name in moments)
    return Lifecycle(requests=tuple(entries))


def tools(lifecycle: Lifecycle, *starts: tuple[float, int, str | None]) -> Lifecycle:
    """Tools that were started too: when, with which id, and for which request, where that is known."""
    for seconds, tid, alias in starts:
        lifecycle = attempted(lifecycle, replace(entry(TraceKind.EXEC, seconds, requested_name=alias), tid=tid))
    return lifecycle


FS, NET = (100.0, "fs-xfs"), (101.0, "net-pf-9")


@pytest.mark.parametrize(
    ("recent", "load", "requester"),
    [
        (requests(FS, NET), entry(TraceKind.LOAD, 105, requested_name="fs-xfs"), "mount"),
        (requests(NET), entry(TraceKind.LOAD, 105, requested_name="fs-xfs"), None),
        (requests(FS), entry(TraceKind.LOAD, 110, requested_name="fs-xfs"), "mount"),
        (requests(FS), entry(TraceKind.LOAD, 110.000001, requested_name="fs-xfs"), None),
        (requests(FS), entry(TraceKind.LOAD, 100, requested_name="fs-xfs"), "mount"),
        (requests(FS), entry(TraceKind.LOAD, 99.999999, requested_name="fs-xfs"), None),
        (requests(FS), entry(TraceKind.LOAD, 105, exited=True), "mount"),
        (requests(FS, NET), entry(TraceKind.LOAD, 105, exited=True), None),
        (requests(FS), entry(TraceKind.LOAD, 105), None),
        # By another tool the first request was served, or is; or the second came after the tool had been started.
        (tools(requests(FS, NET), (100.1, 8, "fs-xfs")), entry(TraceKind.LOAD, 105, exited=True), "mount"),
        (tools(requests(FS, NET), (99.9, 8, "fs-xfs")), entry(TraceKind.LOAD, 105, exited=True), None),
        (tools(requests(FS, NET), (100.1, 8, None)), entry(TraceKind.LOAD, 105, exited=True), None),
        (tools(requests(FS, FS, NET), (100.1, 8, "fs-xfs")), entry(TraceKind.LOAD, 105, exited=True), None),
        (tools(requests(FS, NET), (100.5, 9, None)), entry(TraceKind.LOAD, 105, exited=True), "mount"),
        (tools(requests(FS, NET), (101.5, 9, None)), entry(TraceKind.LOAD, 105, exited=True), None),
        (requests(FS), entry(TraceKind.LOAD, 105, task="insmod", requested_name="fs-xfs"), None),
        (requests(FS), entry(TraceKind.LOAD, 105, task=None, requested_name="fs-xfs"), None),
    ],
)
def test_load_when_requests_are_recent_then_the_one_that_it_serves_has_the_requester(
    recent: Lifecycle, load: TraceEntry, requester: str | None
) -> None:
    after = with_requester(recent, load)
    if requester is None:
        assert after is load
    else:
        assert after.actor is not None and after.actor.requester is not None
        assert after.actor.requester.name == requester


def failure(module: str | None, seconds: float, actor: Actor | None = None) -> Event:
    usec = Usec(round(seconds * 1e6))
    at = Instant(realtime_usec=usec, monotonic_usec=usec)
    details = ModuleRefused(reason="unknown", signature="refused", symbol=None, comm=None, printk_usec=None)
    return Event(details=details, at=at, module=module, actor=actor, evidence=("log",))


def attempts(*moments: tuple[float, str]) -> Lifecycle:
    lifecycle = Lifecycle()
    for seconds, name in moments:
        lifecycle = attempted(lifecycle, entry(TraceKind.EXEC, seconds, name))
    return lifecycle


@pytest.mark.parametrize(
    ("recent", "event", "how"),
    [
        (attempts((100, "a-b"), (101, "c")), failure("a_b", 102), "it was told to load it"),
        (attempts((100, "a-b")), failure("a_b", 130), "it was told to load it"),
        (attempts((100, "a-b")), failure("a_b", 130.000001), None),
        (attempts((100, "a-b")), failure("a_b", 99), "it was told to load it"),
        (attempts((100, "a-b")), failure("a_b", 98.999999), None),
        (attempts((100, "c")), failure("a_b", 102), "the only tool started in the two seconds before"),
        (attempts((100, "c")), failure("a_b", 102.000001), None),
        (attempts((100, "c"), (101, "d")), failure("a_b", 101), None),
        (attempts((100, "c")), failure(None, 101), "the only tool started in the two seconds before"),
        (attempts((100, "a-b")), failure("a_b", 101, ACTOR), None),
        (attempts(), failure("a_b", 101), None),
    ],
)
def test_failure_when_only_the_log_has_it_then_the_tool_that_was_started_for_it_is_its_actor(
    recent: Lifecycle, event: Event, how: str | None
) -> None:
    _, (after,) = attribute(recent, (event,))
    if how is None:
        assert after is event
    else:
        assert after.actor is not None and after.actor.name == "modprobe"
        assert after.evidence == ("log", f"exec traced, {how}")


@pytest.mark.parametrize(
    ("cmdline", "is_named"),
    [
        (("insmod", "/tmp/a-b.ko"), True),
        (("insmod", "./a_b.ko.zst", "x=1"), True),
        (("modprobe", "-q", "a_b"), True),
        (("a_b", "other"), False),
        (("insmod", "/a_b/c.ko"), False),
        ((), False),
        (None, False),
    ],
)
def test_failure_when_a_tool_names_the_module_in_an_argument_then_it_was_told_to_load_it(
    cmdline: tuple[str, ...] | None, is_named: bool
) -> None:
    actor = Actor(process=Process(pid=9, comm="insmod", cmdline=cmdline))
    attempt = TraceEntry(kind=TraceKind.EXEC, monotonic_usec=Usec(100_000_000), tid=9, actor=actor)
    _, (after,) = attribute(attempted(Lifecycle(), attempt), (failure("a_b", 110),))
    assert (after.actor == actor) is is_named


def test_failure_when_root_tries_twice_within_two_seconds_then_each_attempt_is_the_actor_of_its_own() -> None:
    """Lockdown does not say which module it refused. Who else starts a tool then could have caused it as well."""

    def started(seconds: float, uid: int, alias: str | None = None) -> TraceEntry:
        actor = Actor(process=Process(pid=int(seconds * 10), comm="insmod", cmdline=("insmod", "/m.ko")), uid=uid)
        usec = Usec(int(seconds * 1_000_000))
        return TraceEntry(kind=TraceKind.EXEC, monotonic_usec=usec, tid=9, actor=actor, requested_name=alias)

    twice = attempted(attempted(Lifecycle(), started(100, 0)), started(101, 0))
    _, (first, second) = attribute(twice, (failure(None, 100.1), failure(None, 101.1)))
    assert (first.actor, second.actor) == (started(100, 0).actor, started(101, 0).actor)
    assert [event.evidence[-1] for event in (first, second)] == [
        "exec traced, of 2 tools that root started in the two seconds before, the nearest",
        "exec traced, the only tool started in the two seconds before that the kernel had not answered yet",
    ]
    for other in (started(101.05, 1000), started(101.05, 0, "fs-xfs")):
        _, (event,) = attribute(attempted(twice, other), (failure(None, 101.1),))
        assert event.actor is None
    _, (named,) = attribute(twice, (failure("other", 101.1),))
    assert named.actor is None


def test_failure_when_the_start_of_the_next_tool_is_not_read_yet_then_the_one_before_is_not_blamed_again() -> None:
    """The log is read at once, the start of a tool a tenth of a second later."""
    lifecycle, (first, second) = attribute(attempts((100, "c")), (failure(None, 100.1), failure(None, 100.6)))
    assert first.actor is not None and second.actor is None
    lifecycle = attempted(lifecycle, replace(entry(TraceKind.EXEC, 100.5, "d"), tid=10))
    lifecycle, ((before, late),) = attribute_late(lifecycle, (second,))
    assert before is second and late.actor is not None and late.actor.process.cmdline is not None
    assert late.actor.process.cmdline[-1] == "d.ko.xz"
    assert attribute_late(lifecycle, (second,)) == (lifecycle, ())


def test_failure_when_the_tool_before_loaded_its_module_then_it_was_not_refused() -> None:
    lifecycle = attempts((100, "c"))
    assert answered(lifecycle, replace(entry(TraceKind.LOAD, 100.1, "c"), tid=8)) is lifecycle
    loaded = answered(lifecycle, entry(TraceKind.LOAD, 100.1, "c"))
    assert answered(loaded, entry(TraceKind.LOAD, 100.2, "c")) is loaded
    _, (event,) = attribute(loaded, (failure(None, 100.3),))
    assert event.actor is None


def test_attempts_when_there_are_many_then_the_newest_are_kept() -> None:
    kept = attempts(*((float(number), f"m{number}") for number in range(100))).attempts
    assert [attempt.module for attempt in kept] == [f"m{number}" for number in range(100 - MAX_ATTEMPTS, 100)]
