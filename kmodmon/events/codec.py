"""Events back from JSON: the exact inverse of their `to_json`, by typed getters and never by indexing.

JSON that comes from a file, a database or a socket is foreign: whoever could write it chose its shape. Every getter
names the path of what it did not like. Arrays become tuples, so that what comes back may live in the model; unknown
keys are ignored, so that a newer kmodmon's events can be read.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn, TypeVar

from kmodmon.events.event import Actor, Event, EventType, Process, Severity, StoredEvent
from kmodmon.types.codec import ShapeError as ShapeError
from kmodmon.types.units import Instant, JsonObject, JsonValue, Usec

WordT = TypeVar("WordT", EventType, Severity)

MAX_REQUESTERS = 8  # an actor's requester may have a requester; a file may claim any number


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
    """Write a value in the one way that is hashed: sorted keys, no spaces, UTF-8; raises ShapeError.

    It is what `jq -cS` writes, so that anybody can check a hash. A lone surrogate (a path that is not UTF-8) becomes
    its JSON escape, which reads back as the same text.
    """
    try:
        text = _CANONICAL.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ShapeError("value", f"what JSON can hold ({error})") from None
    return text.encode("utf-8", "backslashreplace")


def event_from_json(document: JsonObject, path: str = "event") -> Event:
    """Undo `Event.to_json`; raises ShapeError. A type or severity this version does not know is such an error."""
    return Event(
        type=_word(EventType, document, "type", path),
        at=Instant(
            realtime_usec=Usec(_number(document, "realtime", path)),
            monotonic_usec=Usec(_number(document, "monotonic", path)),
        ),
        severity=_word(Severity, document, "severity", path),
        module=_maybe_text(document, "module", path),
        actor=actor_from_json(document.get("actor"), f"{path}.actor"),
        evidence=texts_from_json(document.get("evidence"), f"{path}.evidence"),
        fields=fields_from_json(document.get("fields"), f"{path}.fields"),
    )


def stored_from_json(document: JsonObject, path: str = "event") -> StoredEvent:
    """Undo `StoredEvent.to_json`; raises ShapeError."""
    return StoredEvent(
        id=_number(document, "id", path),
        boot_id=_text(document, "boot_id", path),
        event=event_from_json(document, path),
        prev_hash=_text(document, "prev_hash", path),
        hash=_text(document, "hash", path),
    )


def actor_from_json(value: JsonValue, path: str = "actor", depth: int = 0) -> Actor | None:
    """Undo `Actor.to_json`; None for null; raises ShapeError."""
    if value is None:
        return None
    if depth > MAX_REQUESTERS:
        raise ShapeError(path, f"at most {MAX_REQUESTERS} requesters")
    document = object_from_json(value, path)
    return Actor(
        process=_process(document, path),
        uid=_maybe_number(document, "uid", path),
        login_uid=_maybe_number(document, "login_uid", path),
        parents=tuple(
            _process(object_from_json(parent, f"{path}.parents"), f"{path}.parents")
            for parent in _array(document.get("parents", ()), f"{path}.parents")
        ),
        unit=_maybe_text(document, "unit", path),
        cgroup=_maybe_text(document, "cgroup", path),
        container=_maybe_text(document, "container", path),
        requester=actor_from_json(document.get("requester"), f"{path}.requester", depth + 1),
        exited=_truth(document.get("exited", False), f"{path}.exited"),
    )


def texts_from_json(value: JsonValue, path: str) -> tuple[str, ...]:
    """Give an array of texts; raises ShapeError."""
    items = _array(value, path)
    return tuple(item if isinstance(item, str) else _refuse(path, "an array of texts") for item in items)


def fields_from_json(value: JsonValue, path: str) -> JsonObject:
    """Give an object with every array in it as a tuple; raises ShapeError."""
    document = object_from_json(value, path)
    try:
        return MappingProxyType({name: _frozen(item) for name, item in document.items()})
    except RecursionError:
        raise ShapeError(path, "less depth") from None


def object_from_json(value: JsonValue, path: str) -> JsonObject:
    """Give `value` if it is an object; raises ShapeError."""
    return value if isinstance(value, Mapping) else _refuse(path, "an object")


def _frozen(value: JsonValue) -> JsonValue:
    match value:
        case list() | tuple():
            return tuple(_frozen(item) for item in value)
        case Mapping():
            return {name: _frozen(item) for name, item in value.items()}
        case _:
            return value


def _process(document: JsonObject, path: str) -> Process:
    words = document.get("cmdline")
    return Process(
        pid=_number(document, "pid", path),
        comm=_maybe_text(document, "comm", path),
        exe=_maybe_text(document, "exe", path),
        cmdline=None if words is None else texts_from_json(words, f"{path}.cmdline"),
    )


def _refuse(path: str, wanted: str) -> NoReturn:
    raise ShapeError(path, wanted)


def _word(words: type[WordT], document: JsonObject, name: str, path: str) -> WordT:
    try:
        return words(_text(document, name, path))
    except ValueError:
        raise ShapeError(f"{path}.{name}", "a word that this version knows") from None


def _array(value: JsonValue, path: str) -> Sequence[JsonValue]:
    return value if isinstance(value, list | tuple) else _refuse(path, "an array")


def _text(document: JsonObject, name: str, path: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else _refuse(f"{path}.{name}", "a text")


def _maybe_text(document: JsonObject, name: str, path: str) -> str | None:
    return None if document.get(name) is None else _text(document, name, path)


def _number(document: JsonObject, name: str, path: str) -> int:
    value = document.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return _refuse(f"{path}.{name}", "a whole number")


def _maybe_number(document: JsonObject, name: str, path: str) -> int | None:
    return None if document.get(name) is None else _number(document, name, path)


def _truth(value: JsonValue, path: str) -> bool:
    return value if isinstance(value, bool) else _refuse(path, "true or false")


T = TypeVar("T")


def instant_to_json(at: Instant | None) -> JsonValue:
    """Both clocks, in microseconds."""
    return None if at is None else [at.realtime_usec, at.monotonic_usec]


def instant_from_json(value: JsonValue) -> Instant | None:
    """Undo :func:`instant_to_json`; None for anything else."""
    match value:
        case [int(realtime), int(monotonic)]:
            return Instant(realtime_usec=Usec(realtime), monotonic_usec=Usec(monotonic))
        case _:
            return None


def text_or_none(value: JsonValue) -> str | None:
    """A JSON string, None for anything else."""
    return value if isinstance(value, str) else None


def number_or_none(value: JsonValue) -> int | None:
    """A JSON integer, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def actor_or_none(value: JsonValue) -> Actor | None:
    """An actor, None for anything else."""
    return _quietly(lambda: actor_from_json(value))


def _quietly(parse: Callable[[], T | None]) -> T | None:
    try:
        return parse()
    except ShapeError:
        return None
