"""HTML that is safe from the names and log lines in it: a plain str is escaped, and only this module makes markup.

All elements are made by :func:`element`, which escapes what is not :class:`Markup`, so no caller can forget it.
Characters that are not printable (controls, bidirectional overrides, halves of surrogates) should have become
``\\xNN`` at the parser; any that remain are shown as U+FFFD.
"""

import html
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

Attribute: TypeAlias = str | int | bool | None
MAX_LINES = 12
_NEEDS_ESCAPE = re.compile("[^ -~]|[&<>\"']").search
_VOID = frozenset({"input", "link", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


NOTHING = Markup("")


def escaped(text: str) -> Markup:
    """`text` as HTML, also inside of a quoted attribute."""
    if isinstance(text, Markup):
        return text
    if not _NEEDS_ESCAPE(text):
        return Markup(text)
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return Markup(html.escape(text))


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Several pieces as one."""
    return Markup(escaped(between).join(map(escaped, parts)))


def element(name: str, /, *content: str, **attributes: Attribute) -> Markup:
    """`<name attributes>content</name>`. ``class_`` is class, ``data_key`` is data-key; None and False are left out."""
    opening = f"<{name}{_attributes(attributes)}>" if attributes else f"<{name}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{''.join(map(escaped, content))}</{name}>")


def _attributes(attributes: dict[str, Attribute]) -> str:
    out = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        out.append(f" {name}" if value is True else f' {name}="{escaped(str(value))}"')
    return "".join(out)


def code(text: str) -> Markup:
    """A name from the kernel; ``bdi`` keeps a right-to-left name from reordering the text beside it."""
    return element("bdi", text, class_="k")


def pill(text: str, tone: str) -> Markup:
    """A short word in a colour that repeats its meaning."""
    return element("span", text, class_=f"pill {tone}")


def listing(items: Iterable[str], **attributes: Attribute) -> Markup:
    """An unordered list."""
    return element("ul", *(element("li", item) for item in items), **attributes)


def facts(pairs: Iterable[tuple[str, str]], **attributes: Attribute) -> Markup:
    """Names with their values; a pair whose value is empty is left out."""
    rows = (element("div", element("dt", name), element("dd", value)) for name, value in pairs if value)
    return element("dl", *rows, **attributes)


def disclosure(title: str, lines: Sequence[str], details_id: str, most: int = MAX_LINES) -> Markup:
    """At most `most` of `lines` in a closed ``details`` element; nothing for no lines."""
    if not lines:
        return NOTHING
    shown: list[str] = [element("code", line) for line in lines[:most]]
    if lines[most:]:
        shown.append(f"and {counted(len(lines) - most, 'more line')}")
    return element("details", element("summary", title), listing(shown, class_="lines"), id=details_id)


def table(headings: Iterable[str], rows: Iterable[Markup], **attributes: Attribute) -> Markup:
    """A table with a row of column headings."""
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    return element("table", element("thead", head), element("tbody", *rows), **attributes)


def code_list(names: Sequence[str], most: int) -> Markup:
    """At most `most` of `names`, and how many more there are."""
    shown = joined((code(name) for name in names[:most]), ", ")
    rest = len(names) - most
    return joined((shown, f" and {rest:,} more")) if rest > 0 else shown


def note(title: str, text: str) -> Markup:
    """A paragraph under a short title."""
    return element("p", element("b", f"{title}. "), text, class_="note")


def advice(text: str) -> Markup:
    """A sentence that quotes commands in backticks."""
    return joined(element("code", part) if odd % 2 else part for odd, part in enumerate(text.split("`")))


def moment(realtime_usec: int) -> Markup:
    """A time in UTC; the script shows it in the reader's time zone."""
    try:
        at = datetime.fromtimestamp(realtime_usec / 1e6, UTC)
    except (ValueError, OverflowError, OSError):  # the wall clock was set beyond what datetime can hold
        return escaped(f"{realtime_usec} µs")
    return element("time", f"{at:%Y-%m-%d %H:%M:%S}", datetime=f"{at:%Y-%m-%dT%H:%M:%SZ}")


def binary_size(count: int) -> str:
    """A number of bytes: `812 B`, `16 KiB`, `2.4 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value >= 100 or value.is_integer() else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} GiB"


def span(seconds: float) -> str:
    """A duration in its two largest units, whole minutes at least: `3 d 4 h`, `12 min`."""
    minutes = max(0, int(seconds // 60))
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"{days:,} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def counted(number: int, noun: str) -> str:
    """`1 module`, `2,000 modules`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"
