"""The kernel's log: reading and understanding it against a C program that only reads, and against mtail.

The texts are those of recorded boots with other digits, one in a thousand of which means something. *Drained*: records
that wait are read at one go, as after start; a packet pipe gives a record in less than half the time that /dev/kmsg
takes to format one, so the same work is twice the ratio here. *Followed*: records come at 100,000 a second, through the
engine, from a ring as small as the smallest of a kernel, and both programs pay for waiting. mtail reads the same
records from a file.
"""

import asyncio
import fcntl
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kmodmon.config.settings import Settings
from kmodmon.events.event import Event
from kmodmon.metrics import EVENT_METRICS
from kmodmon.pipeline import Rules
from kmodmon.reports.live_log import process_records
from kmodmon.reports.prefilter import is_relevant
from kmodmon.reports.signatures.table import SIGNATURES
from kmodmon.runtime.engine import Engine
from kmodmon.sources import kmsg
from kmodmon.sources.source import SourceContext
from kmodmon.state.state import State
from kmodmon.subjects.log import NO_LOG, LogAccount, LogMemory
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root
from kmodmon.types.units import JsonObject
from tests.bench.ratio import Ratio, compiled, paired
from tests.kmsg_maker import boots
from tests.tools import ToolError, tool

TEXTS = 50_000
FILL = 250  # records in a packet pipe of 1 MiB, about
ROUNDS = 200
RATE, SECONDS = 100_000, 3
PATTERNS = 60


def run() -> Iterator[Ratio]:
    """Measure reading what waits, following a flood, and both against mtail."""
    with tempfile.TemporaryDirectory() as base:
        texts = make_texts()
        path = Path(base, "texts")
        path.write_bytes(b"\n".join(texts) + b"\n")
        ours, peer = paired(lambda: drained(texts), lambda: drained_by_peer(path))
        yield Ratio(name="a log record drained / C read", ours=ours, peer=peer, goal=5)
        ours, peer = paired(lambda: followed(Path(base)), lambda: followed_by_peer(Path(base)), rounds=3)
        yield Ratio(name=f"a log record at {RATE} a second / C poll+read", ours=ours, peer=peer, goal=3)
        try:
            program = tool("mtail")
        except ToolError as error:
            print(f"mtail: skipped, {error}", file=sys.stderr)
            return
        ours, peer = paired(lambda: drained(texts), lambda: by_mtail(program, Path(base), texts), rounds=3)
        yield Ratio(name=f"a log record drained / mtail with {PATTERNS} patterns", ours=ours, peer=peer, goal=0.25)


def make_texts() -> Sequence[bytes]:
    """Give lines `PRIORITY;text` of real boots with other digits."""
    lines = [raw for boot in boots().values() for raw in boot if not raw.startswith(b" ")]
    known = [raw.split(b",", 1)[0] + b";" + raw.partition(b";")[2].partition(b"\n")[0] for raw in lines]
    known = [line for line in known if line[1:2] == b";"]
    loud = [line for line in known if is_relevant(line)]
    quiet = [line for line in known if not is_relevant(line)]
    rng = random.Random(1)
    chosen = (rng.choice(loud if rng.random() < 0.001 else quiet) for _ in range(TEXTS))
    return [line[:2] + re.sub(rb"[0-9]", lambda _: b"%d" % rng.randrange(10), line[2:]) for line in chosen]


def drained(texts: Sequence[bytes]) -> float:
    """CPU microseconds for a record that waits: KmsgReader and hear()."""
    out, into = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 1 << 20)
    reader = kmsg.KmsgReader(out)
    account: LogAccount = NO_LOG
    log_memory: LogMemory | None = None
    clock, spent = SystemClock(), 0
    for first in range(0, FILL * ROUNDS, FILL):
        for seq in range(first, first + FILL):
            text = texts[seq % len(texts)]
            os.write(into, b"%b,%d,%d,-%b\n" % (text[:1], seq, seq, text[1:]))
        start = time.thread_time_ns()
        said = process_records(account, log_memory, reader.batch(kmsg.BATCH), clock.now())
        account, log_memory = said.account, said.log_memory
        spent += time.thread_time_ns() - start
    os.close(out)
    os.close(into)
    assert account.total == FILL * ROUNDS and account.lost == 0
    return spent / 1e3 / account.total


def drained_by_peer(path: Path) -> float:
    """The same by the C program."""
    return _per_record(subprocess.check_output([compiled("kmsg_read.c"), "drain", str(path), str(ROUNDS)], text=True))


class _Nowhere:
    def submit(self, events: Sequence[Event], checkpoints: Mapping[str, JsonObject]) -> None:
        """Forget it."""


def followed(base: Path) -> float:
    """CPU microseconds for a record of a flood, by the engine with the log as its only source."""
    pipe = _pipe(base)
    read, lost, spent = asyncio.run(_followed(base))
    os.close(pipe)
    print(f"  kmodmon: {read} read, {lost} lost", file=sys.stderr)
    return spent / read


async def _followed(base: Path) -> tuple[int, int, float]:
    clock = SystemClock()
    engine = Engine(
        context=SourceContext(root=Root(dev=os.fsencode(base)), settings=Settings(), clock=clock),
        state=State(boot_id="bench", started=clock.now()),
        sink=_Nowhere(),
        rules=Rules(event_metrics=EVENT_METRICS),
        polled_sources=(),
        event_sources=(kmsg.SOURCE,),
    )
    opened, ended = asyncio.Event(), asyncio.Event()

    def stepped(state: State, events: Sequence[Event]) -> None:
        opened.set()
        if state.log.next_seq == RATE * SECONDS:
            ended.set()

    engine.on_step = stepped
    await engine.start()
    async with asyncio.timeout(60):
        await opened.wait()
        start = time.process_time()
        writer = await asyncio.create_subprocess_exec(*_writer(base), stdout=subprocess.DEVNULL)
        await ended.wait()
        spent = (time.process_time() - start) * 1e6
        await writer.wait()
    await engine.stop()
    return engine.state.log.total, engine.state.log.lost, spent


def followed_by_peer(base: Path) -> float:
    """The same by the C program."""
    pipe = _pipe(base)
    follow = [str(compiled("kmsg_read.c")), "follow", str(base / "kmsg"), str(RATE * SECONDS - 1)]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        subprocess.run(_writer(base), stdout=subprocess.DEVNULL, check=True)
        said = reader.stdout.read()
    os.close(pipe)
    read = int(said.split()[0])
    print(f"  C: {read} read, {RATE * SECONDS - read} lost", file=sys.stderr)
    return _per_record(said)


def by_mtail(program: Path, base: Path, texts: Sequence[bytes]) -> float:
    """CPU microseconds of mtail for a record of a file, start-up taken off."""
    literals = list(dict.fromkeys(one.contains[0] for one in SIGNATURES))[:PATTERNS]
    quoted = (re.escape(one).replace("\\ ", " ").replace("/", "\\/") for one in literals)
    counters = (f"counter c{at}\n/{one}/ {{\n  c{at}++\n}}\n" for at, one in enumerate(quoted))
    (base / "reports.mtail").write_text("".join(counters))
    (base / "empty.log").write_bytes(b"")
    (base / "full.log").write_bytes(
        b"".join(b"%b,%d,%d,-%b\n" % (one[:1], seq, seq, one[1:]) for seq, one in enumerate(texts))
    )

    def cost(name: str) -> float:
        command = [str(program), "--one_shot", "--progs", str(base / "reports.mtail"), "--logs", str(base / name)]
        before = os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = os.times()
        return (after.children_user + after.children_system - before.children_user - before.children_system) * 1e6

    return (cost("full.log") - cost("empty.log")) / len(texts)


def _pipe(base: Path) -> int:
    # Held open at both ends, so that nobody sees its end.
    path = base / "kmsg"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(held, fcntl.F_SETPIPE_SZ, 1 << 20)
    return held


def _writer(base: Path) -> Sequence[str]:
    count = str(RATE * SECONDS)
    return (str(compiled("kmsg_write.c")), str(base / "kmsg"), str(base / "texts"), str(RATE), count)


def _per_record(said: str) -> float:
    records, usec = said.split()
    return float(usec) / int(records)


if __name__ == "__main__":
    for ratio in run():
        print(ratio, flush=True)
