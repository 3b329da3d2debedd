"""What is remembered of modules: it comes back, and no document from a disk raises anything."""

import json

from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.codec import canonical_json
from kmodmon.lifecycle.checkpoint import (
    builds_from_json,
    builds_to_json,
    inventory_from_json,
    inventory_to_json,
    lifecycle_from_json,
    lifecycle_to_json,
)
from kmodmon.lifecycle.inventory import Build, Inventory, Loaded
from kmodmon.lifecycle.pending import HIDING, NO_LIFECYCLE, Discrepancy, Lifecycle
from kmodmon.types.units import Instant, JsonObject, JsonValue
from tests.events.event_strategies import ACTORS, INSTANTS, JSON, TEXT

MAYBE_TEXT = st.none() | TEXT
BUILDS = st.builds(
    Build,
    taint=TEXT,
    version=MAYBE_TEXT,
    srcversion=MAYBE_TEXT,
    build_id=MAYBE_TEXT,
    instance=st.none() | st.integers(),
)
LOADS = st.builds(
    Loaded,
    before_start=st.booleans(),
    while_down=st.booleans(),
    at=st.none() | INSTANTS,
    actor=st.none() | ACTORS,
    init_usec=st.none() | st.integers(),
    signals=st.lists(TEXT, max_size=3).map(tuple),
    build=BUILDS,
)
KEYS = (
    "before_start",
    "while_down",
    "at",
    "actor",
    "init_usec",
    "witnesses",
    "taint",
    "instance",
    "trace_usec",
    "hiding",
)


def through_text(document: JsonObject) -> JsonObject:
    read: JsonObject = json.loads(canonical_json(document))
    return read


@given(st.dictionaries(TEXT, LOADS, max_size=3))
def test_inventory_through_json_text_is_the_same(loaded: dict[str, Loaded]) -> None:
    assert inventory_from_json(through_text(inventory_to_json(Inventory(loaded=loaded)))).loaded == loaded


@given(st.dictionaries(TEXT, BUILDS, max_size=3))
def test_builds_through_json_text_are_the_same(builds: dict[str, Build]) -> None:
    assert builds_from_json(through_text(builds_to_json(builds))) == builds


@given(st.dictionaries(TEXT, st.tuples(st.sampled_from(sorted(HIDING)), INSTANTS), max_size=3), st.integers(0))
def test_lifecycle_through_json_text_is_the_same(hiding: dict[str, tuple[str, Instant]], trace_usec: int) -> None:
    discrepancies = {name: Discrepancy(kind=kind, since=since, reported=True) for name, (kind, since) in hiding.items()}
    life = Lifecycle(trace_usec=trace_usec, discrepancies=discrepancies)
    assert lifecycle_from_json(NO_LIFECYCLE, through_text(lifecycle_to_json(life))) == life


@given(st.dictionaries(TEXT, JSON | st.dictionaries(st.sampled_from(KEYS), JSON), max_size=3))
def test_foreign_document_when_read_then_nothing_is_raised(document: dict[str, JsonValue]) -> None:
    inventory_from_json(document)
    builds_from_json(document)
    lifecycle_from_json(NO_LIFECYCLE, {"hiding": document, **document})
