"""Fixtures of the tests on real kernels. A test that boots a guest is marked ``vm`` by that, unless it is ``soak``."""

from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Protocol

import pytest

from tests.vm import kernels
from tests.vm.guest import Guest, GuestError
from tests.vm.kernels import SUITES, Kernel
from tests.vm.product import Product, product

# Shared guests that are kept, paused, for the next test; each takes a few hundred MiB.
_MOST_SHARED = 3
_BOOTED = pytest.StashKey[list[Guest]]()


class Boot(Protocol):
    """What the fixture ``boot`` gives."""

    def __call__(
        self, kernel: Kernel, *options: str, fresh: bool = False, fast: bool = True, memory_mib: int = 1024
    ) -> Guest:
        """Give a guest booted with `options`; `fresh`: one of this test's own, in which nothing has happened yet.

        A shared guest keeps what earlier tests did to its kernel: the taint, the log, the sequence numbers. Test
        modules are unloaded after each test. ``fast=False`` boots plainly, without a saved state, and is always fresh.
        """


class SharedGuests:
    """Guests that serve one test after the other; the one unused for longest ends when there are too many."""

    def __init__(self) -> None:
        """Begin with none."""
        self._guests: OrderedDict[tuple[object, ...], Guest] = OrderedDict()

    def get(self, kernel: Kernel, options: tuple[str, ...], memory_mib: int) -> Guest:
        """Give the running guest of these properties, booted if there is none that still answers."""
        key = (kernel.release, options, memory_mib)
        guest = self._guests.pop(key, None)
        if guest is not None and not _goes_on(guest):
            guest.halt()
            guest = None
        self._guests[key] = guest or Guest.boot(kernel, *options, memory_mib=memory_mib)
        while len(self._guests) > _MOST_SHARED:
            self._guests.popitem(last=False)[1].halt()
        return self._guests[key]

    def pause(self) -> None:
        """Let them stand still: even an idle guest costs a tenth of a processor, emulated."""
        for guest in self._guests.values():
            with suppress(OSError):  # it ended by itself, which is found when it is wanted again
                guest.pause()

    def halt(self) -> None:
        """End them all."""
        while self._guests:
            self._guests.popitem()[1].halt()


def _goes_on(guest: Guest) -> bool:
    try:
        guest.go_on()
    except (GuestError, OSError):
        return False
    return _is_fit(guest)


def _is_fit(guest: Guest) -> bool:
    # Out-of-tree modules are ours. One that cannot be unloaded makes the guest unfit for the next test.
    unload = 'for m in $(awk "/\\(.*O.*\\)/ {print \\$1}" /proc/modules); do rmmod "$m" 2>/dev/null; done; true'
    try:
        for _ in range(3):  # users first, then what they used
            guest.shell(unload)
        return b"O" not in guest.shell("grep -o '(.*)$' /proc/modules || true").stdout
    except GuestError:
        return False


@pytest.fixture(scope="session", params=SUITES)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """Each of the kernels that are tested on; a test that takes it runs once for each."""
    suite = request.param
    assert isinstance(suite, str)
    return kernels.kernel(suite)


@pytest.fixture(scope="session")
def bookworm() -> Kernel:
    """Debian 12's kernel, for what depends on no kernel."""
    return kernels.kernel("bookworm")


@pytest.fixture(scope="session")
def shared_guests() -> Iterator[SharedGuests]:
    """The guests that tests share; ask for ``boot``."""
    guests = SharedGuests()
    yield guests
    guests.halt()


@pytest.fixture
def boot(shared_guests: SharedGuests, request: pytest.FixtureRequest) -> Iterator[Boot]:
    """A function that boots guests; fresh ones end with the test."""
    booted = request.node.stash.setdefault(_BOOTED, [])
    own: list[Guest] = []

    def give(kernel: Kernel, *options: str, fresh: bool = False, fast: bool = True, memory_mib: int = 1024) -> Guest:
        if fresh or not fast:
            guest = Guest.boot(kernel, *options, fast=fast, memory_mib=memory_mib)
            own.append(guest)
        else:
            guest = shared_guests.get(kernel, options, memory_mib)
        booted.append(guest)
        return guest

    yield give
    for guest in own:
        guest.halt()
    shared_guests.pause()


@pytest.fixture(scope="session")
def kmodmon() -> Product:
    """kmodmon as it is in the tree now, to be installed in guests."""
    return product()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what boots guests, before markers choose what runs."""
    for item in items:
        if "boot" in getattr(item, "fixturenames", ()) and item.get_closest_marker("soak") is None:
            item.add_marker("vm")


# What a guest can tell of a failure. The console has the kernel's lines of a high level only, without their traces.
_LOGS = {"kernel log": "dmesg | tail -n 400", "reports and events": "kmodmon events --since 1h | tail -n 60"}


def _last(guest: Guest, command: str) -> str:
    if not guest.alive:
        return "(the guest has ended)"
    try:
        done = guest.shell(command, timeout=20, check=False)
    except (GuestError, OSError) as error:
        return f"(it does not answer: {error})"
    return (done.stdout + done.stderr).decode(errors="replace") or "(nothing)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the guests that a failed test used have said: their consoles, and their logs if they still answer."""
    report = yield
    if report.failed:
        for guest in item.stash.get(_BOOTED, []):
            of = f"of {guest.kernel_release} {' '.join(guest.options)}"
            report.sections.append((f"console {of}", guest.console()[-4000:] or "(nothing)"))
            for name, command in _LOGS.items():
                report.sections.append((f"{name} {of}", _last(guest, command)))
        # At once: a run of an hour that is ended from outside would not come to its summary.
        item.config.get_terminal_writer().line(f"\n{item.nodeid}\n{report.longreprtext[-3000:]}")
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Nothing to run is no failure: there may be no test of one of the two kinds."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
