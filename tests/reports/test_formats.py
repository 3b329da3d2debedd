"""The same report in every format that people save and send logs in is the same report."""

import json
import textwrap
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest

from kmodmon.events.report import KernelReport
from kmodmon.reports.saved_log import explain_log
from kmodmon.savedlog.savedlog import SavedLine, read_saved_log
from tests.reports.casefile import CASES, read_case

_DICTIONARY = (" SUBSYSTEM=", " DEVICE=")
RECORDED = [path for path in CASES if path.stem.startswith("vm-") and len(path.read_bytes()) < 9000]
Render: TypeAlias = Callable[[Sequence[SavedLine]], str]


def _stamp(line: SavedLine) -> str:
    usec = line.printk_usec or 0
    return f"[{usec // 1_000_000:5d}.{usec % 1_000_000:06d}]"


def _each(form: str) -> Render:
    def render(lines: Sequence[SavedLine]) -> str:
        return "".join(form.format(stamp=_stamp(line), level=line.level or 4, text=line.text) + "\n" for line in lines)

    return render


def _journal_json(lines: Sequence[SavedLine]) -> str:
    records = [
        {"_TRANSPORT": "kernel", "MESSAGE": line.text, "__MONOTONIC_TIMESTAMP": str(line.printk_usec)} for line in lines
    ]
    return "\n".join(json.dumps(record) for record in records)


def _dmesg_json(lines: Sequence[SavedLine]) -> str:
    records = [{"pri": 4, "time": (line.printk_usec or 0) / 1e6, "msg": line.text} for line in lines]
    return json.dumps({"dmesg": records}, indent=3)


def _export(lines: Sequence[SavedLine]) -> str:
    return "".join(
        f"__CURSOR=s;i={line.number}\n__MONOTONIC_TIMESTAMP={line.printk_usec}\n"
        f"_TRANSPORT=kernel\nMESSAGE={line.text}\n\n"
        for line in lines
    )


def _json_pretty(lines: Sequence[SavedLine]) -> str:
    return "".join(
        json.dumps({"__MONOTONIC_TIMESTAMP": str(line.printk_usec), "_TRANSPORT": "kernel", "MESSAGE": line.text},
                   indent="\t", separators=(",", " : ")) + "\n"
        for line in lines
    )  # fmt: skip


def _json_sse(lines: Sequence[SavedLine]) -> str:
    return "".join(f"data: {record}\n\n" for record in _journal_json(lines).split("\n"))


def _verbose(lines: Sequence[SavedLine]) -> str:
    return "".join(
        f"Mon 2024-03-04 09:12:01.123456 CET [s=0b9f;i={line.number:x};b=77;m=25;t=613;x=9f]\n"
        f"    __MONOTONIC_TIMESTAMP={line.printk_usec}\n    _TRANSPORT=kernel\n    MESSAGE={line.text}\n"
        for line in lines
    )


def _wrapped_mail(lines: Sequence[SavedLine]) -> str:
    out: list[str] = []
    for line in lines:
        whole = f"{_stamp(line)} {line.text}"
        out += textwrap.wrap(whole, 76, break_long_words=False, break_on_hyphens=False, drop_whitespace=True) or [whole]
    return "".join(f"> {line}\n" for line in out)


FORMATS: dict[str, Render] = {
    "dmesg": _each("{stamp} {text}"),
    "dmesg-r": _each("<{level}>{stamp} {text}"),
    "dmesg-t": _each("{text}"),
    "dmesg-T": _each("[Mon Mar  4 09:12:01 2024] {text}"),
    "dmesg-x": _each("kern  :warn  : {stamp} {text}"),
    "caller": _each("{stamp}[  T123] {text}"),
    "syslog": _each("Mar  4 09:12:01 server01 kernel: {stamp} {text}"),
    "journal-short": _each("Mar 04 09:12:01 server01 kernel: {text}"),
    "journal-iso": _each("2024-03-04T09:12:01+0100 server01 kernel: {text}"),
    "rfc5424": _each("<4>1 2024-03-04T09:12:01.123456+01:00 server01 kernel - - - {stamp} {text}"),
    "rfc5424-blank": _each("<4> 1 2024-03-04T09:12:01.123456+01:00 server01 kernel - - - {stamp} {text}"),
    "facility-dot-level": _each("<0.4> 2024-03-04 09:12:01 server01 kernel - - - {stamp} {text}"),
    "socklog": _each("2024-03-04T09:12:01.12345 kern.err: {stamp} {text}"),
    "journal-unix": _each("1709540721.123456 server01 kernel: {text}"),
    "relayed": _each("Mar  4 09:12:01 192.0.2.7 Mar  4 09:12:01 server01 kernel: {stamp} {text}"),
    "grep": _each("/var/log/kern.log.1:Mar  4 09:12:01 server01 kernel: {text}"),
    "grep-n": _each("4711:Mar  4 09:12:01 server01 kernel: {text}"),
    "logcat-brief": _each("E/kernel  (    0): {text}"),
    "dmesg-e": _each("[Mar14 09:12] {text}"),
    "dmesg-d-comma": _each("[  +0,000113] {text}"),
    "slashes": _each("2024/03/04 09:12:01 server01 kernel: {text}"),
    "serial": _each("\x1b[0m{stamp} {text}\r"),
    "quoted": _each("> {stamp} {text}"),
    "wall": _each(" kernel:{stamp} {text}"),
    "journal-json": _journal_json,
    "json-pretty": _json_pretty,
    "json-sse": _json_sse,
    "verbose": _verbose,
    "dmesg-json": _dmesg_json,
    "export": _export,
    "wrapped-mail": _wrapped_mail,
}


def _facts(report: KernelReport) -> tuple[object, ...]:
    linked = tuple(sorted(module.name for module in report.linked))
    return (report.report_class, report.signature, report.title, report.module, report.module_reason, report.function,
            report.panic, report.fingerprint, report.cpu, report.pid, report.comm, report.taint_letters,
            linked)  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_recorded_report_when_saved_in_a_format_then_is_the_same(name: str) -> None:
    assert len(RECORDED) >= 50
    for path in RECORDED:
        log = read_case(path).log
        lines = [
            line for line in read_saved_log(log) if line.text and not line.text.startswith((" SUBSYSTEM=", " DEVICE="))
        ]
        expected = [_facts(report) for report in explain_log(log)]
        assert [_facts(report) for report in explain_log(FORMATS[name](lines).encode())] == expected, path.stem
