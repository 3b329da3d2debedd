"""/dev/kmsg: the kernel's log, one record a read(), followed.

Interface: kernel/printk/printk.c (Documentation/ABI/testing/dev-kmsg). Opening takes CAP_SYSLOG in the initial user
namespace while kernel.dmesg_restrict=1 (EPERM else), and printk_devkmsg=off refuses everybody. Readers are independent
of each other. The first read gives the oldest record of the ring: what was read before is known by its number.

- EPIPE: the ring was overwritten under us and the position moved to the oldest record; the gap in the numbers of the
  records tells how many were lost, so there is nothing else to do.
- EINVAL: the record did not fit and is lost; a buffer of 8192 bytes holds all that any version prints.
- EAGAIN: nothing more. poll() says POLLERR besides POLLIN after a loss; that is no error.

Records are read until EAGAIN but at most BUDGET in one turn of the loop, so that a flood does not starve a scrape; what
is left wakes us again at once.
"""

import asyncio
import errno
import os

from kmodmon.kernel.kmsg import BUFFER_SIZE
from kmodmon.model.observation import LogRead
from kmodmon.model.outcome import Absent, Read
from kmodmon.root import outcome_of
from kmodmon.sources.source import Emit, EventSource, Look, Surroundings

BATCH = 256
BUDGET = 1024
_GOES_ON = frozenset({errno.EPIPE, errno.EINTR})


class KmsgReader:
    """Reads an open /dev/kmsg in batches."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.too_long = 0  # records that did not fit the buffer

    def batch(self, most: int = BATCH) -> tuple[list[bytes], bool]:
        """Give at most `most` records, and whether there may be more; raises OSError when the device ended."""
        records: list[bytes] = []
        read, fd = os.read, self._fd
        while len(records) < most:
            try:
                while len(records) < most:
                    records.append(read(fd, BUFFER_SIZE))
            except BlockingIOError:
                return records, False
            except OSError as error:
                if error.errno == errno.EINVAL:
                    self.too_long += 1
                elif error.errno not in _GOES_ON:
                    raise
            if records and not records[-1]:
                raise OSError(errno.EIO, "end of file where there is none")
        return records, True


async def run(around: Surroundings, emit: Emit) -> None:
    """Follow the log until cancelled; raises OSError when it cannot be opened or read on."""
    if not around.settings.kmsg.enabled:
        emit(Look(outcome=Absent("switched off by kmsg.enabled")))
        await asyncio.Event().wait()
    path = around.root.dev + b"/kmsg"
    try:
        fd = around.root.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if isinstance(why := outcome_of(error, path), Absent):
            emit(Look(outcome=why))
            await asyncio.Event().wait()
        raise
    try:
        await _follow(KmsgReader(fd), fd, emit)
    finally:
        os.close(fd)


async def _follow(reader: KmsgReader, fd: int, emit: Emit) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            _drain(reader, emit)
        except OSError as error:
            loop.remove_reader(fd)
            if not ended.done():
                ended.set_exception(error)

    emit(Look(outcome=Read(LogRead(records=()))))  # it could be opened
    loop.add_reader(fd, readable)
    try:
        await ended
    finally:
        loop.remove_reader(fd)


def _drain(reader: KmsgReader, emit: Emit) -> None:
    for _ in range(BUDGET // BATCH):
        records, more = reader.batch()
        if records:
            emit(Look(outcome=Read(LogRead(records=tuple(records), too_long=reader.too_long))))
            reader.too_long = 0
        if not more:
            return


SOURCE = EventSource(
    name="kmsg",
    run=run,
    interfaces=("/dev/kmsg",),
    grant="CAP_SYSLOG, /dev/kmsg in the service's device list, and printk.devkmsg other than off",
)
