"""What is remembered of modules: it comes back, and no document from a disk raises anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.codec import canonical_json
from kmodmon.lifecycle.checkpoint import (
    builds_from_json,
    builds_to_json,
    inventory_from_json,
    inventory_joined,
    inventory_to_json,
    lifecycle_from_json,
    lifecycle_to_json,
)
from kmodmon.lifecycle.inventory import Build, Inventory, Loaded
from kmodmon.lifecycle.pending import HIDING, LEFT, NEVER_TRACED, NO_LIFECYCLE, REMADE, Discrepancy, Lifecycle
from kmodmon.types.units import Instant, JsonObject, JsonValue, Usec
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


NOON = Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(5_000_000))


@pytest.mark.parametrize(
    ("entry", "loaded"),
    [
        ({}, Loaded(before_start=True)),
        ({"before_start": 0, "while_down": 1, "at": [1], "init_usec": "2", "coming": True}, Loaded(before_start=True)),
        ({"before_start": False, "witnesses": ["trace", 3]}, Loaded(before_start=False, signals=("trace",))),
        ({"witnesses": []}, Loaded(before_start=True, signals=())),
        (
            {"taint": "OE", "version": 3, "srcversion": "A", "instance": 7},
            Loaded(before_start=True, build=Build(taint="OE", srcversion="A", instance=7)),
        ),
        ([], None),
        ("text", None),
    ],
)
def test_loaded_when_fields_are_absent_or_of_another_shape_then_they_take_their_defaults(
    entry: JsonValue, loaded: Loaded | None
) -> None:
    assert dict(inventory_from_json({"m": entry}).loaded) == ({} if loaded is None else {"m": loaded})


def test_loaded_when_its_init_runs_then_that_is_read_anew() -> None:
    loads = {"m": Loaded(before_start=False, coming=True)}
    assert not inventory_from_json(inventory_to_json(Inventory(loaded=loads))).loaded["m"].coming


@pytest.mark.parametrize(
    ("now", "was", "is_taken"),
    [
        (Loaded(before_start=True, build=Build(instance=1)), Build(instance=1), True),
        (Loaded(before_start=True, build=Build(instance=1)), Build(instance=2), False),
        (Loaded(before_start=False, build=Build(instance=1)), Build(instance=1), False),
        (Loaded(before_start=True, build=Build(instance=1)), None, False),
    ],
)
def test_inventory_when_joined_then_only_loads_from_before_the_start_and_of_the_same_directory_are_taken(
    now: Loaded, was: Build | None, is_taken: bool
) -> None:
    earlier = {} if was is None else {"m": Loaded(before_start=False, at=NOON, build=was)}
    inventory = inventory_joined(Inventory(loaded={"m": now}), inventory_to_json(Inventory(loaded=earlier)))
    assert inventory.loaded["m"] == (earlier["m"] if is_taken else now)


@pytest.mark.parametrize("document", [{}, {"trace_usec": None, "hiding": None}, {"trace_usec": "5", "hiding": []}])
def test_lifecycle_when_nothing_of_it_is_readable_then_all_of_the_trace_is_new(document: JsonObject) -> None:
    assert lifecycle_from_json(NO_LIFECYCLE, document) == NO_LIFECYCLE


def test_lifecycle_when_saved_then_only_reported_discrepancies_that_hide_a_module_are_kept() -> None:
    discrepancies = {
        "hidden": Discrepancy(kind=LEFT, since=NOON, reported=True),
        "open": Discrepancy(kind=LEFT, since=NOON),
        "remade": Discrepancy(kind=REMADE, since=NOON, reported=True),
    }
    document = lifecycle_to_json(Lifecycle(trace_usec=8, discrepancies=discrepancies))
    since: JsonValue = [NOON.realtime_usec, NOON.monotonic_usec]
    assert document == {"trace_usec": 8, "hiding": {"hidden": [LEFT, since]}}
    foreign: JsonObject = {"trace_usec": 8, "hiding": {"hidden": [LEFT, since], "listed": [NEVER_TRACED, since]}}
    after = lifecycle_from_json(NO_LIFECYCLE, foreign)
    assert dict(after.discrepancies) == {"hidden": discrepancies["hidden"]} and after.trace_usec == 8
    assert set(after.hiding) == {"hidden"} and not after.waits and not after.discrepancies["hidden"].while_down
