r"""Which text is a secret: the rules for command lines, which `kernel.redacted_log` applies to the log as well. Pure.

A value is a secret by the name in front of it, and names are judged by the rule that parameters have
(`kernel.parameter`, settings parameters.redact and redact_allow). Rules, for each word of a command line:

- `NAME=VALUE`, also with dashes in front, also within a word (`-o user=x,password=y`, `?token=x`): what follows the
  first such name is hidden to the end of the word; in a query, to the next `&`. `NAME = VALUE` in three words too.
- `--NAME VALUE`: the next word. `NAME: VALUE` (headers, YAML): the rest of the line, or the next word.
- `"NAME": VALUE` (JSON, at any depth of quoting): the value, or the whole object or array.
- `://USER:PASSWORD@`: the password; of http also a user without one, which is a token.
- Options, words and positions of known programs: `kernel.tool_options`.
- A word with spaces or quotes in it is a text with words of its own, `MAX_DEPTH` times; deeper, everything behind the
  first name that suggests a secret is hidden.

What is hidden (`kernel.secret_spans`) is replaced by `REDACTED`; all other text stays as it is. A quote, `#` or `&`
that was hidden no longer ends what stood before it, so a text is read again until nothing more is hidden: hiding twice
changes nothing. Of a text that needs more than `MAX_PASSES` nothing is shown. Time is linear in the length of the text:
patterns either cannot backtrack or look at a bounded number of characters.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kmodmon.kernel.parameter import REDACTED, SecretNames
from kmodmon.kernel.secret_spans import HiddenText, Span, json_spans, merged, replaced, url_spans
from kmodmon.kernel.shell_words import Word, split_commands
from kmodmon.kernel.tool_options import FLAGS, HEADERS, RUNNERS, SHELLS, TOOLS, Part, Tool

MAX_DEPTH = 8  # of quoted texts within each other
MAX_PASSES = 8  # over a text

_NAMED = re.compile(r"([\w.\-]++)(\]?\+?=|:(?!//))?")
_NAME = re.compile(r"[\w.\-]+")
_LAST_NAME = re.compile(r"[\w.\-]{1,64}\Z")
_SPECIAL = re.compile(r"""[\s'"\\`;&|()<>]""")
_SPACE = re.compile(r"\s")
_CRYPT = re.compile(r"(?:^|\s)crypt\s+\S+\s+(?=\S)")
_OPEN_FOR_COLON = frozenset("{,[(;&")
_BOOLEANS = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off"})  # no secrets, whatever their names
_COMMAND_OPTION = re.compile(r"-[a-zA-Z]{0,5}c[a-zA-Z]{0,5}|--command")
_VALUE = re.compile(r"[ \t]*+([^\n]*)")
_QUERY_END = re.compile(r"[&#]")


def redact_arguments(arguments: Sequence[str], names: SecretNames) -> tuple[str, ...]:
    """Hide the secrets in the arguments of a process, the first of which is its name."""
    before = tuple(arguments)
    for _ in range(MAX_PASSES):
        spans = _Words(names, before, depth=0).spans()
        after = tuple(replaced(text, hidden) for text, hidden in zip(before, spans, strict=True))
        if after == before:
            return after
        before = after
    return tuple(REDACTED if text else "" for text in before)


def redact_text(text: str, names: SecretNames) -> str:
    """Hide the secrets in a line of words as the kernel or a shell reads it."""
    for _ in range(MAX_PASSES):
        before, text = text, replaced(text, _text_spans(text, names, depth=0))
        if text == before:
            return text
    return REDACTED


def _text_spans(text: str, names: SecretNames, depth: int) -> list[Span]:
    if depth > MAX_DEPTH:
        return list(_flat_spans(text, names))
    commands = split_commands(text)
    if depth and len(commands) == 1 and [word.text for word in commands[0].words] == [text]:
        return []  # one word that has nothing to take off: its rules were applied where it stands
    spans: list[Span] = []
    for command in commands:
        rules = _Words(names, [word.text for word in command.words], depth=depth)
        hidden = rules.spans()
        for word, ranges in zip(command.words, hidden, strict=True):
            spans += _placed(word, ranges)
        if rules.rest is not None and rules.rest < len(command.words):
            spans.append((command.words[rules.rest].start, command.line_end))
    return spans


def _placed(word: Word, spans: Iterable[Span]) -> Iterator[Span]:
    for start, end in merged(spans):
        yield from word.places(start, end)


def _flat_spans(text: str, names: SecretNames) -> Iterator[Span]:
    for match in _NAMED.finditer(text):
        if match[2] and names.hides(match[1].lstrip("-")):
            yield match.end(), len(text)
            return


_TOOLS: dict[str, tuple[Tool, ...]] = {}
for _tool in TOOLS:
    for _tool_name in _tool.names:
        _TOOLS[_tool_name] = (*_TOOLS.get(_tool_name, ()), _tool)


@dataclass(slots=True)
class _Row:
    """A row of the table that is in force."""

    tool: Tool
    armed: bool  # its subcommand was seen
    words: int = 0  # words since then that are no options


class _Words:
    """The words of one command, and which of their characters are hidden; `rest`: the first word of a hidden rest."""

    def __init__(self, names: SecretNames, words: Sequence[str], depth: int) -> None:
        self._names = names
        self._words = words
        self._depth = depth
        self._rows: list[_Row] = []
        self._awaited: tuple[int, Part] | None = None  # the secret is in the word of this number
        self._passed = -1  # number of a word that is the value of an option, and no word of its own
        self._module = ""  # whose parameters follow
        self._shell, self._runner = False, False
        self.rest: int | None = None

    def spans(self) -> list[list[Span]]:
        """The hidden characters of each word."""
        hidden: list[list[Span]] = []
        for number, word in enumerate(self._words):
            ranges = self._of_value(number, word)
            if ranges is None:
                ranges = self._of_word(number, word)
            if self.rest is not None and number >= self.rest and self._depth == 0:
                ranges = [(0, len(word))]
            hidden.append(ranges)
        return hidden

    def _of_value(self, number: int, word: str) -> list[Span] | None:
        # The value that an earlier word announced; None: it announced none, or nothing of it is hidden.
        if self._awaited is None or self._awaited[0] != number:
            return None
        part, self._awaited = self._awaited[1], None
        span = _part(word, 0, part)
        return None if span is None else [span]

    def _of_word(self, number: int, word: str) -> list[Span]:
        before = self._words[number - 1] if number else ""
        is_script = self._is_script(number, before)
        dashed = word.startswith("-")
        if number != self._passed:
            span = self._option(number, word) if dashed or word.startswith("/") else None
            if span is None and not dashed:
                span = self._bare(number, word)
            if span is not None:
                return [span]
        if word.startswith("=") and number and self._names.hides(_last_name(before.rstrip("]"))):
            return self._assigned(number, word)
        if dashed and "=" not in word and self._suggests(word):
            self._awaited = number + 1, Part.WHOLE
            return []
        if word.endswith(":"):
            self._headed(number, word)
        return self._named(word, is_script=is_script)

    def _suggests(self, option: str) -> bool:
        name = option.lstrip("-")
        return bool(_NAME.fullmatch(name)) and name not in FLAGS and self._names.hides(name, self._module)

    def _assigned(self, number: int, word: str) -> list[Span]:
        # `password = x` and `password =x`: the word with the equals sign.
        if len(word) > 1:
            return [(1, len(word))]
        self._awaited = number + 1, Part.WHOLE
        return []

    def _headed(self, number: int, word: str) -> None:
        # `NAME:`, with the value in the next words; of JSON it is hidden already.
        name = _last_name(word[:-1])
        after = self._words[number + 1] if number + 1 < len(self._words) else REDACTED
        if after.startswith(REDACTED):
            return
        if _is_header(name) or (number == 0 and self._names.hides(name)):
            self.rest = number + 1 if self.rest is None else self.rest
        elif self._names.hides(name):
            self._awaited = number + 1, Part.WHOLE

    def _is_script(self, number: int, before: str) -> bool:
        if self._runner or not number:
            return self._runner
        return self._shell and bool(_COMMAND_OPTION.fullmatch(before))

    def _bare(self, number: int, word: str) -> Span | None:
        # A program, a subcommand, a module, or a word at a place where a program takes a secret.
        name = word.rpartition("/")[2]
        self._shell = self._shell or name in SHELLS
        self._runner = self._runner or name in RUNNERS
        for row in self._rows:
            if row.armed:
                row.words += 1
                if row.words in row.tool.positions:
                    return 0, len(word)
                self._announced(number, word, row)
            elif word in row.tool.subcommands:
                row.armed = True
        if name in _TOOLS:
            self._rows = [row for row in self._rows if name not in row.tool.names]
            self._rows += (_Row(tool, armed=not tool.subcommands) for tool in _TOOLS[name])
            self._module = ""
        return None

    def _announced(self, number: int, word: str, row: _Row) -> None:
        tool = row.tool
        if tool.parameters and row.words == 1:
            self._module = word.rpartition("/")[2].partition(".ko")[0].replace("-", "_")
        if word in tool.words:
            self._awaited = number + tool.words[word], Part.WHOLE
        elif tool.by_name and _NAME.fullmatch(word) and self._names.hides(word):
            self._awaited = number + 1, Part.WHOLE

    def _option(self, number: int, word: str) -> Span | None:
        for row in self._rows:
            if row.armed and (span := self._option_of(number, word, row.tool)) is not None:
                return span
        return None

    def _option_of(self, number: int, word: str, tool: Tool) -> Span | None:
        for prefix, part in tool.attached.items():
            if word.startswith(prefix) and len(word) > len(prefix):
                return _part(word, len(prefix), part)
        option, equals, _ = word.partition("=")
        if option in tool.options:
            if equals:
                return _part(word, len(option) + 1, tool.options[option])
            self._awaited = number + 1, tool.options[option]
            return None
        one_dash = word[0] == "-" and word[1:2] not in ("", "-")
        return self._letters(number, word, tool) if one_dash and not tool.words_as_options else None

    def _letters(self, number: int, word: str, tool: Tool) -> Span | None:
        # `-suUSER:PASSWORD`: letters without a value, then one whose value is the rest of the word or the next word.
        for at, letter in enumerate(word[1:], 1):
            part = tool.options.get("-" + letter)
            if part is not None and at + 1 < len(word):
                return _part(word, at + 1, part)
            if part is not None:
                self._awaited = number + 1, part
                return None
            if letter in tool.takes:
                self._passed = number + 1 if at + 1 == len(word) else self._passed
                return None
            if not letter.isalnum():
                return None
        return None

    def _named(self, word: str, *, is_script: bool) -> list[Span]:
        if "=" not in word and ":" not in word and not _SPECIAL.search(word):
            return []
        # Each rule reads the text in which what the others hide is hidden, as it does when all of it is hidden.
        hidden = HiddenText(word)
        if not is_script or not _is_text(word):
            hidden.hide(url_spans(word))
            hidden.hide(json_spans(hidden.text, self._names))
            hidden.hide(self._assignments(hidden.text))
        if _is_text(hidden.text):
            hidden.hide(_text_spans(hidden.text, self._names, self._depth + 1))
        return hidden.spans

    def _assignments(self, word: str) -> Iterator[Span]:
        space = _SPACE.search(word)
        chunk = space.start() if space else len(word)  # `=` behind it may belong to another word
        position = 0
        while (match := _NAMED.search(word, position)) is not None:
            position = match.end()
            before = word[match.start() - 1 : match.start()]
            if not match[2]:
                continue
            if match[2] == ":":
                span = self._of_colon(word, match, before, chunk)
            elif match.start() < chunk and self._hides(match[1]):
                end = _query_end(word, position) if before in ("?", "&") else len(word)
                span = None if word[position:end].lower() in _BOOLEANS else (position, end)
            else:
                continue
            if span is not None and span[0] < span[1]:
                yield span
                position = span[1]

    def _hides(self, name: str) -> bool:
        # `-DNAME=VALUE`: the letter of an option may stand before the name.
        plain = name.lstrip("-")
        attached = name[:1] == "-" and name[1:2] != "-"
        return self._names.hides(plain, self._module) or (attached and self._names.hides(plain[1:], self._module))

    def _of_colon(self, word: str, match: re.Match[str], before: str, chunk: int) -> Span | None:
        begins = before in ("", "\n") or (match.start() < chunk and before in _OPEN_FOR_COLON)
        if not _is_header(match[1]) and not (begins and self._hides(match[1])):
            return None
        value = _VALUE.match(word, match.end())
        if value is None or word.startswith(REDACTED, value.start(1)):
            return None
        return value.span(1)


def _is_text(word: str) -> bool:
    return _SPECIAL.search(word.replace(REDACTED, "")) is not None


def _is_header(name: str) -> bool:
    return name[-64:].lower().endswith(HEADERS)


def _last_name(text: str) -> str:
    match = _LAST_NAME.search(text[-64:])
    return match[0].lstrip("-") if match else ""


def _query_end(word: str, start: int) -> int:
    match = _QUERY_END.search(word, start)
    return match.start() if match else len(word)


def _part(word: str, start: int, part: Part) -> Span | None:
    """The secret part of a value that begins at `start`; None: it has none."""
    end = len(word)
    match part:
        case Part.AFTER_COLON | Part.AFTER_PERCENT:
            at = word.find(":" if part is Part.AFTER_COLON else "%", start)
            start = at + 1 if at >= 0 else end
        case Part.SOURCE:
            if word.startswith(("file:", "env:", "fd:", "stdin"), start):
                return None
            start += len("pass:") if word.startswith("pass:", start) else 0
        case Part.USERINFO:
            scheme = word.find("://", start)
            colon, end = word.find(":", scheme + 3 if scheme >= 0 else start), word.rfind("@")
            start = colon + 1 if colon >= 0 else end
        case Part.CRYPT_KEY:
            match = _CRYPT.search(word, start)
            start = match.end() if match else end
        case Part.WHOLE:
            pass
    return (start, end) if start < end else None
