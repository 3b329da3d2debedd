"""Words that no identifier of the product may use, and class names that stand for two things."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
ROOMS = ("kmodmon", "grafana/src")

# As the name of a variable, an argument or a field: they do not say what it is.
VARIABLES = frozenset(("found", "one", "gone", "many", "made", "seen", "known", "look", "looked"))
# As a part of any identifier, in any case, also in the plural: metaphors, which must be explained to be understood.
METAPHORS = frozenset(
    (
        "told", "tell", "hear", "heard", "hearing", "ear", "said", "spoken", "books", "settling", "lives", "comings",
        "doubt", "scene", "surroundings", "around", "witness", "stand", "stood", "standing", "dues", "pay", "owed",
        "telling", "saying", "sayings", "card", "glance", "attended", "snatch", "bear", "heeds", "grant", "greet",
        "goodbye", "crowd", "victim", "steady", "frugal", "hurry", "aside", "klass", "hush", "errand",
    )
)  # fmt: skip
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class Use(NamedTuple):
    """One identifier, the line where it is, and whether it names a variable."""

    name: str
    line: int
    variable: bool = False


def uses(tree: ast.AST) -> Iterator[Use]:
    """Every identifier of a file."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=str(name), lineno=line) | ast.arg(arg=str(name), lineno=line):
                yield Use(name, line, variable=True)
            case ast.Attribute(attr=str(name), ctx=context, lineno=line):
                yield Use(name, line, variable=isinstance(context, ast.Store))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield Use(node.name, node.lineno)
            case ast.keyword(arg=str(name), lineno=line):
                yield Use(name, line)
            case (
                ast.MatchAs(name=str(name), lineno=line)
                | ast.MatchStar(name=str(name), lineno=line)
                | ast.MatchMapping(rest=str(name), lineno=line)
                | ast.ExceptHandler(name=str(name), lineno=line)
            ):
                yield Use(name, line, variable=True)
            case ast.MatchClass(kwd_attrs=names, lineno=line):
                yield from (Use(name, line) for name in names)
            case ast.alias(name=name, asname=other, lineno=line):
                yield from (Use(part, line) for part in (other or name).split("."))


def forbidden(use: Use) -> Iterator[str]:
    """The words of an identifier that it may not have."""
    if use.variable and use.name.strip("_") in VARIABLES:
        yield use.name.strip("_")
    for part in _PART.findall(use.name):
        yield from (word for word in METAPHORS if part.lower() in (word, f"{word}s", f"{word}es"))


def files() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def words() -> dict[tuple[str, str], int]:
    """The first line of each forbidden word in each file; 0 where the path itself has it."""
    first: dict[tuple[str, str], int] = {}
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        parts = [Use(part, 0) for part in name.removesuffix(".py").split("/")]
        for use in (*parts, *uses(ast.parse(path.read_text()))):
            for word in forbidden(use):
                first.setdefault((name, word), use.line)
    return first


def test_identifiers_when_read_then_no_word_is_there_that_a_stranger_must_guess() -> None:
    assert [f"{path}:{line}: {word}" for (path, word), line in words().items()] == []


def test_classes_when_public_then_a_name_means_one_thing() -> None:
    classes = Counter(
        node.name
        for path in files()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []
