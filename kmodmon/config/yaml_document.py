"""YAML files as :class:`kmodmon.config.document.Section`, with the line of every key and of every list entry.

A key that is there twice is refused: YAML forbids it, and PyYAML would silently take the last one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kmodmon.config.document import Document, Notation, Section, read_limited
from kmodmon.types.error import ConfigError
from kmodmon.types.text import printable

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1 << 20

YAML = Notation(
    table="a section of keys",
    write_text='{key}: "…"',
    write_table="its keys on lines of their own",
    write_tables="a list of sections",
)


def read_yaml(file: Path) -> Section:
    """Read `file` as one section of keys; raises ConfigError and nothing else."""
    try:
        raw = read_limited(file, MAX_BYTES)
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read: {error.strerror}") from error
    if raw is None:
        raise ConfigError(str(file), "", f"is larger than {MAX_BYTES} bytes")
    return parse_yaml(raw, str(file))


def parse_yaml(raw: bytes, file: str) -> Section:
    """Read a YAML document whose root is a mapping, or that is empty; raises ConfigError."""
    import yaml  # 1.6 MiB that only installations with a web configuration file pay for

    try:
        loader = yaml.SafeLoader(raw)
        root = loader.get_single_node()
        lines = {} if root is None else dict(_lines(root, "", set(), file))
        values: object = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise ConfigError(file, "", f"is not YAML: {error.problem}", line=line) from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # PyYAML's scalar constructors raise what int(), float() and datetime raise
        raise ConfigError(file, "", f"is not YAML: {error}") from error
    return Section(Document(file, YAML, lambda: lines), {"": values}).section("")


def _lines(node: "yaml.Node", path: str, walked: set[int], file: str) -> Iterator[tuple[str, int]]:
    """Yield each path below `node` with its line; what an alias repeats has the line of its first place."""
    if id(node) in walked or isinstance(node.value, str):
        return
    walked.add(id(node))
    keys: set[str] = set()
    for number, item in enumerate(node.value):
        key, value = item if isinstance(item, tuple) else (item, item)
        below = f"{path}[{number}]"
        if key is not value and isinstance(key.value, str):
            below = f"{path}.{key.value}".removeprefix(".")
            if key.value in keys:
                raise ConfigError(file, printable(below), "is there twice", line=key.start_mark.line + 1)
            keys.add(key.value)
        yield below, key.start_mark.line + 1
        yield from _lines(value, below, walked, file)
