"""Any event at all, for property tests: what the parsers can produce and then some."""

from hypothesis import strategies as st

from kmodmon.events.event import Actor, Process, Severity, recorded_event
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.types.units import Instant, JsonValue, Usec

TEXT = st.text(max_size=20)
SAFE = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
ATOMS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), st.booleans(), NUMBERS, st.floats(allow_nan=False, allow_infinity=False), TEXT
)


def _nest(inner: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[JsonValue]:
    return st.one_of(
        st.lists(inner, max_size=3).map(lambda items: tuple(items)), st.dictionaries(TEXT, inner, max_size=3)
    )


JSON = st.recursive(ATOMS, _nest, max_leaves=6)
PROCESSES = st.builds(
    Process,
    pid=st.integers(0, 2**22),
    comm=st.none() | TEXT,
    exe=st.none() | TEXT,
    cmdline=st.none() | st.lists(TEXT, max_size=3).map(tuple),
)


def actors(requester: st.SearchStrategy[Actor | None]) -> st.SearchStrategy[Actor]:
    return st.builds(
        Actor,
        process=PROCESSES,
        uid=st.none() | st.integers(0, 2**32 - 1),
        login_uid=st.none() | st.integers(0, 2**32 - 1),
        parents=st.lists(PROCESSES, max_size=2).map(tuple),
        unit=st.none() | TEXT,
        cgroup=st.none() | TEXT,
        container=st.none() | TEXT,
        requester=requester,
        exited=st.booleans(),
    )


ACTORS = actors(st.none() | actors(st.none()))
INSTANTS = st.builds(
    Instant,
    realtime_usec=st.integers(0, 2**62).map(Usec),
    monotonic_usec=st.integers(0, 2**62).map(Usec),
)
EVENTS = st.builds(
    recorded_event,
    type=st.sampled_from(list(EVENT_KINDS)),
    at=INSTANTS,
    severity=st.sampled_from(Severity),
    module=st.none() | TEXT,
    actor=st.none() | ACTORS,
    evidence=st.lists(TEXT, max_size=3).map(tuple),
    fields=st.dictionaries(TEXT, JSON, max_size=4),
)
