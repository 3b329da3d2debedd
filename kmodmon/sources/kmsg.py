"""/dev/kmsg: the kernel's log, one record a read(), followed.

Interface: kernel/printk/printk.c (Documentation/ABI/testing/dev-kmsg). Opening needs CAP_SYSLOG in the initial user
namespace while kernel.dmesg_restrict=1 (EPERM otherwise), and printk_devkmsg=off refuses everybody. In the packaged
unit root opens it and passes it on (`system.passed`). Absent: a container without the device. Readers are independent
of each other. The first read gives the oldest record of the ring; records that an earlier run has read are recognised
by their sequence number.

- EPIPE: the ring was overwritten and the position moved to the oldest record. The gap in the sequence numbers tells how
  many records were lost, so nothing else is done.
- EINVAL: the record did not fit and is lost; the gap shows it too. 8192 bytes hold all that any version prints.
- EAGAIN: nothing more. poll() returns POLLERR beside POLLIN after a loss, which is no error.
- Containers have other files at this path: the console (reading it would take what people type), /dev/null. A character
  device other than 1:11 is not the log. A recorded machine has a regular file there, which is read once.

Secrets in records that show values of module parameters are hidden before the records leave this module.

At most BATCH records are read in one turn of the loop, so that a flood does not delay a scrape; the rest makes the
device readable again at once. When a read() fails, the records before it are emitted first and the error is raised by
the next batch.

The first records after a pause are read at once. When more follow, waking for each would cost more than the records
themselves: the next read waits until about CALM records have come at the rate of the last ones, 5 ms at most. The
smallest ring (128 KiB) holds 1,700 records of usual length.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Sequence

from kmodmon.kernel.kmsg import BUFFER_SIZE, may_show_values, split_records
from kmodmon.kernel.parameter import SecretNames
from kmodmon.sources.parameters import secret_names
from kmodmon.sources.source import Emit, EventSource, Reading, SourceContext
from kmodmon.subjects.log import LogRead
from kmodmon.system.root import outcome_of
from kmodmon.types.outcome import Absent, Read, switched_off
from kmodmon.types.source_name import SourceName

BATCH = 512  # records
CALM = 64  # records to wait for between two reads
LONGEST_WAIT, SHORTEST_WAIT = 0.005, 0.0005  # seconds
_DEVICE = os.makedev(1, 11)
_SHIPPED = SecretNames()
_GOES_ON = frozenset({errno.EPIPE, errno.EINVAL, errno.EINTR})


class KmsgReader:
    """Reads an open /dev/kmsg in batches."""

    def __init__(self, fd: int, secrets: SecretNames = _SHIPPED) -> None:
        self._fd = fd
        self._secrets = secrets
        self._caught_up = False  # a read() has returned EAGAIN since the start
        self._failure: OSError | None = None

    def batch(self, most: int) -> LogRead:
        """Read at most `most` records; raises OSError when reading fails and no record is left."""
        if self._failure is not None:
            raise self._failure
        records, end = self._records(most)
        if records and not records[-1]:
            self._failure = OSError(errno.EIO, "end of file, which the kernel's log does not have")
            records = [record for record in records if record]
        if self._failure is not None and not records:
            raise self._failure
        live = end and self._caught_up
        self._caught_up = self._caught_up or end
        return LogRead(records=_redacted(records, self._secrets), end=end, live=live)

    def _records(self, most: int) -> tuple[list[bytes], bool]:
        records: list[bytes] = []
        read, fd = os.read, self._fd
        turns = most
        while len(records) < turns:
            try:
                while len(records) < turns:
                    records.append(read(fd, BUFFER_SIZE))
            except BlockingIOError:
                return records, True
            except OSError as error:
                if error.errno not in _GOES_ON:
                    self._failure = error
                    break
                turns -= 1  # so that a device that fails each time does not block the loop
        return records, False


async def run(context: SourceContext, emit: Emit) -> None:
    """Follow the log until cancelled; raises OSError when it cannot be opened or read on."""
    if not context.settings.kmsg.enabled:
        await _forever(emit, Reading(outcome=switched_off("kmsg.enabled")))
    path = context.root.dev + b"/kmsg"
    try:
        fd = context.root.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if isinstance(why := outcome_of(error, path), Absent):
            await _forever(emit, Reading(outcome=why))
        raise
    secrets = secret_names(context.settings.parameters)
    try:
        about = os.fstat(fd)
        if stat.S_ISREG(about.st_mode):
            records = _redacted(split_records(_whole(fd)), secrets)
            await _forever(emit, Reading(outcome=Read(LogRead(records=records, end=True))))
        if stat.S_ISCHR(about.st_mode) and about.st_rdev != _DEVICE:
            numbers = f"{os.major(about.st_rdev)}:{os.minor(about.st_rdev)}"
            await _forever(emit, Reading(outcome=Absent(f"{os.fsdecode(path)} is not the log but device {numbers}")))
        await _follow(KmsgReader(fd, secrets), fd, emit)
    finally:
        os.close(fd)


def _redacted(records: Sequence[bytes], secrets: SecretNames) -> tuple[bytes, ...]:
    # One look at all of them: in a flood of records it costs less than one at each.
    if not may_show_values(b"".join(records)):
        return tuple(records)
    from kmodmon.kernel.redacted_log import redact_record  # few logs have such lines, and it is not small

    return tuple(redact_record(record, secrets) for record in records)


async def _forever(emit: Emit, reading: Reading) -> None:
    """Emit the only reading of a source that has nothing to follow."""
    emit(reading)
    await asyncio.Event().wait()


def _whole(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


class _Follower:
    """Watches the device from the loop and reads when it is readable; `ended` gets the error that ends it."""

    def __init__(self, reader: KmsgReader, fd: int, emit: Emit) -> None:
        self._reader = reader
        self._fd = fd
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._read_at = -1.0
        self._to_the_end = False
        self._waiting: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def read(self) -> float:
        """Read a batch and emit it; return the seconds that the next read may wait. Raises OSError."""
        read = self._reader.batch(BATCH)
        now = self._loop.time()
        wait = pause(len(read.records), now - self._read_at) if read.end else 0.0
        self._read_at = now
        if read.records or not self._to_the_end:  # an empty one too, once: the log could be opened, and read to its end
            self._to_the_end = read.end
            self._emit(Reading(outcome=Read(read)))
        return wait

    def watch(self) -> None:
        """Read as soon as the device is readable."""
        self._waiting = None
        self._loop.add_reader(self._fd, self._readable)

    def stop(self) -> None:
        """Stop watching and waiting."""
        self._loop.remove_reader(self._fd)
        if self._waiting is not None:
            self._waiting.cancel()

    def _readable(self) -> None:
        try:
            wait = self.read()
        except Exception as error:  # noqa: BLE001 - _follow() raises it again
            self.stop()
            if not self.ended.done():
                self.ended.set_exception(error)
            return
        if wait:
            self._loop.remove_reader(self._fd)
            self._waiting = self._loop.call_later(wait, self.watch)


def pause(records: int, seconds: float) -> float:
    """Seconds to wait for CALM records when `records` came in `seconds`; 0: they come too rarely, or too fast."""
    wait = seconds * CALM / max(records, 1)
    return 0.0 if wait < SHORTEST_WAIT or seconds > 10 * LONGEST_WAIT else min(wait, LONGEST_WAIT)


async def _follow(reader: KmsgReader, fd: int, emit: Emit) -> None:
    follower = _Follower(reader, fd, emit)
    follower.read()
    follower.watch()
    try:
        await follower.ended
    finally:
        follower.stop()


SOURCE = EventSource(
    name=SourceName.KMSG,
    run=run,
    interfaces=("/dev/kmsg",),
    depends_on=lambda settings: (settings.parameters.redact, settings.parameters.redact_allow),
    remedy="ExecStartPre=-+/usr/bin/kmodmon handover and FileDescriptorStoreMax=, as in the packaged unit (elsewhere "
    "CAP_SYSLOG, and /dev/kmsg in the service's device list), and printk.devkmsg other than off",
)
