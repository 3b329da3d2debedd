"""Lines of the kernel log without addresses and registers, over every saved log of the tests."""

import re
from pathlib import Path

import pytest

from kmodmon.reports.saved_log import explain_log
from kmodmon.view.masking import MASKED, masked

CASES = sorted((Path(__file__).parent.parent / "reports/cases").glob("*.log"))
_SYMBOL = re.compile(r"[A-Za-z_][\w.]*\+0x[0-9a-f]{1,6}/0x[0-9a-f]{1,6}(?![0-9a-f])")
_ADDRESS = re.compile(r"(?<![\w+/])(?:0x)?[0-9a-f]{16}(?!\w)|(?<![\w+/.])0x[0-9a-f]{6,}")


SHOWN = """
RAX: 0000000000000000 RBX: ffff9d1b41e0b000 RCX: 0000000000000001
RAX: ~ RBX: ~ RCX: ~
RIP: 0010:0xffffffffc0123456
RIP: 0010:~
RSP: 0018:ffffb2f380b5fd90 EFLAGS: 00010246
RSP: 0018:~ EFLAGS: ~
CR2: 0000000000000010 CR3: 0000000102a3c000 CR4: 0000000000750ef0
CR2: ~ CR3: ~ CR4: ~
Code: 48 c7 c7 00 30 5c c0 e8 0a 00 00 00 <c7> 04 25
Code: ~
PGD 100c0a067 P4D 100c0a067 PUD 0
PGD ~ P4D ~ PUD 0
x29: ffff80001000bd40 x28: ffff0000c0a8d000
x29: ~ x28: ~
sp : c15e3f48  ip : 00000000  fp : c15e3f5c
sp : ~  ip : ~  fp : ~
EAX: 12345678 EBX: c0123456
EAX: ~ EBX: ~
EIP: [<c0456789>] do_it+0x12/0x30 [m]
EIP: [<~>] do_it+0x12/0x30 [m]
$ 4   : 00000000 801b0000 8f8ad000 00000001
~
BUG: unable to handle page fault for address: ffffdeadbeef0000
BUG: unable to handle page fault for address: ~
Read of size 8 at addr ffff88810a4c7e00 by task cat/812
Read of size 8 at addr ~ by task cat/812
app[812]: segfault at 7f12ab340000 ip 00005581 sp 7ffd
app[812]: segfault at ~ ip ~ sp 7ffd
? evil+0xffffffffc0123456/0x10
? evil+~/0x10
"""  # a line of the log, and below it what is shown of it
KEPT = """
RIP: 0010:nv_open+0x4a/0x80 [nvidia]
pc : kmtc_crash+0x1c/0x40 [kmtc]
Oops: 0002 [#1] PREEMPT SMP NOPTI
CPU: 3 PID: 19363 Comm: cat Tainted: P OE 6.1.0-18-amd64 #1
#PF: error_code(0x0002) - not-present page
hello: module verification failed: signature and/or required key missing - tainting kernel
boot 550e8400-e29b-41d4-a716-446655440000
srcversion 4E0F5A1C0FFEE4E0F5A1C0F
blk_update_request: I/O error, dev sda, sector 12345678
"""


@pytest.mark.parametrize(
    "pair", list(zip(*[iter(SHOWN.strip("\n").split("\n"))] * 2, strict=True)), ids=lambda pair: pair[0]
)
def test_line_when_masked_then_addresses_and_registers_are_gone(pair: tuple[str, str]) -> None:
    assert masked(pair[0]) == pair[1].replace("~", MASKED)


@pytest.mark.parametrize("line", KEPT.strip().splitlines())
def test_line_when_it_has_no_address_then_it_stays(line: str) -> None:
    assert masked(line) == line


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_reports_of_saved_logs_when_masked_then_no_address_is_left_and_every_symbol(case: Path) -> None:
    for report in explain_log(case.read_bytes().partition(b"\n\n")[2], include_all=True):
        for line in report.evidence:
            shown = masked(line)
            assert not _ADDRESS.search(shown), (line, shown)
            if not line.lstrip().startswith(("Code:", "Stack:")):
                assert _SYMBOL.findall(shown) == _SYMBOL.findall(line), (line, shown)


def test_masking_when_a_line_is_long_and_hostile_then_it_takes_no_time_to_speak_of() -> None:
    for letters in ("0" * 100_000, "a: " * 40_000, "PGD " * 30_000, "0x" * 50_000, "$ 1: " * 20_000, "Code:" * 20_000):
        assert masked(letters) is not None
