"""Records of /dev/kmsg for tests: made ones, and those that real kernels wrote."""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from kmodmon.kernel.kmsg import split_records
from kmodmon.subjects.log import LogRead

_RECORDED = Path(__file__).parent / "kernel" / "recorded"


def record(seq: int, text: bytes, *, priority: int = 6, usec: int | None = None) -> bytes:
    stamp = 1_000_000 + seq * 100 if usec is None else usec
    return b"%d,%d,%d,-;%b\n" % (priority, seq, stamp, text)


def records(texts: Iterable[bytes], *, first: int = 0, priority: int = 6) -> tuple[bytes, ...]:
    return tuple(record(seq, text, priority=priority) for seq, text in zip(count(first), texts, strict=False))


def read(batch: Sequence[bytes], *, end: bool = True, live: bool = False) -> LogRead:
    return LogRead(records=tuple(batch), end=end, live=live)


def boots() -> dict[str, tuple[bytes, ...]]:
    """Give the recorded boots, by kernel release."""
    return {path.parent.name: split_records(path.read_bytes()) for path in sorted(_RECORDED.glob("*/kmsg"))}


def renumbered(batch: Sequence[bytes], first: int, usec: int) -> tuple[bytes, ...]:
    """Give the records with sequence numbers from `first` on and stamps from `usec` on, as far apart as they were."""
    out: list[bytes] = []
    begin = int(batch[0].split(b",", 3)[2])
    for seq, raw in zip(count(first), batch, strict=False):
        priority, _, stamp, rest = raw.split(b",", 3)
        out.append(b"%b,%d,%d,%b" % (priority, seq, usec + int(stamp) - begin, rest))
    return tuple(out)


WARNING = (
    b"------------[ cut here ]------------",
    b"WARNING: CPU: 1 PID: 471 at /root/w/warn_mod.c:4 warn_init+0x5/0x1000 [warn_mod]",
    b"Modules linked in: warn_mod(OE+) loop virtio_net",
    b"CPU: 1 PID: 471 Comm: insmod Tainted: G           OE      6.1.0-56-cloud-amd64 #1  Debian 6.1.190-1",
    b"Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-1 04/01/2014",
    b"RIP: 0010:warn_init+0x5/0x1000 [warn_mod]",
    b"Code: Unable to access opcode bytes at 0xffffffffc0496fdb.",
    b"Call Trace:",
    b" <TASK>",
    b" do_one_initcall+0x59/0x220",
    b" do_init_module+0x4a/0x1f0",
    b" __do_sys_finit_module+0xac/0x120",
    b" do_syscall_64+0x55/0xb0",
    b" entry_SYSCALL_64_after_hwframe+0x6e/0xd8",
    b" </TASK>",
    b"---[ end trace 0000000000000000 ]---",
)
"""One report, as 6.1 words it."""


def warning(name: bytes) -> tuple[bytes, ...]:
    """Give the same of another module: another report."""
    return tuple(line.replace(b"warn_mod", name).replace(b"warn_init", name + b"_init") for line in WARNING)
