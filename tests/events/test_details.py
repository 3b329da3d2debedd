"""Typed details of events: declared like frozen dataclasses, and behaving like them."""

from dataclasses import FrozenInstanceError
from typing import ClassVar

import pytest

from kmodmon.events.event import EventDetails, EventKind, EventType, member


class Changed(EventDetails):
    """A kind of the tests."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("Changed"), message_id="0" * 32, sentence="Changed", title="Changed", advice="-"
    )
    name: str
    was: str | None = member(key="old")
    again: bool = member(default=False, optional=True)
    times: int = 1


class ChangedTwice(Changed):
    """Another shape of the same kind."""

    why: str


def test_details_when_made_then_fields_are_in_the_order_of_the_declaration() -> None:
    details = ChangedTwice(why="because", name="a", was=None)
    assert list(details.fields().items()) == [("name", "a"), ("old", None), ("times", 1), ("why", "because")]
    assert (details.type, details.times, details.again) == ("Changed", 1, False)
    assert "again" in Changed(name="a", was="b", again=True).fields()


def test_details_when_a_value_is_missing_or_unknown_then_refused() -> None:
    with pytest.raises(TypeError, match="Changed wants was"):
        Changed(name="a")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Changed has no wer"):
        Changed(name="a", was=None, wer="b")  # type: ignore[call-arg]


def test_details_when_written_to_then_refused() -> None:
    details = Changed(name="a", was=None)
    with pytest.raises(FrozenInstanceError):
        details.name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del details.name
    assert details.name == "a"


def test_details_when_of_one_class_with_equal_values_then_equal() -> None:
    details = Changed(name="a", was=None)
    assert details == Changed(name="a", was=None, times=1)
    assert hash(details) == hash(Changed(name="a", was=None))
    assert details != Changed(name="b", was=None)
    assert details != ChangedTwice(name="a", was=None, why="") != details
    assert details != "a"
    assert repr(details) == "Changed(name='a', was=None, again=False, times=1)"
