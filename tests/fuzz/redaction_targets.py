"""Targets that hide secrets: in command lines, in the kernel's log, and in what anybody may read."""

import re

from kmodmon.kernel import redacted_log as redacted_log_of
from kmodmon.kernel import redaction, shell_words
from kmodmon.kernel.parameter import REDACTED, SecretNames
from kmodmon.types.text import safe_text
from kmodmon.view.masking import MASKED
from kmodmon.view.masking import masked as masked_line

_NAMES = SecretNames()
_WHOLE_ADDRESS = re.compile(r"(?<!\w)[0-9a-fA-F]{16}(?!\w)")


def redacted_log(data: bytes) -> object:
    """What was hidden once is not changed when it is read again."""
    lines = redacted_log_of.redact_log_lines(data, _NAMES)
    assert redacted_log_of.redact_log_lines(lines, _NAMES) == lines
    record = redacted_log_of.redact_record(data, _NAMES)
    assert redacted_log_of.redact_record(record, _NAMES) == record
    return len(lines), len(record)


def command_line(data: bytes) -> object:
    """Arguments, as the kernel gives them, and the same as one text: hiding again changes nothing."""
    text = data.decode("utf-8", "surrogateescape")
    arguments = text.split("\0")
    once = redaction.redact_arguments(arguments, _NAMES)
    assert len(once) == len(arguments)
    assert all(len(after) <= len(REDACTED) * len(before) for before, after in zip(arguments, once, strict=True))
    assert redaction.redact_arguments(once, _NAMES) == once
    whole = redaction.redact_text(text, _NAMES)
    assert redaction.redact_text(whole, _NAMES) == whole
    return len(whole)


def words(data: bytes) -> object:
    """Each character of a word has a place in its own line, and none stands in two words."""
    text = data.decode("utf-8", "surrogateescape")
    end = 0
    for command in shell_words.split_commands(text):
        for word in command.words:
            assert end <= word.start <= len(text)
            for first, last in word.places(0, len(word.text)):
                assert end <= first < last <= command.line_end, (word.text, first, last)
                end = last
    return end


def masked(data: bytes) -> object:
    """No line has a whole address in it after it was masked, and masking again changes nothing."""
    shown = masked_line(safe_text(data))
    assert _WHOLE_ADDRESS.search(shown) is None
    assert masked_line(shown) == shown
    return shown.count(MASKED)
