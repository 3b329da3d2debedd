"""The codec: any value of any type comes back from its JSON text, and any document is a value or a ShapeError."""

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.types.codec import (
    INLINE,
    ShapeError,
    entries_from_json,
    from_json,
    json_value,
    lenient_from_json,
    members_from_json,
    to_json,
    value_or_none,
)
from kmodmon.types.units import Instant, JsonObject, JsonValue, Usec
from tests.events.event_strategies import INSTANTS, JSON, TEXT

ZERO = Usec(0)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str
    size: Usec = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    path: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    truth: bool
    number: int
    real: float
    text: str
    raw: bytes
    colour: Colour
    level: Literal["low", 1]
    at: Instant
    maybe: int | None
    either: int | str
    texts: tuple[str, ...]
    row: tuple[str, int | None, bool]
    leaves: tuple[Leaf, ...]
    names: frozenset[str]
    counts: Mapping[str, int]
    by_name: Mapping[str, Leaf]
    document: JsonObject
    child: "Tree | None" = None
    trunk: Leaf = field(metadata=INLINE)


def leaves() -> st.SearchStrategy[Leaf]:
    return st.builds(Leaf, name=TEXT, size=st.integers().map(Usec))


def trees(child: st.SearchStrategy[Tree | None]) -> st.SearchStrategy[Tree]:
    return st.builds(
        Tree,
        truth=st.booleans(),
        number=st.integers(),
        real=st.floats(allow_nan=False, allow_infinity=False),
        text=TEXT,
        raw=st.binary(max_size=8),
        colour=st.sampled_from(Colour),
        level=st.sampled_from(["low", 1]),
        at=INSTANTS,
        maybe=st.none() | st.integers(),
        either=st.integers() | TEXT,
        texts=st.lists(TEXT, max_size=3).map(tuple),
        row=st.tuples(TEXT, st.none() | st.integers(), st.booleans()),
        leaves=st.lists(leaves(), max_size=2).map(tuple),
        names=st.frozensets(TEXT, max_size=3),
        counts=st.dictionaries(TEXT, st.integers(), max_size=3),
        by_name=st.dictionaries(TEXT, leaves(), max_size=2),
        document=st.dictionaries(TEXT, JSON, max_size=3),
        child=child,
        trunk=leaves(),
    )


TREES = trees(st.one_of(st.none(), trees(st.none())))
PLAIN = Tree(
    truth=True, number=1, real=0.5, text="t", raw=b"r", colour=Colour.RED, level="low",
    at=Instant(realtime_usec=Usec(2), monotonic_usec=Usec(1)), maybe=None, either="e", texts=("a",),
    row=("a", None, True),
    leaves=(Leaf(name="l"),), names=frozenset({"b", "a"}), counts={"c": 1}, by_name={"l": Leaf(name="l")}, document={},
    trunk=Leaf(name="trunk"),
)  # fmt: skip


def through_text(value: object) -> JsonObject:
    document: JsonObject = json.loads(json.dumps(to_json(value)))
    return document


@given(TREES)
def test_any_value_through_json_text_is_the_same_value(tree: Tree) -> None:
    assert from_json(Tree, through_text(tree), "tree") == tree
    assert lenient_from_json(Tree, through_text(tree)) == tree


def test_to_json_when_written_then_members_are_in_the_order_of_the_fields() -> None:
    document = to_json(PLAIN)
    assert list(document)[:-3] == [each.name for each in fields(Tree)][:-2]
    assert list(document)[-3:] == ["child", "name", "size"]
    assert document["at"] == [2, 1] and document["colour"] == "red" and document["names"] == ["a", "b"]
    assert document["raw"] == "cg==" and document["leaves"] == [{"name": "l", "size": 0}]
    assert {"child", "name"}.isdisjoint(to_json(PLAIN, without={"child", "trunk"}))


@given(st.sampled_from([each.name for each in fields(Tree)]), JSON)
def test_foreign_member_gives_a_value_or_a_shape_error_with_its_path(name: str, foreign: JsonValue) -> None:
    try:
        from_json(Tree, {**through_text(PLAIN), name: foreign}, "tree")
    except ShapeError as error:
        assert error.path.startswith(f"tree.{name}")


@given(JSON)
def test_foreign_document_gives_a_value_or_a_shape_error(foreign: JsonValue) -> None:
    for hint in (Tree, Leaf, Instant, Colour, tuple[Leaf, ...], Mapping[str, Instant]):
        try:
            from_json(hint, foreign, "x")
        except ShapeError as error:
            assert error.path.startswith("x")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"truth": 1}, "tree.truth"),
        ({"number": True}, "tree.number"),
        ({"number": 1.0}, "tree.number"),
        ({"real": True}, "tree.real"),
        ({"real": math.nan}, "tree.real"),
        ({"real": math.inf}, "tree.real"),
        ({"real": 10**400}, "tree.real"),
        ({"text": None}, "tree.text"),
        ({"raw": "?"}, "tree.raw"),
        ({"raw": "\udc80"}, "tree.raw"),
        ({"colour": "green"}, "tree.colour"),
        ({"colour": ["red"]}, "tree.colour"),
        ({"level": True}, "tree.level"),
        ({"at": [1]}, "tree.at"),
        ({"at": [True, 1]}, "tree.at"),
        ({"maybe": "1"}, "tree.maybe"),
        ({"either": None}, "tree.either"),
        ({"texts": "abc"}, "tree.texts"),
        ({"texts": [1]}, "tree.texts"),
        ({"row": ["a", None]}, "tree.row"),
        ({"leaves": [{"name": 1}]}, "tree.leaves.name"),
        ({"leaves": [{}]}, "tree.leaves.name"),
        ({"names": {}}, "tree.names"),
        ({"counts": {"a": None}}, "tree.counts"),
        ({"by_name": {"a": {"name": "a", "size": "1"}}}, "tree.by_name.size"),
        ({"document": []}, "tree.document"),
        ({"child": []}, "tree.child"),
        ({"name": None}, "tree.name"),
    ],
)
def test_wrong_member_is_named_by_its_path(change: JsonObject, path: str) -> None:
    with pytest.raises(ShapeError) as caught:
        from_json(Tree, {**through_text(PLAIN), **change}, "tree")
    assert caught.value.path == path


def test_from_json_when_read_then_all_is_frozen() -> None:
    tree = from_json(Tree, {**through_text(PLAIN), "document": {"a": [[1]]}}, "tree")
    assert isinstance(tree.counts, MappingProxyType) and isinstance(tree.by_name, MappingProxyType)
    assert isinstance(tree.document, MappingProxyType) and tree.document["a"] == ((1,),)
    assert tree.row == ("a", None, True)


def test_from_json_when_members_are_unknown_or_absent_then_ignored_and_default() -> None:
    assert from_json(Leaf, {"name": "l", "new": 1}, "leaf") == Leaf(name="l")


def test_from_json_when_a_field_is_given_then_the_document_is_not_asked() -> None:
    assert from_json(Leaf, {"name": 7, "size": 3}, "leaf", name="l") == Leaf(name="l", size=Usec(3))
    assert from_json(Place, {}, "place", path="/p", value="v") == Place(path="/p", value="v")


def test_from_json_when_a_document_is_too_deep_then_shape_error() -> None:
    document: JsonObject = through_text(PLAIN)
    for _ in range(100_000):
        document = {"child": document}
    with pytest.raises(ShapeError):
        from_json(Tree, document, "tree")
    nested: JsonValue = ()
    for _ in range(100_000):
        nested = (nested,)
    with pytest.raises(ShapeError, match="less depth"):
        from_json(Tree, {**through_text(PLAIN), "document": {"a": nested}}, "tree")


def test_entries_when_of_another_shape_then_dropped() -> None:
    rows: JsonValue = [["a", 1, True], ["a", True, True], 7, ["b", None, False]]
    assert entries_from_json(tuple[str, int | None, bool], rows) == (("a", 1, True), ("b", None, False))
    assert entries_from_json(str, "abc") == () and entries_from_json(str, None) == ()


def test_members_when_of_another_shape_then_dropped() -> None:
    document: JsonObject = {"a": [1, 2], "b": [1], "c": None}
    assert members_from_json(Instant, document) == {"a": Instant(realtime_usec=Usec(1), monotonic_usec=Usec(2))}
    document = {"l": {"size": 1}, "m": 3, "n": {"size": None}}
    assert members_from_json(Leaf, document, "name") == {"l": Leaf(name="l", size=Usec(1))}
    assert members_from_json(int, [1]) == {}


def test_lenient_when_a_field_is_of_another_shape_then_its_default() -> None:
    assert lenient_from_json(Leaf, {"name": "l", "size": "big"}) == Leaf(name="l")
    with pytest.raises(ShapeError):
        lenient_from_json(Leaf, {"name": None})


@given(JSON)
def test_lenient_reading_of_any_document_raises_nothing(foreign: JsonValue) -> None:
    entries_from_json(Leaf, foreign)
    members_from_json(Leaf, foreign, "name")
    value_or_none(Tree, foreign)


@pytest.mark.parametrize("value", [object(), 1j, {1, 2}])
def test_json_value_when_a_type_has_no_json_form_then_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        json_value(value)


def test_from_json_when_a_hint_has_no_json_form_then_type_error() -> None:
    with pytest.raises(TypeError):
        from_json(complex, 1, "x")
