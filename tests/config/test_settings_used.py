"""No setting is for show: code reads each of them, aliases by walking the syntax trees of the package.

What counts as reading `section.field`: an attribute chain `….settings.section.field`; `name.field` where `name` (or
`self.name`) was given `….settings.section` or came in as a parameter annotated with the section's class. Nothing else
does, so a chain that only looks alike (`state.files.enabled`) is no reading.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodmon.config.settings import SETTINGS, Setting, Settings
from kmodmon.sources.registry import POLLED
from kmodmon.sources.source import PollSource

PACKAGE = Path(__file__).parent.parent.parent / "kmodmon"
TABLE = tuple(f"config/{name}.py" for name in ("sections", "settings", "load", "render"))  # they hold every setting
SECTION_OF_CLASS = {type(getattr(Settings(), row.section)).__name__: row.section for row in SETTINGS}


def chain(node: ast.expr) -> tuple[str, ...]:
    """The dotted names of an attribute chain; what a chain starts with if not a name is left out."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        names.append(node.id)
    return tuple(reversed(names))


def section_in(names: tuple[str, ...]) -> str | None:
    """`….settings.section` gives the section."""
    match names:
        case [*_, "settings" | "_settings", section] if section in SECTION_OF_CLASS.values():
            return section
        case _:
            return None


def classes_in(tree: ast.Module) -> dict[str, str]:
    """Names under which a module imported the sections' classes."""
    return {
        (name.asname or name.name): SECTION_OF_CLASS[name.name]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "kmodmon.config.sections"
        for name in node.names
        if name.name in SECTION_OF_CLASS
    }


def aliases_in(tree: ast.Module) -> dict[tuple[str, ...], str]:
    """Names that stand for a section."""
    classes = classes_in(tree)
    aliases: dict[tuple[str, ...], str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and isinstance(node.annotation, ast.Name) and node.annotation.id in classes:
            aliases[(node.arg,)] = classes[node.annotation.id]
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name() | ast.Attribute() as target], value=ast.expr() as value):
                section = section_in(chain(value)) or aliases.get(chain(value))
                if section is not None:
                    aliases[chain(target)] = section
            case _:
                pass
    return aliases


def read_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Every `section, field` that a module reads."""
    aliases = aliases_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            names = chain(node)
            section = section_in(names[:-1]) or aliases.get(names[:-1])
            if section is not None:
                yield section, names[-1]


@pytest.fixture(scope="module")
def read() -> frozenset[tuple[str, str]]:
    files = (path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).as_posix() not in TABLE)
    return frozenset(use for path in files for use in read_in(ast.parse(path.read_text())))


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.key)
def test_setting_when_declared_then_something_reads_it(row: Setting, read: frozenset[tuple[str, str]]) -> None:
    if row.section == "path":
        reader = (PACKAGE / "cli/options.py").read_text()  # all paths become one Root, in one place
        assert f"_bytes(path.{row.field})" in reader
    else:
        assert (row.section, row.field) in read


@pytest.mark.parametrize("source", POLLED, ids=lambda source: source.name)
def test_source_when_it_heeds_some_settings_then_they_are_all_that_its_reader_takes(source: PollSource) -> None:
    dependencies = source.depends_on(Settings())
    if isinstance(dependencies, Settings):
        return
    sections = dependencies if isinstance(dependencies, tuple) else (dependencies,)
    names = {SECTION_OF_CLASS[type(section).__name__] for section in sections}
    rooms = {"files": ("files", "files_reader"), "parameters": ("parameters",)}[source.name]
    trees = [ast.parse((PACKAGE / f"sources/{room}.py").read_text()) for room in rooms]
    taken = {section for tree in trees for section, _ in read_in(tree)} - {"poll"}
    assert taken == names


def test_reading_when_it_only_looks_alike_then_it_does_not_count() -> None:
    lines = ("state.files.enabled", "settings.files", "settings.kmsg.enabled", "settings.files.enabled = 1",
             "web = self._settings.web", "web.max_connections", "other.idle_timeout")  # fmt: skip
    assert set(read_in(ast.parse("\n".join(lines)))) == {("kmsg", "enabled"), ("web", "max_connections")}
