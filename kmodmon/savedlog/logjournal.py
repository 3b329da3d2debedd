"""Parses structured copies of the kernel log: journalctl -o json, json-pretty, export and verbose, dmesg --json.

Formats: Journal Export Formats (systemd.io); dmesg(1) of util-linux. journald keeps facility 0 for the records of the
kernel (`_TRANSPORT=kernel`), and writes a text that is not printable UTF-8 as an array of byte values (JSON) or with
its length in front (export). dmesg --json is one object whose list may be spread over lines; a single line `"msg":
"..."` is parsed too, for a file that is cut short.
"""

import json
import re
from collections.abc import Iterator, Mapping

from kmodmon.savedlog.logprefix import Prefixed, stamp_usec, strip_prefix

_FIELD = re.compile(r'"(?P<name>pri|fac|time|caller|msg)":\s*(?P<value>.*?),?\s*$')
_EXPORT = re.compile(rb"(?:\A|\n)__(?:CURSOR|REALTIME_TIMESTAMP)=")
_PRETTY = re.compile(rb"\s*\{\r?\n\s*\"\w+\" : ")
_VERBOSE = re.compile(rb"(?:-- .*\n)?\S+ \d{4}-\d\d-\d\d \S+(?: \S+)? \[s=[0-9a-f]+;i=[^\n]*\n    [A-Z_]+=")
_NAME = re.compile(r"[A-Z0-9_]{1,64}")


def is_export(data: bytes) -> bool:
    """Whether `data` is the journal's export format."""
    return _EXPORT.search(data[: 1 << 16]) is not None


def read_export(data: bytes) -> Iterator[tuple[int, Prefixed]]:
    """Return the records of an export, each with the line number of its message."""
    fields: dict[str, str] = {}
    number = at = 0
    message_line = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at:end]
        number += 1
        at = end + 1
        if not line:
            yield from _exported(fields, message_line)
            fields = {}
            continue
        name, equals, value = line.partition(b"=")
        if not equals:  # a binary field: its length as 8 bytes, then the bytes and a line feed
            size = int.from_bytes(data[at : at + 8], "little")
            value = data[at + 8 : at + 8 + min(size, len(data))]
            number += value.count(b"\n") + data[at : at + 8].count(b"\n") + 1
            at += 8 + min(size, len(data)) + 1
        key = name.decode("ascii", "replace")
        if key == "MESSAGE":
            message_line = number
        fields[key] = value.decode("utf-8", "surrogateescape")
    yield from _exported(fields, message_line)


def _exported(fields: Mapping[str, str], number: int) -> Iterator[tuple[int, Prefixed]]:
    if "MESSAGE" in fields:
        yield number, _journal(fields)


def _journal(fields: Mapping[str, str]) -> Prefixed:
    # A message that came through a syslog relay may still have a console prefix.
    line = strip_prefix(fields["MESSAGE"])
    line.level = _number(fields.get("PRIORITY"), line.level)
    transport, tag = fields.get("_TRANSPORT"), fields.get("SYSLOG_IDENTIFIER")
    if transport == "kernel" or (transport is None and tag in (None, "kernel")):
        line.facility = 0
    else:
        line.facility = _number(fields.get("SYSLOG_FACILITY"), 1) or 1
    stamp = fields.get("_SOURCE_MONOTONIC_TIMESTAMP") or fields.get("__MONOTONIC_TIMESTAMP")
    line.usec = _number(stamp, line.usec)
    line.stamped = True
    return line


def _number(digits: str | None, otherwise: int | None) -> int | None:
    return int(digits) if digits is not None and digits.isdecimal() and len(digits) < 20 else otherwise


def read_json(line: str) -> list[Prefixed] | None:
    """Return the records in one line of JSON; an empty list: a part without text; None: no JSON of a log."""
    if line.startswith("{") and len(line) > 2:
        try:
            value = json.loads(line.rstrip().rstrip(","), parse_int=str)
        except (ValueError, RecursionError):
            return None
        return _from_object(value)
    match = _FIELD.match(line)
    if match is None:
        return None
    if match["name"] != "msg":
        return []
    try:
        text = json.loads(match["value"])
    except (ValueError, RecursionError):
        return None
    record = strip_prefix(text) if isinstance(text, str) else Prefixed("")
    record.stamped = True
    return [record]


def read_dmesg(data: bytes) -> list[tuple[int, Prefixed]] | None:
    """Return the records of a whole `dmesg --json`, with line numbers; None: another format, or cut short."""
    if data.lstrip()[:1] != b"{" or b'"dmesg"' not in data[:64]:
        return None
    try:
        value = json.loads(data, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    records = value.get("dmesg") if isinstance(value, dict) else None
    if not isinstance(records, list):
        return None
    numbers = [number for number, line in enumerate(data.split(b"\n"), 1) for _ in range(line.count(b'"msg":'))]
    lines = [line for record in records for line in _from_dmesg(record)]
    if len(numbers) != len(lines):  # a text that holds `"msg":` itself
        numbers = list(range(1, len(lines) + 1))
    return list(zip(numbers, lines, strict=True))


def read_pretty(data: bytes) -> list[tuple[int, Prefixed]] | None:
    """Return the records of `journalctl -o json-pretty`, with line numbers; None: another format, or cut short."""
    if _PRETTY.match(data) is None or b'"MESSAGE" : ' not in data:
        return None
    text = data.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder(parse_int=str)
    out: list[tuple[int, Prefixed]] = []
    at, number = 0, 1
    while (begin := text.find("{", at)) >= 0:
        number += text.count("\n", at, begin)
        try:
            value, at = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            return None
        out += [(number, line) for line in _from_object(value) or []]
        number += text.count("\n", begin, at)
    return out


def read_verbose(data: bytes) -> list[tuple[int, Prefixed]] | None:
    """Return the records of `journalctl -o verbose`: a date with a cursor, then one field a line.

    None: another format.
    """
    if _VERBOSE.match(data) is None:
        return None
    out: list[tuple[int, Prefixed]] = []
    fields: dict[str, str] = {}
    at, name = 0, ""
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        key, equals, value = line[4:].partition("=")
        if not line.startswith("    "):  # the next record's date
            out += _exported(fields, at)
            fields, name = {}, ""
        elif equals and _NAME.fullmatch(key):
            name, fields[key] = key, value
            at = number if key == "MESSAGE" else at
        elif name:  # indented deeper: the field goes on
            fields[name] += "\n" + line.strip()
    out += _exported(fields, at)
    return out


def _from_object(value: object) -> list[Prefixed] | None:
    if not isinstance(value, dict):
        return None
    records = value.get("dmesg")
    if isinstance(records, list):
        return [line for record in records for line in _from_dmesg(record)]
    if "msg" in value and ("pri" in value or "time" in value):
        return _from_dmesg(value)
    if isinstance(value.get("log"), str) and "stream" in value:  # a container that is a machine's console
        return [strip_prefix(value["log"])]
    if "MESSAGE" not in value:
        return None
    return [_journal({str(key): _text(field) for key, field in value.items() if field is not None})]


def _from_dmesg(record: object) -> list[Prefixed]:
    if not isinstance(record, dict) or not isinstance(record.get("msg"), str):
        return []
    line = strip_prefix(record["msg"])
    priority = _number(str(record.get("pri", "")), None)
    if priority is not None:
        line.level, line.facility = priority & 7, priority >> 3
    facility = record.get("fac")
    if facility is not None:
        line.facility = 0 if str(facility) in ("kern", "0") else 1
    stamp = str(record.get("time", "")).strip()
    seconds, _, fraction = stamp.partition(".")
    if seconds.isdecimal() and len(seconds) < 12:
        line.usec = stamp_usec(seconds, fraction if fraction.isdecimal() else "")
    caller = record.get("caller")
    line.caller = caller if isinstance(caller, str) else line.caller
    line.stamped = True
    return [line]


def _text(value: object) -> str:
    if isinstance(value, list):
        try:
            return bytes(int(byte) for byte in value).decode("utf-8", "surrogateescape")
        except (TypeError, ValueError):
            return _text(value[-1]) if value else ""  # a field that came more than once
    return value if isinstance(value, str) else str(value)
