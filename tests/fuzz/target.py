"""What a fuzz target is, and the rules that hold for the results of all of them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import GeneratorType
from typing import TypeAlias

from kmodmon.types.text import printable

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
CRASHES = HERE / "crashes"
Seeds: TypeAlias = Callable[[], Iterable[bytes]]

# A result may be larger than its input (an escape `\xNN` takes four characters for a byte, a parsed line has a title
# from a table), but not by more than this.
GROWTH = 400
BASE = 400_000


@dataclass(frozen=True, slots=True)
class Target:
    """One function of bytes. `raises`: what its docstring promises, () if that is nothing."""

    name: str
    run: Callable[[bytes], object]
    raises: tuple[type[Exception], ...]
    max_bytes: int = 4096  # of an input
    safe: bool = True  # every text in the result is printable


def digest(data: bytes) -> str:
    """The name of the file of an input."""
    return hashlib.sha256(data).hexdigest()[:16]


def attempt(target: Target, data: bytes) -> None:
    """Give one input to a target; raises AssertionError, or what the target must not raise."""
    try:
        result = target.run(data)
    except target.raises:
        return
    size = measure(result, safe=target.safe)
    assert size <= GROWTH * len(data) + BASE, f"{size} characters made of {len(data)} bytes"


def measure(result: object, *, safe: bool) -> int:
    """Characters, bytes and other values in a result, at any depth; with `safe`, a text must be printable."""
    size = 0
    pending = [result]
    while pending:
        value = pending.pop()
        size += 1
        if isinstance(value, Enum):
            continue
        if isinstance(value, str):
            size += len(value)
            assert not safe or printable(value) == value, f"not a safe text: {value[:80]!r}"
        elif isinstance(value, bytes | bytearray):
            size += len(value)
        else:
            pending += parts(value)
    return size


def parts(value: object) -> Iterable[object]:
    """What a container or a data class holds; nothing for any other value."""
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, tuple | list | set | frozenset | GeneratorType):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name) for each in fields(value)]
    return ()
