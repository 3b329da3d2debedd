"""How one input stands for several, and the recorded files that fuzzing starts from."""

import ast
import lzma
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import ParamSpec, TypeVar

from tests.fuzz.target import HERE, Seeds

T = TypeVar("T")
Parameters = ParamSpec("Parameters")
TESTS = HERE.parent
SEPARATOR = b"\n\xfe\n"  # between the files of an input that stands for several; neither valid UTF-8 nor the kernel's
LARGEST_SEED = 1 << 16


def pieces(data: bytes, count: int) -> list[bytes]:
    """`count` byte strings; empty ones when the input has too few separators."""
    found = data.split(SEPARATOR, count - 1)
    return found + [b""] * (count - len(found))


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """The input without its first four bytes, whole and in five parts; these four bytes say where it is cut."""
    places, whole = data[:4], data[4:]
    bounds = [0, *sorted(place * len(whole) // 255 for place in places), len(whole)]
    return whole, [whole[start:end] for start, end in pairwise(bounds)]


def each(*functions: Callable[[bytes], object], raises: type[Exception] | tuple[()] = ()) -> Callable[[bytes], object]:
    """Give the input to every one of these functions, whatever the others raise of `raises`."""

    def run(data: bytes) -> object:
        return [tried(raises, function, data) for function in functions]

    return run


def tried(
    raises: type[Exception] | tuple[type[Exception], ...],
    function: Callable[Parameters, T],
    *arguments: Parameters.args,
    **named: Parameters.kwargs,
) -> T | None:
    """The result; None if it raises one of `raises`."""
    try:
        return function(*arguments, **named)
    except raises:
        return None


def recorded(*patterns: str) -> Seeds:
    """Files below tests/ by glob patterns, a compressed module file also uncompressed."""

    def seeds() -> Iterator[bytes]:
        for pattern in patterns:
            for path in sorted(TESTS.glob(pattern)):
                if path.is_file():
                    yield path.read_bytes()
                    if path.suffix == ".xz":
                        yield lzma.decompress(path.read_bytes())

    return seeds


def joined(*patterns: str, size: int = 1200) -> Seeds:
    """The first bytes of files, joined to one input: of the first file of each pattern, then of the second, and on."""

    def seeds() -> Iterator[bytes]:
        for row in zip(*(recorded(pattern)() for pattern in patterns), strict=False):
            yield SEPARATOR.join(part[:size] for part in row)

    return seeds


def examples(*modules: str) -> Seeds:
    """The examples in test modules: every text and bytes literal that is no docstring."""

    def seeds() -> Iterator[bytes]:
        for module in modules:
            tree = ast.parse((TESTS / f"{module}.py").read_text())
            described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and id(node) not in described:
                    if isinstance(node.value, str):
                        yield node.value.encode("utf-8", "surrogateescape")
                    elif isinstance(node.value, bytes):
                        yield node.value

    return seeds


def behind_cuts(seeds: Seeds) -> Seeds:
    """Seeds for a target that cuts its input."""
    return lambda: (b"\x01\x40\x80\xc0" + seed for seed in seeds())


def changed(seeds: Seeds, *changes: Callable[[bytes], bytes | Iterable[bytes]]) -> Seeds:
    """Seeds derived from others, such as one section of each module file; what cannot be derived is left out."""

    def derived() -> Iterator[bytes]:
        for seed in seeds():
            for change in changes:
                made = tried(Exception, change, seed)
                yield from () if made is None else [made] if isinstance(made, bytes) else made

    return derived


def together(*several: Seeds) -> Seeds:
    """All seeds of several."""
    return lambda: (seed for seeds in several for seed in seeds())


def lines(seeds: Seeds, step: int = 1) -> Seeds:
    """Every `step`th line of the seeds as an input of its own."""
    return lambda: (line for seed in seeds() for line in seed.splitlines()[::step])


def heads(seeds: Seeds, size: int) -> Seeds:
    """The first whole lines of each seed within `size` bytes."""
    return lambda: (seed[:size].rpartition(b"\n")[0] + b"\n" if len(seed) > size else seed for seed in seeds())


def sample(seeds: Sequence[bytes], most: int) -> list[bytes]:
    """At most `most` of the seeds, evenly spread, none of them twice."""
    distinct = list(dict.fromkeys(seed for seed in seeds if seed and len(seed) <= LARGEST_SEED))
    return distinct[:: max(1, -(-len(distinct) // most))]
