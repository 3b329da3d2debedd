"""Datagrams of the kernel's uevent group as pyroute2's transport hands them over."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kmodmon.config.settings import Settings, build_settings
from kmodmon.lifecycle.signals import ModuleUevent, UeventsRead
from kmodmon.sources.source import Reading, SourceContext
from kmodmon.sources.uevent import Take, UeventReader, received, run_uevent
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Read
from tests.fake_clock import FakeClock

KERNEL = (0, 1)


def datagram(action: str, name: str, seqnum: int, extra: str = "", subsystem: str = "module") -> bytes:
    path = f"/module/{name}" if subsystem == "module" else f"/devices/{name}"
    keys = f"ACTION={action}\0DEVPATH={path}\0SUBSYSTEM={subsystem}\0{extra}SEQNUM={seqnum}\0"
    return f"{action}@{path}\0{keys}".encode()


def heard(*datagrams: tuple[bytes, object]) -> list[Reading]:
    async def scenario() -> list[Reading]:
        looks: list[Reading] = []
        hearer = UeventReader(looks.append)
        hearer.opened(lost=0)
        for one in datagrams:
            hearer.take([one])
        return looks[1:]

    return asyncio.run(scenario())


def events(looks: list[Reading]) -> list[ModuleUevent]:
    outcomes = [look.outcome for look in looks]
    return [
        event
        for each in outcomes
        if isinstance(each, Read) and isinstance(each.value, UeventsRead)
        for event in each.value.events
    ]


def missed(look: Reading) -> int:
    assert isinstance(look.outcome, Read) and isinstance(look.outcome.value, UeventsRead)
    return look.outcome.value.missed


def test_hearer_when_the_kernel_says_add_and_remove_then_both() -> None:
    found = events(heard((datagram("add", "dummy", 7), KERNEL), (datagram("remove", "dummy", 8), KERNEL)))
    assert found == [ModuleUevent(action="add", module="dummy"), ModuleUevent(action="remove", module="dummy")]


@pytest.mark.parametrize("sender", [(4242, 1), (0, 2), (4242, 0)])
def test_hearer_when_somebody_else_sends_it_then_nothing(sender: object) -> None:
    assert heard((datagram("add", "evil", 7), sender)) == []


def test_hearer_when_written_into_a_uevent_file_then_synthetic() -> None:
    (event,) = events(heard((datagram("add", "dummy", 7, "SYNTH_UUID=0\0"), KERNEL)))
    assert event.synthetic


def test_hearer_when_moved_out_of_its_directory_then_where_it_was() -> None:
    data = datagram("move", "hidden_mod", 9, "DEVPATH_OLD=/module/hidden_mod\0").replace(
        b"/module/hidden_mod", b"/kernel/h", 2
    )
    (event,) = events(heard((data, KERNEL)))
    assert (event.action, event.module, event.moved_from) == ("move", "", "hidden_mod")


def test_hearer_when_about_other_things_then_nothing_but_the_number_is_kept() -> None:
    assert heard((datagram("add", "sda", 7, subsystem="block"), KERNEL), (datagram("add", "x", 8), KERNEL))[0].lost == 0
    assert len(heard((datagram("add", "sda", 7, subsystem="block"), KERNEL))) == 0


def test_hearer_when_numbers_are_missing_then_the_gap_is_told_and_nothing_is_lost() -> None:
    (look,) = heard((datagram("add", "a", 7, subsystem="net"), KERNEL), (datagram("add", "b", 12), KERNEL))
    assert missed(look) == 4 and look.lost == 0


def test_hearer_when_a_gap_comes_without_a_module_then_a_reading_is_caused() -> None:
    first, second = (datagram("add", "a", number, subsystem="net") for number in (7, 12))
    (look,) = heard((first, KERNEL), (second, KERNEL))
    assert missed(look) == 4


def test_hearer_when_two_cpus_send_in_the_other_order_then_no_gap() -> None:
    numbers = (7, 9, 8, 10)
    looks = heard(*((datagram("add", "x", number), KERNEL) for number in numbers))
    assert [missed(look) for look in looks] == [0, 1, 0, 0]


def test_hearer_when_it_is_no_uevent_then_unreadable_and_going_on() -> None:
    looks = heard((b"add@x\0SUBSYSTEM=module\0nonsense\0", KERNEL), (datagram("add", "ok", 7), KERNEL))
    assert [look.unreadable for look in looks] == [1, 0] and [event.module for event in events(looks)] == ["ok"]


def test_hearer_when_a_burst_comes_at_once_then_one_look_with_all_of_it() -> None:
    async def scenario() -> list[Reading]:
        looks: list[Reading] = []
        UeventReader(looks.append).take([(datagram("add", f"m{number}", number), KERNEL) for number in range(50)])
        return looks

    (look,) = asyncio.run(scenario())
    assert [event.module for event in events([look])] == [f"m{number}" for number in range(50)]


class Queue:
    """A socket with datagrams waiting, and then an error."""

    def __init__(self, *waiting: bytes, then: OSError) -> None:
        self.waiting, self.then = list(waiting), then

    def recvfrom(self, size: int) -> tuple[bytes, object]:
        if not self.waiting:
            raise self.then
        return self.waiting.pop(0), KERNEL


def test_received_when_a_burst_waits_then_all_of_it_and_an_overflow_as_such() -> None:
    assert list(received(Queue(b"a", b"b", then=BlockingIOError()))) == [(b"a", KERNEL), (b"b", KERNEL)]
    assert list(received(Queue(b"a", then=OSError(105, "ENOBUFS")))) == [(b"a", KERNEL), (b"", None)]


def context(settings: Settings | None = None, root: Root | None = None) -> SourceContext:
    return SourceContext(root=root or Root(), settings=settings or Settings(), clock=FakeClock())


def run(where: SourceContext, opened: Callable[[Take], Awaitable[Callable[[], None]]], wanted: int) -> list[Reading]:
    async def scenario() -> list[Reading]:
        looks: list[Reading] = []
        enough = asyncio.Event()

        def emit(look: Reading) -> None:
            looks.append(look)
            if len(looks) >= wanted:
                enough.set()

        task = asyncio.create_task(run_uevent(where, emit, opened))
        await asyncio.wait_for(enough.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return looks

    return asyncio.run(scenario())


def test_run_when_the_socket_overflows_then_opened_anew_and_one_loss() -> None:
    closed: list[int] = []

    async def opened(take: Take) -> Callable[[], None]:
        loop = asyncio.get_running_loop()
        if not closed:
            loop.call_soon(take, [(b"", None)])  # ENOBUFS
        return lambda: closed.append(1)

    looks = run(context(), opened, wanted=2)
    assert [look.lost for look in looks] == [0, 1] and len(closed) == 2
    assert all(isinstance(look.outcome, Read) for look in looks)


@pytest.mark.parametrize("off", ["setting", "recorded"])
def test_run_when_it_cannot_be_then_absent(off: str) -> None:
    async def opened(take: Take) -> Callable[[], None]:
        raise AssertionError("must not be opened")

    root = Root().failing({}) if off == "recorded" else Root()
    where = context(build_settings({"uevent.enabled": off != "setting"}), root)
    assert isinstance(run(where, opened, wanted=1)[0].outcome, Absent)
