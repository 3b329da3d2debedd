"""Every dataclass that goes through the codec, with any values: its JSON text gives the same value back."""

import json
from dataclasses import Field, fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.event import Process
from kmodmon.examiner.certificates import KernelFacts
from kmodmon.examiner.protocol import Closing, ExamineRequest, WantedModule
from kmodmon.lifecycle.inventory import Build, Loaded
from kmodmon.preflight.verdict import Obstacle
from kmodmon.subjects.files import FileRecord
from kmodmon.subjects.hidden import HiddenModule
from kmodmon.subjects.module_file import ModuleFile, Package, ParameterFacts, SignatureFacts, Stamp
from kmodmon.subjects.reported import ReportedFingerprint
from kmodmon.subjects.source import SourceState
from kmodmon.subjects.taint import TaintEntry
from kmodmon.types.codec import ShapeError, from_json, lenient_from_json, to_json
from kmodmon.types.units import JsonObject, JsonValue
from tests.events.event_strategies import JSON, TEXT

TYPES = (
    Build, Closing, ExamineRequest, FileRecord, HiddenModule, KernelFacts, Loaded, ModuleFile, Obstacle, Package,
    ParameterFacts, Process, ReportedFingerprint, SignatureFacts, SourceState, Stamp, TaintEntry, WantedModule,
)  # fmt: skip
DOCUMENTS = {"kernel"}  # fields that hold any JSON object


def fields_of(cls: type[object]) -> tuple[Field[object], ...]:
    assert is_dataclass(cls)
    return fields(cls)


def any_value(cls: type[object]) -> st.SearchStrategy[object]:
    """Values of a dataclass, with every field drawn by its type."""
    drawn = {each.name: _any_of_field(each) for each in fields_of(cls) if each.init}
    return st.builds(cls, **drawn)


def _any_of_field(each: Field[object]) -> st.SearchStrategy[object]:
    if each.name in DOCUMENTS:
        return st.none() | st.dictionaries(TEXT, JSON, max_size=2)
    return st.from_type(each.type)  # type: ignore[arg-type]  # a union is none to mypy, and no text here


def through_text(value: object) -> JsonObject:
    document: JsonObject = json.loads(json.dumps(to_json(value)))
    return document


@pytest.mark.parametrize("cls", TYPES)
@given(st.data())
def test_value_through_json_text_is_the_same_value(cls: type[object], data: st.DataObject) -> None:
    value = data.draw(any_value(cls))
    assert from_json(cls, through_text(value), "x") == value
    assert lenient_from_json(cls, through_text(value)) == value


@pytest.mark.parametrize("cls", TYPES)
@given(st.data())
def test_foreign_members_give_a_value_or_a_shape_error(cls: type[object], data: st.DataObject) -> None:
    names = st.sampled_from([each.name for each in fields_of(cls)])
    foreign = data.draw(st.dictionaries(names, JSON, max_size=3))
    try:
        from_json(cls, {**through_text(data.draw(any_value(cls))), **foreign}, "x")
    except ShapeError as error:
        assert error.path.split(".")[:1] == ["x"]


@pytest.mark.parametrize("cls", TYPES)
@given(JSON)
def test_foreign_document_gives_a_value_or_a_shape_error(cls: type[object], foreign: JsonValue) -> None:
    for read in (from_json, lenient_from_json):
        try:
            read(cls, foreign, "x")
        except ShapeError as error:
            assert error.path.startswith("x")
