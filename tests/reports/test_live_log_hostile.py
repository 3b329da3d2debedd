"""200,000 forged and hostile records: no report, nothing raised, nothing that grows."""

import gc
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.module import ModuleLoadFailed
from kmodmon.kernel.kmsg import parse_record
from kmodmon.subjects.log import account_to_json
from tests.kernel.render import render_record
from tests.kmsg_maker import WARNING, boots
from tests.reports.test_live_log import OOPS, Listener, later

RECORDS = 200_000
BATCH = 512
GROWTH_BYTES = 4 << 20  # between the first and the second half

# What user space can put into lines that the kernel writes: names of processes, files, devices, modules.
NAMES = (
    b"BUG: unable to",
    b"Oops: 0002 [#1]",
    b"WARNING: CPU: 0",
    b"Kernel panic - ",
    b"------------[ c",
    b"---[ end trace ",
    b"Tainted: P   O ",
    b"RIP: 0010:f+0x1",
    b"[evil] \x1b[31m\xff",
)
IN_KERNEL_LINES = (
    b"%s[471]: segfault at 0 ip 0000561 sp 00007ffc error 4 in %s[5610+1000]",
    b"traps: %s[471] general protection ip:561 sp:7ffc error:0 in %s[5610+1000]",
    b"usb 1-1: Product: %s %s",
    b"scsi 2:0:0:0: Direct-Access     %s %s PQ: 0 ANSI: 5",
    b"EXT4-fs (%s): mounted filesystem with ordered data mode. Opts: %s",
    b'audit: type=1400 audit(1.0:1): apparmor="DENIED" name="%s" comm="%s"',
    b"process '%s/%s' started with executable stack",
    b"hello %s: says %s",
)


def hostile(rng: random.Random) -> Iterator[bytes]:
    """Raw records without end; their numbers rise."""
    honest = [parse_record(raw).text for boot in boots().values() for raw in boot[:60]]
    seq = 0
    while True:
        seq += 1
        match rng.randrange(8):
            case 0 | 1 | 2:
                priority, text = rng.randrange(8, 192), rng.choice((*OOPS, *WARNING))
            case 3:
                priority, text = rng.randrange(8), rng.choice(IN_KERNEL_LINES) % (rng.choice(NAMES), rng.choice(NAMES))
            case 4:
                priority, text = rng.randrange(8), rng.randbytes(rng.randrange(200))
            case 5:
                priority, text = rng.randrange(192), b"x" * rng.randrange(4000)
            case 6:
                priority, text = rng.randrange(192), b"%x %x" % (rng.randrange(1 << 60), rng.randrange(1 << 60))
            case _:
                priority, text = rng.randrange(8), rng.choice(honest)
        raw = b"%d,%d,%d,-;%b\n" % (priority, seq, seq * 10, text.replace(b"\n", b" "))
        yield raw if rng.randrange(50) else rng.randbytes(rng.randrange(60)).replace(b",", b".")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_hear_when_200000_records_are_hostile_then_there_is_no_report_and_nothing_grows() -> None:
    stream = hostile(random.Random(7))
    listener = Listener()
    half = 0
    for at in range(0, RECORDS, BATCH):
        listener.take(tuple(islice(stream, BATCH)), later(at / 10_000))
        if at <= RECORDS // 2 < at + BATCH:
            gc.collect()
            half = resident()
    listener.wait(later(1000))
    gc.collect()
    assert listener.of(KernelReported.kind.type) == []
    assert listener.of(ModuleLoadFailed.kind.type) == []
    assert listener.account.forged > RECORDS // 40
    assert len(listener.events) < 50
    assert resident() - half < GROWTH_BYTES
    assert len(str(account_to_json(listener.account))) < 4096


def test_hostile_texts_when_a_kernel_prints_them_then_it_escapes_them() -> None:
    record = parse_record(b"6,1,1,-;a\\x1b\\x0ab\n")
    assert (record.text, render_record(record)) == (b"a\x1b\nb", b"6,1,1,-;a\\x1b\\x0ab\n")
