"""Files of the kernel that list every choice with the active one in brackets: `none [integrity] confidentiality`.

Interfaces in this form: /sys/kernel/security/lockdown (security/lockdown/lockdown.c) and trace_clock of tracefs
(kernel/trace/trace.c `tracing_clock_show`). Permissions and absence are those of the file.
"""

import re

from kmodmon.types.error import ParseError


def parse_selection(raw: bytes, interface: str, word: re.Pattern[bytes]) -> tuple[str, tuple[str, ...]]:
    """Return the active choice and every choice in the file's order; `word` matches one of them.

    Raises ParseError naming `interface` unless exactly one word is in brackets.
    """
    words = raw.split()
    active = [text for text in words if text.startswith(b"[") and text.endswith(b"]")]
    names = [text.strip(b"[]") for text in words]
    if len(active) != 1 or not all(word.fullmatch(name) for name in names):
        raise ParseError(interface, raw, "not a list of words with the active one in brackets")
    return active[0].strip(b"[]").decode(), tuple(name.decode() for name in names)
