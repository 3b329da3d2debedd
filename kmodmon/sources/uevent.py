"""NETLINK_KOBJECT_UEVENT, the kernel's own group: a hint that a module was loaded or unloaded.

Interface: lib/kobject_uevent.c (Documentation/ABI/testing/sysfs-uevent), through pyroute2. Joining needs no privilege.
Absent: kernel without CONFIG_NET, or a network namespace owned by another user namespace than the initial one, which
gets no events (`kernel.uevent` has the commit).

Facts the code below is written from:

- Only events of the kernel itself count: its address is (0, 1). pyroute2's own messages do not keep the sender, so the
  datagrams are taken where its transport hands them over (`enqueue`), which also saves building its messages.
- After ENOBUFS pyroute2's socket cannot be used again: the loss is counted, a new socket is opened, the module list is
  read.
- Most uevents are not about modules: they cost one search for bytes and the sequence number.
- SEQNUM counts every uevent of the system; one that went to another network namespace is a gap too. A gap therefore
  only causes a read of the module list, at most once a second.

Importing pyroute2 imports all of it (0.11 s, 8 MiB), so only the submodule that is needed is imported
(`partial_import`), and only when the source starts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol, TypeAlias

from kmodmon.kernel.uevent import is_about_modules, parse_uevent
from kmodmon.lifecycle.signals import ModuleUevent, UeventsRead
from kmodmon.sources.source import Emit, EventSource, Reading, SourceContext
from kmodmon.system.partial_import import import_submodule
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Absent, AbsentReason, Read, switched_off
from kmodmon.types.source_name import SourceName

_KERNEL = (0, 1)  # port id and groups of the sender
_GROUP = 1
_GAP_PAUSE = 1.0  # seconds between reports of missing numbers
_REOPEN_PAUSE = 0.1  # seconds

_BURST = 256  # datagrams
_LARGEST = 1 << 14  # bytes; the kernel's have a head and at most 2 KiB of keys

Datagram: TypeAlias = tuple[bytes, object]  # and its sender
Take: TypeAlias = Callable[[Iterable[Datagram]], None]
Open: TypeAlias = Callable[[Take], Awaitable[Callable[[], None]]]  # gives what closes the socket


class UeventReader:
    """Takes datagrams, keeps those of the kernel about modules, and follows the sequence numbers."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._seqnum: int | None = None
        self._missed = 0
        self._gap_reported_at = 0.0
        self.overflow = asyncio.Event()

    def opened(self, *, lost: int) -> None:
        """Report that from now on every uevent is received; `lost`: number of overflows of the socket before."""
        self._seqnum = None
        self.overflow.clear()
        self._emit(Reading(outcome=Read(UeventsRead(began=True)), lost=lost))

    def take(self, datagrams: Iterable[Datagram]) -> None:
        """Process received datagrams; one without an address stands for an error of the transport (ENOBUFS)."""
        events: list[ModuleUevent] = []
        unreadable = 0
        for data, address in datagrams:
            if address is None:
                self.overflow.set()
            elif address == _KERNEL:
                self._number(data)
                if is_about_modules(data):
                    try:
                        events += _module(data)
                    except ParseError:
                        unreadable += 1
        late = self._missed and self._loop.time() - self._gap_reported_at > _GAP_PAUSE
        if events or unreadable or late:
            missed, self._missed, self._gap_reported_at = self._missed, 0, self._loop.time()
            self._emit(Reading(outcome=Read(UeventsRead(events=tuple(events), missed=missed)), unreadable=unreadable))

    def _number(self, datagram: bytes) -> None:
        digits = datagram[datagram.rfind(b"SEQNUM=") + 7 : -1]
        if not digits.isdigit() or len(digits) > 20:
            return
        now, before = int(digits), self._seqnum
        # Two CPUs may send in the wrong order, so a number smaller than the last is not a gap.
        if before is not None and now > before + 1:
            self._missed += now - before - 1
        if before is None or now > before:
            self._seqnum = now


def _module(datagram: bytes) -> tuple[ModuleUevent, ...]:
    event = parse_uevent(datagram)
    if event.module is None and event.module_old is None:
        return ()
    uevent = ModuleUevent(
        action=event.action,
        module=event.module or "",  # empty: it was moved out of /sys/module
        synthetic=event.synthetic,
        moved_from=event.module_old,
    )
    return (uevent,)


async def run_uevent(context: SourceContext, emit: Emit, opened: Open | None = None) -> None:
    """Follow uevents until cancelled; raises OSError when no socket can be opened. `opened` replaces the socket."""
    why = _absence(context)
    if why is not None:
        emit(Reading(outcome=why))
        await asyncio.get_running_loop().create_future()
    reader = UeventReader(emit)
    lost = 0
    while True:
        close = await (opened or _open)(reader.take)
        try:
            reader.opened(lost=lost)
            await reader.overflow.wait()
        finally:
            close()
        lost = 1
        await asyncio.sleep(_REOPEN_PAUSE)


async def _open(take: Take) -> Callable[[], None]:
    pyroute2 = import_submodule("pyroute2", "netlink.uevent")

    class Socket(pyroute2.AsyncUeventSocket):  # type: ignore[misc, name-defined]  # pyroute2 has no types
        def enqueue(self, data: bytes, addr: object) -> None:
            # asyncio hands over one datagram in each turn of the loop; the rest of a burst is taken at once.
            take([(data, addr), *received(self)])

    socket = Socket()
    await socket.bind(groups=_GROUP)

    def close() -> None:
        socket.close()

    return close


class Receiver(Protocol):
    """A socket that does not block."""

    def recvfrom(self, size: int) -> Datagram:
        """Take one datagram; raises OSError, BlockingIOError when there is none."""
        ...


def received(socket: Receiver) -> Iterator[Datagram]:
    """Receive the datagrams that wait in the socket, at most _BURST; an error becomes a datagram without address."""
    for _ in range(_BURST):
        try:
            yield socket.recvfrom(_LARGEST)
        except BlockingIOError:
            return
        except OSError:
            yield b"", None
            return


def _absence(context: SourceContext) -> Absent | None:
    if not context.settings.uevent.enabled:
        return switched_off("uevent.enabled")
    if not context.root.live:
        return Absent("a recorded machine sends no uevents", AbsentReason.NOT_RECORDED)
    return None


SOURCE = EventSource(
    name=SourceName.UEVENT,
    run=run_uevent,
    interfaces=("NETLINK_KOBJECT_UEVENT group 1",),
    wakes=(SourceName.MODULES, SourceName.TAINT),
    remedy="AF_NETLINK in the unit's RestrictAddressFamilies=, and a network namespace owned by the initial user "
    "namespace (hostNetwork, or an ordinary container)",
)
