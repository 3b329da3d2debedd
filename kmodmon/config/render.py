"""The settings table as text: the default file with every line commented out, and the table in docs/settings.md."""

import textwrap
from collections.abc import Iterator
from itertools import groupby

from kmodmon.config.settings import SETTINGS, Setting, Settings
from kmodmon.config.toml_writer import toml_value

_WIDTH = 110
HEAD = """\
# kmodmon.toml - every setting of kmodmon with its default. Take the "#" before one away and change it.
# A flag of `kmodmon run` stands before this file. The daemon reads the file again when it changes and on SIGHUP
# (`systemctl reload kmodmon`); a file with an error is refused as a whole, and what was in force stays in force.
# "(restart)": taken over when the daemon starts anew.
"""


def default_toml() -> str:
    """Give a settings file with every setting and its default, commented out."""
    return HEAD + "".join(_section_toml(name, rows) for name, rows in _sections())


def _sections() -> Iterator[tuple[str, tuple[Setting, ...]]]:
    for name, rows in groupby(SETTINGS, lambda row: row.section):
        yield name, tuple(rows)


def _section_toml(name: str, rows: tuple[Setting, ...]) -> str:
    lines = ["", *_comment(_purpose(name)), f"[{name}]"]
    for row in rows:
        lines += _comment(row.help + (" (restart)" if row.restart else ""))
        lines += _assignment(row.key.removeprefix(name + "."), toml_value(row.default))
    return "\n".join(lines) + "\n"


def _assignment(key: str, value: str) -> list[str]:
    if len(key) + len(value) < _WIDTH or not value.startswith("["):
        return [f"#{key} = {value}"]
    items = textwrap.wrap(value[1:-1] + ",", width=_WIDTH, initial_indent="#", subsequent_indent="#")
    return [f"#{key} = [", *items, "#]"]


def _purpose(section: str) -> str:
    return getattr(Settings(), section).__doc__ or ""


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, width=_WIDTH, initial_indent="# ", subsequent_indent="# ")


def markdown_table() -> str:
    """Give the settings as Markdown: one table, a line for each setting, a heading line for each section."""
    lines = ["| setting | default | what it does |", "|---|---|---|"]
    for name, rows in _sections():
        lines.append(f"| **`[{name}]`** | | {_cell(_purpose(name))} |")
        lines += (f"| `{row.key}` | {_default(row)} | {_description(row)} |" for row in rows)
    return "\n".join(lines) + "\n"


def _default(row: Setting) -> str:
    return "`" + toml_value(row.default).replace("|", "\\|") + "`"


def _description(row: Setting) -> str:
    other = [flag for flag in row.flags if flag != "--" + row.key.replace("_", "-")]
    flags = f" Flag: {', '.join(f'`{flag}`' for flag in other)}." if other else ""
    return _cell(row.help) + flags + (" *(restart)*" if row.restart else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
