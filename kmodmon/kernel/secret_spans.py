"""Ranges of characters that are secrets by their form (URLs, JSON), and text with such ranges hidden. Pure.

Time is linear in the length of the text: patterns either cannot backtrack or look at a bounded number of characters.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from kmodmon.kernel.parameter import REDACTED, SecretNames

_LOOKAHEAD = 1024  # characters of a URL
Span = tuple[int, int]  # a range of characters
_JSON = re.compile(r"""(["'])([\w.\-]{1,64}+)(\\*+)\1\s*+(?:=>|:)\s*+(\\*+)(["']?)""")
_JSON_BARE = re.compile(r"[^\s,;}\])&]*")
_JSON_PLAIN = frozenset({"", "null", "true", "false", "None", "True", "False"})
_SPACE = re.compile(r"\s")
_BRACKET = re.compile(r"[\[\]{}]")
_AUTHORITY = re.compile(r"""://([^\s/?#"'`]*)""")


class HiddenText:
    """A text in which ranges are hidden step by step; `spans` are ranges of the text as it was given."""

    def __init__(self, text: str) -> None:
        self._given = text
        self.text = text
        self.spans: list[Span] = []

    def hide(self, spans: Iterable[Span]) -> None:
        """Hide ranges of `text` as it is now."""
        ranges = list(spans)
        if ranges:
            self.spans = list(merged((*self.spans, *self._places(ranges))))
            self.text = replaced(self._given, self.spans)

    def _places(self, spans: Iterable[Span]) -> Iterator[Span]:
        begins: list[int] = []  # of each placeholder, in the text as it is now
        saved = 0  # characters by which the text is shorter up to here
        for start, end in self.spans:
            begins.append(start - saved)
            saved += end - start - len(REDACTED)
        for first, last in spans:
            yield self._place(first, begins, is_end=False), self._place(last, begins, is_end=True)

    def _place(self, position: int, begins: list[int], *, is_end: bool) -> int:
        index = bisect_right(begins, position - is_end) - 1
        if index < 0:
            return position
        start, end = self.spans[index]
        behind = position - begins[index] - len(REDACTED)
        if behind < 0 or (is_end and behind == 0):
            return end if is_end else start
        return end + behind


def replaced(text: str, spans: Iterable[Span]) -> str:
    """Return `text` with REDACTED in place of these ranges of characters."""
    parts: list[str] = []
    done = 0
    for start, end in merged(spans):
        parts += (text[done:start], REDACTED)
        done = end
    return "".join((*parts, text[done:])) if parts else text


def merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Return the same characters in order, each once; empty ranges are left out."""
    begun: Span | None = None
    for start, end in sorted(spans):
        if begun is not None and start <= begun[1]:
            begun = begun[0], max(end, begun[1])
        elif end > start:
            if begun is not None:
                yield begun
            begun = start, end
    if begun is not None:
        yield begun


def url_spans(text: str) -> Iterator[Span]:
    """Passwords in URLs, and users of HTTP without a password, which are tokens."""
    for match in _AUTHORITY.finditer(text):
        start, authority = match.start(1), match[1]
        colon, at = authority.find(":"), authority.rfind("@")
        scheme = text[max(0, match.start() - 5) : match.start()].lower()
        if at < 0 <= colon:
            # A password with a slash or a quote in it; what is a number is a port.
            port = authority[colon + 1 :]
            run = text[match.end() : match.end() + _LOOKAHEAD]
            space = _SPACE.search(run)
            at = run[: space.start() if space else None].rfind("@")
            if at >= 0 and port and not port.isdecimal() and not authority.startswith("["):
                yield start + colon + 1, match.end() + at
        elif 0 <= colon < at:
            yield start + colon + 1, start + at
        elif at > 0 and scheme.endswith(("http", "https")):
            yield start, start + at


def json_spans(text: str, names: SecretNames) -> Iterator[Span]:
    """Values in JSON and in literals of Python, Ruby and PHP, at any depth of quoting."""
    position = 0
    while (match := _JSON.search(text, position)) is not None:
        position = match.end()
        if not names.hides(match[2]):
            position = match.end(3) + 1
            continue
        start = position
        if match[5]:
            position = _string_end(text, position, match[5], len(match[3]))
        elif text[start : start + 1] in ("{", "["):
            position = _structure_end(text, start)
        else:
            bare = _JSON_BARE.match(text, start)
            position = bare.end() if bare else start
            if text[start:position] in _JSON_PLAIN:
                continue
        if not text.startswith(REDACTED, start):
            yield start, position


def _string_end(text: str, start: int, quote: str, depth: int) -> int:
    """Where a string ends whose closing quote has `depth` backslashes in front, because it is quoted itself."""
    position = text.find(quote, start)
    while position >= 0:
        first = position
        while first > start and text[first - 1] == "\\":
            first -= 1
        count = position - first
        if count >= depth and (count - depth) % (2 * (depth + 1)) == 0:
            return position - depth
        position = text.find(quote, position + 1)
    return len(text)


def _structure_end(text: str, start: int) -> int:
    depth = 0
    for match in _BRACKET.finditer(text, start):
        depth += 1 if match[0] in "[{" else -1
        if depth == 0:
            return match.end()
    return len(text)
