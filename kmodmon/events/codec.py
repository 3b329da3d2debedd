"""Reads the parts of a stored event that are JSON (actor, evidence, fields), and reads and writes JSON texts.

JSON from a file, a database or a socket is untrusted: anyone who can write it may choose its shape. Reading is strict
(`kmodmon/types/codec.py`), and errors name the path. Unknown members are ignored, so that events of a newer kmodmon
can be read.
"""

import json
from collections.abc import Mapping

from kmodmon.events.event import Actor
from kmodmon.types.codec import ShapeError as ShapeError
from kmodmon.types.codec import from_json, frozen_object
from kmodmon.types.units import JsonObject, JsonValue

MAX_REQUESTERS = 8  # requesters of requesters; a document could nest any number of them


def _plain(value: object) -> dict[str, JsonValue]:
    if isinstance(value, Mapping):  # a frozen mapping; json knows only dict
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
)


def parse_json(text: str | bytes, path: str) -> JsonValue:
    """Give the value of a JSON text; raises ShapeError and nothing else, however deep or broken it is."""
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        raise ShapeError(path, "JSON") from None
    return value


def canonical_json(value: JsonValue) -> bytes:
    """Write a value in the canonical form, which is hashed: sorted keys, no spaces, UTF-8; raises ShapeError.

    `jq -cS` writes the same form, so that a hash can be checked without kmodmon. A lone surrogate (from a path that is
    not UTF-8) is written as its JSON escape, which is read back as the same text.
    """
    try:
        text = _CANONICAL.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ShapeError("value", f"what JSON can hold ({error})") from None
    return text.encode("utf-8", "backslashreplace")


def actor_from_json(value: JsonValue, path: str = "actor") -> Actor | None:
    """Undo `Actor.to_json`; None for null; raises ShapeError."""
    if value is None:
        return None
    requester: JsonValue = value
    for _ in range(MAX_REQUESTERS + 1):
        requester = requester.get("requester") if isinstance(requester, Mapping) else None
    if requester is not None:
        raise ShapeError(path, f"at most {MAX_REQUESTERS} requesters")
    return from_json(Actor, value, path)


def texts_from_json(value: JsonValue, path: str) -> tuple[str, ...]:
    """Give an array of texts; raises ShapeError."""
    return from_json(tuple[str, ...], value, path)


def fields_from_json(value: JsonValue, path: str) -> JsonObject:
    """Give an object with every array in it as a tuple; raises ShapeError."""
    return frozen_object(value, path)


def object_from_json(value: JsonValue, path: str) -> JsonObject:
    """Give `value` if it is an object; raises ShapeError."""
    if isinstance(value, Mapping):
        return value
    raise ShapeError(path, "an object")


def actor_or_none(value: JsonValue) -> Actor | None:
    """Give an actor, None for anything else."""
    try:
        return actor_from_json(value)
    except ShapeError:
        return None
