"""Settings from a TOML file and flags: a flag precedes the file, the file precedes the default. No value is guessed.

A refusal is a :class:`ConfigError` with file, line, key, reason and hint. The file that is read when none is named
(/etc/kmodmon/kmodmon.toml, or under systemd's $CONFIGURATION_DIRECTORY) may be missing; one that is named may not.
"""

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from kmodmon.config.document import Section, nearest, read_limited
from kmodmon.config.sections import CONFIGURATION, names_root
from kmodmon.config.settings import SETTINGS, Setting, Settings, build_settings
from kmodmon.types.error import ConfigError

FILE_NAME = "kmodmon.toml"
MAX_FILE_BYTES = 1 << 20
COMMAND_LINE = "command line"
NO_FLAGS: Mapping[str, object] = MappingProxyType({})

_BY_KEY: Mapping[str, Setting] = {row.key: row for row in SETTINGS}


def default_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Give the file that is read when none is named; it need not exist."""
    return Path(environ.get("CONFIGURATION_DIRECTORY", "").partition(":")[0] or CONFIGURATION, FILE_NAME)


def load(
    file: Path | None, flags: Mapping[str, object] = NO_FLAGS, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Give the settings of `file` (None: the default file, if it exists) under `flags`, which :func:`flags_of` gives.

    Raises ConfigError.
    """
    values = _file_values(file, environ)
    given = {key: _from_flag(_BY_KEY[key], raw) for key, raw in flags.items()}
    return build_settings({**_from_environ(environ), **values, **given})


def _from_environ(environ: Mapping[str, str]) -> Mapping[str, object]:
    # systemd separates several directories by colons (systemd.exec(5), StateDirectory=); the first one is used
    given = ((row, environ.get(row.environ, "").partition(":")[0]) for row in SETTINGS if row.environ)
    paths = ((row, f"{directory}/{row.below}" if row.below else directory) for row, directory in given if directory)
    return {row.key: _from_flag(row, path, f"${row.environ}") for row, path in paths}


def _file_values(file: Path | None, environ: Mapping[str, str]) -> Mapping[str, object]:
    path = file or default_file(environ)
    try:
        raw = read_limited(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        if file is None:
            return NO_FLAGS
        raise ConfigError(str(path), "", "there is no such file", "`kmodmon export config DIR` writes one") from None
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from error
    if raw is None:
        raise ConfigError(str(path), "", f"is larger than {MAX_FILE_BYTES} bytes", "is it a settings file?")
    return parse_file(raw, str(path))


def parse_file(raw: bytes, name: str) -> Mapping[str, object]:
    """Give the checked values, by key, of a settings file's bytes; `name` is its name in errors. Raises ConfigError."""
    from kmodmon.config.toml_document import parse_toml  # only where there is a file

    document = parse_toml(raw, name)
    values: dict[str, object] = {}
    for key, value in _leaves(document.values):
        row = _BY_KEY.get(key)
        if row is None:
            raise document.error(key, "there is no such setting", _instead(key))
        values[key] = _from_file(row, value, document)
    return values


def _leaves(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    # an empty table that is no section is a leaf, so that it is refused
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and key not in _BY_KEY and (value or _is_section(key)):
            yield from _leaves(value, key + ".")
        else:
            yield key, value


def _is_section(key: str) -> bool:
    return any(row.key.startswith(key + ".") for row in SETTINGS)


def _from_file(row: Setting, raw: object, document: Section) -> object:
    try:
        value = row.kind.read(raw)
        if isinstance(value, Path) and not value.is_absolute() and not (row.section == "path" and names_root(value)):
            raise ValueError(f'"{value}" is not an absolute path')
    except ValueError as error:
        raise document.error(row.key, str(error), row.kind.hint) from None
    return value


def _from_flag(row: Setting, raw: object, variable: str = "") -> object:
    try:
        return row.kind.read_flag(raw)
    except ValueError as error:
        origin = "environment" if variable else COMMAND_LINE
        raise ConfigError(origin, variable or row.flags[0], str(error), row.kind.hint) from None


def _instead(key: str) -> str:
    last = key.rpartition(".")[2]
    near = nearest(key, _BY_KEY) or next((name for name in _BY_KEY if name.rpartition(".")[2] == last), None)
    return f"did you mean {near}?" if near else "`kmodmon export config DIR` writes a file with all of them"


def add_flags(parser: argparse.ArgumentParser, sections: Iterable[str] | None = None, *, hidden: bool = False) -> None:
    """Add the flags of these sections (None: of all) to `parser`, and `--root` with the paths'.

    `hidden`: --help has one line for each section instead. :func:`flags_of` gives what was set.
    """
    wanted = {row.section for row in SETTINGS} if sections is None else set(sections)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for row in SETTINGS:
        if row.section not in wanted:
            continue
        if row.section not in groups:
            groups[row.section] = _add_group(parser, row.section, hidden)
        _add_flag(groups[row.section], row, hidden)


def _add_group(parser: argparse.ArgumentParser, section: str, hidden: bool) -> "argparse._ArgumentGroup":
    purpose = getattr(Settings(), section).__doc__ or ""
    if hidden:
        purpose = f"Flags --{section}.*, as in `kmodmon run --help`: {purpose}"
    group = parser.add_argument_group(section, purpose.replace("%", "%%"))
    if section == "path":
        group.add_argument("--root", type=Path, metavar="DIR", help="A recorded or mounted host: DIR/proc, DIR/sys, …")
    return group


def _add_flag(group: "argparse._ArgumentGroup", row: Setting, hidden: bool) -> None:
    help = argparse.SUPPRESS if hidden else _help(row)
    names, dest, absent = row.flags, row.key, argparse.SUPPRESS
    if isinstance(row.default, bool):
        group.add_argument(*names, dest=dest, action=argparse.BooleanOptionalAction, default=absent, help=help)
    else:
        action = "append" if row.kind.repeatable else "store"
        group.add_argument(*names, dest=dest, action=action, metavar=row.kind.metavar, default=absent, help=help)


def _help(row: Setting) -> str:
    from kmodmon.config.toml_writer import toml_value  # most verbs do not explain each flag

    shown = toml_value(row.default).strip('"') or "none"
    return f"{row.help} Default: {shown}.".replace("%", "%%")


def flags_of(args: argparse.Namespace) -> Mapping[str, object]:
    """Give what was set on the command line, by key, unchecked; a path's own flag precedes `--root`."""
    given: dict[str, object] = vars(args)
    flags: dict[str, object] = {}
    if root := given.get("root"):
        base = Path(str(root))
        flags = {f"path.{name}": str(base / name.removesuffix("fs")) for name in ("procfs", "sysfs", "dev")}
        flags["path.rootfs"] = str(base)
    return flags | {key: value for key, value in given.items() if key in _BY_KEY}
