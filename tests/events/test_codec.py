import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.codec import (
    MAX_REQUESTERS,
    ShapeError,
    canonical_json,
    object_from_json,
    parse_json,
)
from kmodmon.events.event import Event, StoredEvent
from kmodmon.types.codec import from_json
from kmodmon.types.units import JsonObject, JsonValue
from tests.events.event_json import event_from_json
from tests.events.event_strategies import EVENTS, JSON, TEXT

STORED = st.builds(StoredEvent, id=st.integers(1), boot_id=TEXT, event=EVENTS, prev_hash=TEXT, hash=TEXT)
FOREIGN = st.dictionaries(
    st.sampled_from(
        ["realtime", "monotonic", "type", "severity", "module", "actor", "evidence", "fields", "pid", "id"]
    ),
    JSON,
)


@given(EVENTS)
def test_event_through_json_text_is_the_same_event(event: Event) -> None:
    document = object_from_json(parse_json(canonical_json(event.to_json()), "event"), "event")
    assert event_from_json(document) == event


@given(EVENTS)
def test_event_through_its_own_json_object_is_the_same_event(event: Event) -> None:
    assert event_from_json(event.to_json()) == event


@given(STORED)
def test_stored_event_through_json_text_is_the_same(stored: StoredEvent) -> None:
    document = object_from_json(parse_json(canonical_json(stored.to_json()), "event"), "event")
    assert from_json(StoredEvent, document, "event", event=event_from_json(document)) == stored


@given(FOREIGN, st.sampled_from(["actor", ""]))
def test_foreign_object_gives_an_event_or_a_shape_error(document: JsonObject, under: str) -> None:
    whole: JsonObject = {
        "realtime": 1, "monotonic": 1, "type": "Started", "severity": "info", "module": None, "actor": None,
        "evidence": [], "fields": {},
    }  # fmt: skip
    try:
        event_from_json({**whole, "actor": document} if under else {**whole, **document})
    except ShapeError as error:
        assert error.path.startswith("event")


@given(st.binary() | st.text())
def test_any_text_parses_or_is_a_shape_error(text: bytes | str) -> None:
    try:
        parse_json(text, "row 1")
    except ShapeError as error:
        assert "row 1" in str(error)


def test_deep_json_is_a_shape_error_not_a_crash() -> None:
    with pytest.raises(ShapeError):
        parse_json("[" * 100_000, "row 1")


def test_actor_with_endless_requesters_is_refused() -> None:
    actor: JsonValue = None
    for _ in range(MAX_REQUESTERS + 2):
        actor = {"pid": 1, "requester": actor}
    document: JsonObject = {
        "realtime": 1, "monotonic": 1, "type": "Started", "severity": "info", "actor": actor, "evidence": [],
        "fields": {},
    }  # fmt: skip
    with pytest.raises(ShapeError, match="requesters"):
        event_from_json(document)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "ModuleExploded"}, "event.type"),
        ({"severity": "bad"}, "event.severity"),
        ({"realtime": True}, "event.realtime"),
        ({"realtime": "1"}, "event.realtime"),
        ({"module": 3}, "event.module"),
        ({"evidence": "abc"}, "event.evidence"),
        ({"fields": []}, "event.fields"),
        ({"actor": {"pid": "1"}}, "event.actor.pid"),
        ({"actor": {"pid": 1, "parents": [1]}}, "event.actor.parents"),
    ],
)
def test_wrong_shape_is_named_by_its_path(change: JsonObject, path: str) -> None:
    whole: JsonObject = {
        "realtime": 1, "monotonic": 1, "type": "Started", "severity": "info", "evidence": [], "fields": {},
    }  # fmt: skip
    with pytest.raises(ShapeError) as caught:
        event_from_json({**whole, **change})
    assert caught.value.path == path


def test_canonical_json_of_a_frozen_mapping_and_a_lone_surrogate_reads_back() -> None:
    text = canonical_json({"b": MappingProxyType({"x": "a\\\udc80"}), "a": (1, 2)})
    assert text == b'{"a":[1,2],"b":{"x":"a\\\\\\udc80"}}'
    assert json.loads(text) == {"a": [1, 2], "b": {"x": "a\\\udc80"}}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_canonical_json_of_what_json_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ShapeError, match="JSON"):
        canonical_json({"x": value})
