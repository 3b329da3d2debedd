"""YAML as typed sections: foreign values are asked for by type, and an error names file, dotted key and reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kmodmon.types.error import ConfigError

if TYPE_CHECKING:
    import yaml

Yaml: TypeAlias = bool | int | float | str | Sequence["Yaml"] | Mapping["Yaml", "Yaml"] | None

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class YamlSection:
    """The keys of one section; `name` is its dotted name, empty for the file as a whole."""

    file: Path
    name: str
    values: Mapping[str, Yaml]

    def error(self, key: str, why: str, hint: str = "") -> ConfigError:
        """An error about `key` (empty: the section itself), to be raised."""
        return ConfigError(str(self.file), ".".join(part for part in (self.name, key) if part), why, hint)

    def only(self, *known: str) -> None:
        """Raise ConfigError for a key that is not among `known`."""
        for key in self.values:
            if key not in known:
                raise self.error(key, "unknown field", f"known here: {', '.join(known)}")

    def text(self, key: str, default: str = "", among: Sequence[str] = ()) -> str:
        """The text of `key`, `default` if it is not there; raises ConfigError."""
        return self._text(key, self.values.get(key), default, among)

    def texts(self, key: str, among: Sequence[str] = ()) -> tuple[str, ...]:
        """The list of texts of `key`, empty if it is not there; raises ConfigError."""
        value = self.values.get(key)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.error(key, f"must be a list, not {value!r}")
        return tuple(self._text(f"{key}[{index}]", item, "", among) for index, item in enumerate(value))

    def _text(self, key: str, value: Yaml, default: str, among: Sequence[str]) -> str:
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(key, f"must be text, not {value!r}", "put it in quotes")
        if among and value not in among:
            raise self.error(key, f"{value!r} is not known", f"one of {', '.join(among)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Whether `key` is true, `default` if it is not there; raises ConfigError."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {value!r}")
        return value

    def path(self, key: str) -> Path | None:
        """The path of `key`, relative ones from the file's directory; None: not there. Raises ConfigError."""
        value = self.text(key)
        if "\0" in value:
            raise self.error(key, "a path has no NUL")
        return self.file.parent / value if value else None

    def inner(self, key: str) -> "YamlSection":
        """The section under `key`, an empty one if it is not there; raises ConfigError."""
        empty = YamlSection(self.file, f"{self.name}.{key}" if self.name else key, {})
        value = self.values.get(key)
        if value is None:
            return empty
        if not isinstance(value, Mapping):
            raise self.error(key, f"must be a section of keys, not {value!r}")
        values: dict[str, Yaml] = {}
        for name, item in value.items():
            if not isinstance(name, str):
                raise empty.error(repr(name), "a key must be text", "put it in quotes")
            values[name] = item
        return YamlSection(self.file, empty.name, values)


def read_yaml(file: Path) -> YamlSection:
    """Read `file` as one YAML section; raises ConfigError and nothing else."""
    try:
        with file.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(str(file), "", f"is larger than {MAX_BYTES} bytes")
    return YamlSection(file, "", {"": _parse(file, raw)}).inner("")


def _parse(file: Path, raw: bytes) -> Yaml:
    import yaml  # 1.6 MiB that only installations with a web configuration file pay for

    try:
        root = yaml.compose(raw, Loader=yaml.SafeLoader)
        twin = None if root is None else _twin(root, set())
        if twin is not None:
            raise ConfigError(str(file), str(twin.value), "is there twice", line=twin.start_mark.line + 1)
        loaded: Yaml = yaml.safe_load(raw)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise ConfigError(str(file), "", f"is not YAML: {error.problem}", line=line) from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # PyYAML's scalar constructors raise what int(), float() and datetime raise
        raise ConfigError(str(file), "", f"is not YAML: {error}") from error
    return loaded


def _twin(node: "yaml.Node", seen: set[int]) -> "yaml.Node | None":
    """The second of two equal keys, which YAML forbids and PyYAML lets pass; None: there is none."""
    if id(node) in seen or isinstance(node.value, str):
        return None
    seen.add(id(node))
    keys: set[object] = set()
    for item in node.value:
        parts = item if isinstance(item, tuple) else (item,)
        if len(parts) == 2 and isinstance(parts[0].value, str):
            if parts[0].value in keys:
                found: yaml.Node = parts[0]
                return found
            keys.add(parts[0].value)
        for part in parts:
            if (below := _twin(part, seen)) is not None:
                return below
    return None
