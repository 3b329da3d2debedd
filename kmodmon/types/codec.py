"""One codec between frozen dataclasses and JSON, driven by their type hints.

A dataclass is an object with one member for each field, in the order of the fields; an enum is its value, an `Instant`
is [CLOCK_REALTIME, CLOCK_MONOTONIC] in microseconds, bytes are base64, a frozenset is a sorted array.

JSON from a file, a database or a pipe is foreign: whoever could write it chose its shape. Reading is therefore strict
and raises `ShapeError` and nothing else: true is no number, an unknown word of an enum is refused, a number for a
float is finite. Unknown members are ignored and absent ones take the default of their field, so that documents of a
newer and an older version are read. What is read is immutable: arrays become tuples, objects read-only mappings.

Why no library, measured with CPython 3.11 in a process that already holds the model: msgspec adds 1.5 MiB of PSS,
cattrs 3.4 MiB, this file 0.1 MiB. msgspec refuses mappingproxy and lone surrogates (in a path that is not UTF-8), and
leaves mappings mutable; cattrs reads true as 1 and null as 'None' unless each type gets a hook.
"""

import binascii
import enum
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache, partial
from types import MappingProxyType, NoneType, UnionType
from typing import Literal, Never, NewType, NoReturn, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from kmodmon.types.error import KmodmonError
from kmodmon.types.units import Instant, JsonObject, JsonValue, Usec

T = TypeVar("T")
_Reader = Callable[[object], object]
_Writer = Callable[[Never], JsonValue]  # of one type
_PLAIN: frozenset[type] = frozenset({str, int, float, bool, NoneType})
_NOTHING: frozenset[type] = frozenset()
_NO_FIELDS: Mapping[str, object] = MappingProxyType({})
_INLINE = "inline"


class ShapeError(KmodmonError):
    """JSON that is not of the shape it was said to have; `path` is where, such as `event.actor.pid`."""

    def __init__(self, path: str, wanted: str) -> None:
        self.path = path
        self.wanted = wanted
        super().__init__(f"{path}: wants {wanted}")


# Metadata of a field that holds a dataclass: its members become members of the outer object.
INLINE: Mapping[str, bool] = MappingProxyType({_INLINE: True})


def to_json(value: object, *, without: Collection[str] = ()) -> JsonObject:
    """Give a dataclass as a JSON object; the fields `without` are left out."""
    document: dict[str, JsonValue] = {}
    for member in _members(type(value)):
        if without and member.name in without:
            continue
        item = getattr(value, member.name)
        if member.is_inline:
            document |= to_json(item)
        else:
            document[member.name] = item if member.write is None or item is None else member.write(item)
    return document


def json_value(value: object) -> JsonValue:
    """Give a value of any supported type as JSON; raises TypeError for others."""
    if type(value) in _PLAIN:
        return cast(JsonValue, value)
    write = cast(Callable[[object], JsonValue], _writer(type(value)))
    return write(value)


def _write_array(value: Iterable[object]) -> JsonValue:
    return [cast(JsonValue, item) if type(item) in _PLAIN else json_value(item) for item in value]


def _write_set(value: Iterable[object]) -> JsonValue:
    return sorted(map(json_value, value), key=str)


def _write_mapping(value: Mapping[object, object]) -> JsonValue:
    return {str(name): json_value(item) for name, item in value.items()}


def _find_writer(kind: type) -> _Writer:
    if is_dataclass(kind) and kind is not Instant:
        return to_json
    for base, write in _WRITERS.items():
        if issubclass(kind, base):
            return write
    raise TypeError(f"{kind.__name__} has no JSON form")


_writer: Callable[[type], _Writer] = cache(_find_writer)


def from_json(hint: type[T], value: JsonValue, path: str, /, **given: object) -> T:
    """Undo :func:`to_json`; raises ShapeError with the path below `path`.

    `given` are fields of a dataclass that the caller supplies; they are not read from the document.
    """
    read = partial(_read_dataclass, hint, given=given) if given else _reader(hint)
    return cast(T, _guarded(read, value, path))


def frozen_object(value: JsonValue, path: str) -> JsonObject:
    """Give any JSON object, read-only and with arrays as tuples; raises ShapeError."""
    return cast(JsonObject, _guarded(_read_object, value, path))


def lenient_from_json(cls: type[T], value: JsonValue, path: str = "entry", /, **given: object) -> T:
    """Read a dataclass; a field of another shape takes its default. Raises ShapeError when it has none."""
    return cast(T, _guarded(partial(_read_dataclass, cls, given=given, lenient=True), value, path))


def value_or_none(hint: type[T], value: JsonValue) -> T | None:
    """Read a value; None when it is of another shape."""
    try:
        return from_json(hint, value, "value")
    except ShapeError:
        return None


def entries_from_json(hint: type[T], rows: JsonValue) -> tuple[T, ...]:
    """Read an array of a checkpoint: entries of another shape are dropped; what is no array has none."""
    entries = (_entry(hint, row, _NO_FIELDS) for row in rows) if isinstance(rows, list | tuple) else ()
    return tuple(entry for entry in entries if entry is not None)


def members_from_json(hint: type[T], document: JsonValue, name_field: str | None = None) -> Mapping[str, T]:
    """Read an object of a checkpoint: members of another shape are dropped; what is no object has none.

    `name_field` is the field of a dataclass that holds the name of the member.
    """
    entries: dict[str, T] = {}
    for name, value in document.items() if isinstance(document, Mapping) else ():
        entry = _entry(hint, value, _NO_FIELDS if name_field is None else {name_field: name})
        if entry is not None:
            entries[name] = entry
    return MappingProxyType(entries)


def _entry(hint: type[T], value: JsonValue, given: Mapping[str, object]) -> T | None:
    try:
        return from_json(hint, value, "entry", **given)
    except ShapeError:
        return None


def _guarded(read: _Reader, value: JsonValue, path: str) -> object:
    try:
        return read(value)
    except ShapeError as error:
        raise ShapeError(path + error.path, error.wanted) from None
    except RecursionError:
        raise ShapeError(path, "less depth") from None


@dataclass(frozen=True, slots=True)
class _Member:
    name: str  # of the field, and its key in JSON
    is_inline: bool
    has_default: bool
    write: Callable[[object], JsonValue] | None  # what is not None; None: it is plain, and written as it is
    plain: frozenset[type]  # values of exactly these types are taken as they are, which is most of them
    read: _Reader  # the others


def _find_members(cls: type) -> tuple[_Member, ...]:
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} has no JSON form")
    return tuple(_member(cls, field) for field in fields(cls) if field.init)


_members: Callable[[type], tuple[_Member, ...]] = cache(_find_members)


def _member(cls: type, field: Field[object]) -> _Member:
    hint = get_type_hints(cls)[field.name] if isinstance(field.type, str) else field.type
    has_default = field.default is not MISSING or field.default_factory is not MISSING
    plain = _PLAIN.intersection(get_args(hint) or (hint,)) if get_origin(hint) in (None, Union, UnionType) else _NOTHING
    return _Member(
        name=field.name,
        is_inline=_INLINE in field.metadata,
        has_default=has_default,
        write=_find_hint_writer(hint),
        plain=plain - {float},
        read=_reader(hint),
    )


def _find_hint_writer(hint: object) -> Callable[[object], JsonValue] | None:
    """Give the function that writes values of a type other than None; None for plain values."""
    kinds = (
        {kind for kind in get_args(hint) if kind is not NoneType} if get_origin(hint) in (Union, UnionType) else {hint}
    )
    if kinds <= _PLAIN:
        return None
    kind = kinds.pop() if len(kinds) == 1 else None
    if get_origin(kind) is tuple and get_args(kind)[1:] == (Ellipsis,):
        item = get_args(kind)[0]
        if item in _PLAIN:
            return lambda value: list(cast(Iterable[JsonValue], value))
        if isinstance(item, type) and is_dataclass(item) and item is not Instant:
            return lambda value: [to_json(each) for each in cast(Iterable[object], value)]
    return json_value


def _read_dataclass(
    cls: type, value: object, *, given: Mapping[str, object] = _NO_FIELDS, lenient: bool = False
) -> object:
    document = _object(value)
    arguments = dict(given)
    for member in _members(cls):
        if member.name in given or (member.has_default and not member.is_inline and member.name not in document):
            continue
        item = document if member.is_inline else document.get(member.name)
        try:
            arguments[member.name] = item if type(item) in member.plain else member.read(item)
        except ShapeError as error:
            if not (lenient and member.has_default):
                path = error.path if member.is_inline else f".{member.name}{error.path}"
                raise ShapeError(path, error.wanted) from None
    return cls(**arguments)


def _find_reader(hint: object) -> _Reader:
    """Give the function that reads values of a type; it raises ShapeError with the path below the value."""
    if hint in _ATOMS:
        return _ATOMS[hint]
    if isinstance(hint, NewType):
        return _reader(hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return partial(_read_word, hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_read_dataclass, hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return partial(_read_literal, arguments)
    if origin in (Union, UnionType):
        return partial(_read_union, tuple(map(_reader, arguments)))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return partial(_read_row, tuple(map(_reader, arguments)))
    if origin in (tuple, frozenset):
        return partial(_read_array, origin, _reader(arguments[0]))
    if origin is Mapping and arguments[0] is str:
        return partial(_read_mapping, _reader(arguments[1]))
    return partial(_refuse, hint)


_reader: Callable[[object], _Reader] = cache(_find_reader)


def _expect(value: object, kind: type[T], wanted: str) -> T:
    if isinstance(value, kind):
        return value
    raise ShapeError("", wanted)


def _refuse(hint: object, value: object) -> NoReturn:
    raise TypeError(f"{hint} has no JSON form")


def _object(value: object) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return value
    raise ShapeError("", "an object")


def _read_number(value: object) -> int:
    if isinstance(value, bool):
        raise ShapeError("", "a whole number")
    return _expect(value, int, "a whole number")


def _read_float(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ShapeError("", "a finite number")
    return number


def _read_bytes(value: object) -> bytes:
    try:
        return binascii.a2b_base64(_expect(value, str, "base64"), strict_mode=True)
    except ValueError:  # binascii.Error, and text that is not ASCII
        raise ShapeError("", "base64") from None


def _read_instant(value: object) -> Instant:
    match value:
        case [int(realtime), int(monotonic)] if not (isinstance(realtime, bool) or isinstance(monotonic, bool)):
            return Instant(realtime_usec=Usec(realtime), monotonic_usec=Usec(monotonic))
        case _:
            raise ShapeError("", "two whole numbers")


def _read_object(value: object) -> JsonObject:
    return MappingProxyType({name: _freeze(item) for name, item in _object(value).items()})


def _freeze(value: object) -> JsonValue:
    match value:
        case list() | tuple():
            return tuple(map(_freeze, value))
        case Mapping():
            return {name: _freeze(item) for name, item in value.items()}
        case None | str() | int() | float():
            return value
        case _:
            raise ShapeError("", "what JSON can hold")


def _read_word(words: type[enum.Enum], value: object) -> enum.Enum:
    try:
        return words(_expect(value, str, "a text"))
    except ValueError:
        raise ShapeError("", "a word that this version knows") from None


def _read_literal(words: tuple[object, ...], value: object) -> object:
    for word in words:
        if type(word) is type(value) and word == value:
            return word
    raise ShapeError("", "a word that this version knows")


def _read_union(readers: tuple[_Reader, ...], value: object) -> object:
    error = ShapeError("", "another type")
    for read in readers:
        try:
            return read(value)
        except ShapeError as refusal:
            # "null" says least of what is wanted
            error = refusal if read is not _ATOMS[NoneType] else error
    raise error


def _items(value: object) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise ShapeError("", "an array")
    return tuple(value)


def _read_array(kind: Callable[[Iterator[object]], object], read: _Reader, value: object) -> object:
    return kind(map(read, _items(value)))


def _read_row(readers: tuple[_Reader, ...], value: object) -> object:
    items = _items(value)
    if len(items) != len(readers):
        raise ShapeError("", f"an array of {len(readers)}")
    return tuple(read(item) for read, item in zip(readers, items, strict=True))


def _read_mapping(read: _Reader, value: object) -> Mapping[str, object]:
    return MappingProxyType({name: read(item) for name, item in _object(value).items()})


_WRITERS: Mapping[type, _Writer] = MappingProxyType(
    {
        enum.Enum: lambda value: value.value,  # before str and int, of which an enum may be one
        str: lambda value: value,
        int: lambda value: value,
        float: lambda value: value,
        tuple: _write_array,
        list: _write_array,
        Instant: lambda at: [at.realtime_usec, at.monotonic_usec],
        bytes: lambda value: binascii.b2a_base64(value, newline=False).decode(),
        frozenset: _write_set,
        Mapping: _write_mapping,
    }
)
_ATOMS: Mapping[object, _Reader] = MappingProxyType(
    {
        bool: lambda value: _expect(value, bool, "true or false"),
        int: _read_number,
        float: _read_float,
        str: lambda value: _expect(value, str, "a text"),
        bytes: _read_bytes,
        NoneType: lambda value: _expect(value, NoneType, "null"),
        Instant: _read_instant,
        JsonObject: _read_object,
        JsonValue: _freeze,
    }
)
