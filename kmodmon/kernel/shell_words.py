r"""Text that a shell may read, as words whose characters know their place in the text.

The grammar is that of sh(1) as far as quoting goes: quotes of each kind, `$'...'`, backslashes, comments, and `$(...)`
within double quotes. It need not be a shell's text: what is read wrongly still gives words that hold all of its
characters but the quotes. Time and memory are linear in the length of the text.

Rejected: shlex of the standard library, which raises ValueError for an unclosed quote and does not tell the place of a
word.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kmodmon.kernel.parameter import REDACTED

# What has no meaning to the shell. A placeholder is one word, though a shell would read redirections.
_TOKEN = re.compile(
    rf"""(?P<plain>(?:[^\s'"\\`$;&|()<>]|{re.escape(REDACTED)})+)"""
    r"""|(?P<single>'(?P<inner>[^']*)'?)"""
    r"""|(?P<ansi>\$'(?P<escaped>(?:[^'\\]|\\.)*)'?)"""
    r"""|(?P<double>")"""
    r"""|(?P<escape>\\(?P<char>.?))"""
    r"""|(?P<line>\n)"""
    r"""|(?P<space>[ \t\r\f\v]+)"""
    r"""|(?P<separator>[`;&|()<>])"""
    r"""|(?P<other>.)""",
    re.DOTALL,
)
_QUOTED = re.compile(
    r"""(?P<plain>[^"\\$`]+)|(?P<end>")|(?P<escape>\\(?P<char>.?))|(?P<substitution>\$\()|(?P<backtick>`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<other>.)""",
    re.DOTALL,
)
_SUBSTITUTED = re.compile(r"""\\.|["'()]""", re.DOTALL)
_ESCAPED_IN_QUOTES = frozenset('"\\$`\n')


class _Piece(NamedTuple):
    """Characters of a word that lie side by side in the text; of an escape, its one character."""

    at: int  # of the first character, in the word
    start: int  # in the text
    end: int  # in the text
    quotes: int  # number of the pair of quotes around it; 0: none


@dataclass(slots=True)
class Word:
    """One word: its characters without the quotes."""

    start: int  # in the text, before its quotes
    text: str = ""
    _parts: list[str] = field(default_factory=list)
    _pieces: list[_Piece] = field(default_factory=list)
    _length: int = 0

    def add(self, text: str, start: int, end: int, quotes: int) -> None:
        """Append characters that stand at `start` to `end`."""
        if text:
            self._parts.append(text)
            self._pieces.append(_Piece(self._length, start, end, quotes))
            self._length += len(text)

    def finish(self) -> None:
        """Join what was added."""
        self.text = "".join(self._parts)
        self._parts.clear()

    def places(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where the characters `start` to `end` of the word stand in the text, each range within one pair of quotes."""
        index = bisect_right(self._pieces, start, key=lambda piece: piece.at) - 1
        begun: tuple[int, int, int] | None = None  # start, end, quotes
        while 0 <= index < len(self._pieces) and self._pieces[index].at < end:
            piece = self._pieces[index]
            after = self._pieces[index + 1].at if index + 1 < len(self._pieces) else self._length
            as_they_are = after - piece.at == piece.end - piece.start
            first = piece.start + max(0, start - piece.at) if as_they_are else piece.start
            last = piece.end - max(0, after - end) if as_they_are else piece.end
            if begun is not None and (begun[1], begun[2]) == (first, piece.quotes):
                begun = (begun[0], last, piece.quotes)
            else:
                if begun is not None:
                    yield begun[:2]
                begun = (first, last, piece.quotes)
            index += 1
        if begun is not None:
            yield begun[:2]


@dataclass(slots=True)
class Command:
    """The words between two separators."""

    words: list[Word] = field(default_factory=list)
    line_end: int = 0  # where the line ends in the text


def split_commands(text: str) -> list[Command]:
    """Split a text into commands, those without words left out. Raises nothing."""
    return _Splitter(text).split()


class _Splitter:
    def __init__(self, text: str) -> None:
        self._text = text
        self._commands: list[Command] = []
        self._command = Command()
        self._word: Word | None = None
        self._quotes = 0
        self._in_comment = False

    def split(self) -> list[Command]:
        text, position = self._text, 0
        line: int = 0  # number of commands that ended on an earlier line
        while position < len(text):
            match = _TOKEN.match(text, position)
            assert match is not None  # `other` matches any character
            position = match.end()
            match match.lastgroup:
                case "space":
                    self._end_word()
                case "line":
                    self._end_command()
                    self._end_line(line, match.start())
                    line = len(self._commands)
                case "separator":
                    self._end_command()
                case "escape" if match["char"] == "\n":
                    continue  # the line goes on
                case _:
                    position = self._take(match)
        self._end_command()
        self._end_line(line, len(text))
        return self._commands

    def _end_word(self) -> None:
        if self._word is not None:
            self._word.finish()
            self._command.words.append(self._word)
            self._word = None

    def _end_command(self) -> None:
        self._end_word()
        if self._command.words:
            self._commands.append(self._command)
            self._command = Command()

    def _end_line(self, first: int, end: int) -> None:
        self._in_comment = False
        for command in self._commands[first:]:
            command.line_end = end

    def _take(self, match: re.Match[str]) -> int:
        """Add what was matched to the word; return where the text goes on."""
        start, end = match.span()
        if self._word is None:
            self._word = Word(start)
            self._in_comment = self._in_comment or match[0].startswith("#")
        word = self._word
        match match.lastgroup:
            case "single" | "ansi" | "double" if self._in_comment:  # an apostrophe
                word.add(self._text[start], start, start + 1, 0)
                return start + 1
            case "single" | "ansi":
                self._quotes += 1
                inner = "inner" if match["inner"] is not None else "escaped"
                word.add(match[inner], *match.span(inner), self._quotes)
            case "double":
                return self._double(word, end)
            case "escape":
                char = match["char"]
                word.add(char or "\\", start, end, 0)
            case _:
                word.add(match[0], start, end, 0)
        return end

    def _double(self, word: Word, position: int) -> int:
        text = self._text
        self._quotes += 1
        while position < len(text):
            match = _QUOTED.match(text, position)
            assert match is not None  # `other` matches any character
            start, position = match.span()
            match match.lastgroup:
                case "end":
                    break
                case "escape":
                    char = match["char"]
                    kept = match[0] if char not in _ESCAPED_IN_QUOTES else "" if char == "\n" else char
                    word.add(kept or ("" if char else "\\"), start, position, self._quotes)
                case "substitution":
                    position = self._substitution_end(position)
                    word.add(text[start:position], start, position, self._quotes)
                case _:
                    word.add(match[0], start, position, self._quotes)
        return position

    def _substitution_end(self, position: int) -> int:
        # Where the `$(` before `position` ends; at the end of the text if nothing closes it.
        text, open_ = self._text, [")"]
        while (match := _SUBSTITUTED.search(text, position)) is not None:
            token, position = match[0], match.end()
            if token == open_[-1]:
                open_.pop()
                if not open_:
                    return position
            elif token == '"':
                open_.append('"')
            elif token == "(" and (open_[-1] == ")" or text[position - 2] == "$"):
                open_.append(")")
            elif token == "'" and open_[-1] == ")":
                closing = text.find("'", position)
                position = position if closing < 0 else closing + 1
        return len(text)
