r"""Lines of the kernel's log that show values of module parameters, with the secrets among them hidden. Pure.

The kernel prints values of parameters itself: kernel/params.c parse_args() (``NAME: `VALUE' invalid for parameter
`PARAMETER'`` and `too large for`; `doing NAME, parsing ARGS: 'LINE'` and `doing NAME: PARAMETER='VALUE'` with dynamic
debug), kernel/module/main.c load_module() (``NAME: parameters 'LINE' after `--' ignored``), init/main.c (`Kernel
command line: LINE`, `Unknown kernel command line parameters "LINE"`, ``Too many boot env vars at `WORD'``). The other
lines of these functions show names only: ``Unknown parameter `PARAMETER'``, `unknown parameter 'PARAMETER' ignored`.

A value that holds a line feed is one record of /dev/kmsg and several lines of a dump: there, what the first and the
last line show of it is hidden, and a line between them is not known to belong to it.
"""

import re

from kmodmon.kernel.kmsg import may_show_values
from kmodmon.kernel.parameter import SecretNames
from kmodmon.kernel.redaction import redact_text
from kmodmon.kernel.secret_spans import Span, replaced

_CUT_RECORD = 900  # characters; a longer record may have been cut (LOG_LINE_MAX is 992 to 2048 bytes less a prefix)
# Names of parameters are identifiers of C, with dots and dashes on the command line; a cut record may end in one.
_PRINTED_VALUE = re.compile(r"' (?:invalid|too large) for parameter `(?=([\w.\-]{0,256}+)(\Z)?)")
_PRINTED_LINES = (
    # what stands before the line of words, and what may stand behind it
    (re.compile(r"(?:\A|: )parameters '"), "' after `--' ignored"),
    (re.compile(r"\AKernel command line: "), ""),
    (re.compile(r"\AUnknown kernel command line parameters \""), '", will be passed to user space.'),
    (re.compile(r"\Adoing [^\n]{0,80}?, parsing ARGS: '"), "'"),
    (re.compile(r"Too many boot (?:env|init) vars at `"), "'"),
)
_PRINTED_PAIR = re.compile(r"\Adoing ([\w.\- ]{1,64}+): ([\w.\-]{1,256}+)='")
_MAY_PRINT = ("for parameter `", "parameters '", "ommand line", "doing ", "boot env vars", "boot init vars")
_MODULE = re.compile(r"([\w\-]{1,64}+): ")


_LINE_PREFIX = re.compile(rb"(?:<[0-9]{1,3}>)?(?:\[[^\]\n]{1,40}\] ?){0,2}")


def redact_record(raw: bytes, names: SecretNames) -> bytes:
    """Hide the secrets in a record of /dev/kmsg as it was read (`kernel.kmsg` has the format)."""
    if not may_show_values(raw):
        return raw
    head, semicolon, body = raw.partition(b";")
    text, newline, fields = body.partition(b"\n")
    return b"".join((head, semicolon, _redact_line(text, names), newline, fields))


def redact_log_lines(raw: bytes, names: SecretNames) -> bytes:
    """Hide the secrets in lines of a log that have the prefixes of dmesg, or none."""
    return b"\n".join(
        prefix[0] + _redact_line(line[prefix.end() :], names)
        if may_show_values(line) and (prefix := _LINE_PREFIX.match(line)) is not None
        else line
        for line in raw.split(b"\n")
    )


def _redact_line(line: bytes, names: SecretNames) -> bytes:
    text = line.decode("utf-8", "surrogateescape")
    return redact_log_text(text, names).encode("utf-8", "surrogateescape")


def redact_log_text(text: str, names: SecretNames) -> str:
    """Hide the secrets in the text of one record of the kernel's log, if it shows values of parameters."""
    if not any(words in text for words in _MAY_PRINT) and ": `" not in text[:80]:
        return text
    module = _MODULE.match(text)
    named = module[1] if module else ""
    if (span := _printed_value(text, names, named)) is not None:
        return replaced(text, [span])
    pair = _PRINTED_PAIR.match(text)
    if pair is not None and names.hides(pair[2], pair[1]):
        return replaced(text, [(pair.end(), len(text) - text.endswith("'"))])
    for before, behind in _PRINTED_LINES:
        if (match := before.search(text)) is not None:
            end = len(text) - len(behind) if behind and text.endswith(behind) else len(text)
            return text[: match.end()] + redact_text(text[match.end() : end], names) + text[end:]
    return text


def _printed_value(text: str, names: SecretNames, module: str) -> Span | None:
    # The value may hold these very words, so any name that follows them may be the parameter's.
    ends = list(_PRINTED_VALUE.finditer(text))
    start = text.find("`", 0, ends[0].start() if ends else None) + 1  # 0: the value began on an earlier line
    if not ends:
        # The kernel cuts a long record, and a line feed in the value begins another line of a dump.
        begins = bool(module) and text.startswith(": `", len(module))
        return (start, len(text)) if begins and (len(text) >= _CUT_RECORD or "'" not in text[start:]) else None
    if not any(names.hides(end[1], module) or end[2] is not None for end in ends):
        return None
    return (start, ends[-1].start()) if start <= ends[-1].start() else None
