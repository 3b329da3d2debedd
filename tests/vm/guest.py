"""A booted guest, and what a test does with it.

Every boot starts from the same disks, and nothing that a guest writes is kept. ``fast`` goes on from the saved state of
a guest that finished booting with the same kernel, options, memory and CPUs (the first such boot makes it): a second
instead of ten. After it the wall clock is set; CLOCK_MONOTONIC, the kernel log and the uevent counter go on from the
saved moment, and boot_id is the same each time. Boot plainly (``fast=False``) where booting itself is what is tested.

    with Guest.boot(kernel("trixie"), "lockdown=integrity") as guest:
        guest.insmod("hello_unsigned", check=False).code
"""

import io
import shlex
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from tests.tools import locked
from tests.vm.channel import ChannelError, Result, Running
from tests.vm.fixtures import module_disk
from tests.vm.kernels import Kernel
from tests.vm.lab import LabError, directory, run, say
from tests.vm.product import KMODMON_PORT, LAUNCHER, SITE, Product
from tests.vm.qemu import CONTROL_PORT, Disks, Machine, Setup
from tests.vm.root_disk import root_disk

MODULES = "/opt/modules"
"""Where the test modules lie in a guest."""

_BOOT_SECONDS = 180
# Each takes some 160 MiB of disk.
_MOST_SAVED = 12


class GuestError(Exception):
    """A command in the guest failed, or the guest did; the text holds what was said."""


class Guest:
    """One running guest; a context manager that ends it."""

    def __init__(self, machine: Machine, setup: Setup) -> None:
        """Take over a machine that has just been started; use :meth:`boot`."""
        self.machine = machine
        self.kernel = setup.kernel
        self.options = setup.options
        self._attached = 0
        self._control = 0
        self._running: list[Running] = []

    @classmethod
    def boot(
        cls, kernel: Kernel, *kernel_options: str, fast: bool = True, memory_mib: int = 1024, smp: int = 2
    ) -> Self:
        """Boot `kernel` with more options on its command line; returns once commands can be run in the guest."""
        disks = Disks(root=root_disk(), kernel_modules=kernel.modules_disk, test_modules=module_disk(kernel))
        setup = Setup(kernel=kernel, options=kernel_options, memory_mib=memory_mib, cpus=smp)
        return cls._resume(setup, disks) if fast else cls._boot(setup, disks)

    @property
    def kernel_release(self) -> str:
        """What `uname -r` says in the guest."""
        return self.kernel.release

    def __enter__(self) -> Self:
        """Give the guest itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the guest."""
        self.halt()

    # Commands

    def run(
        self,
        *argv: str,
        timeout: float = 60,
        check: bool = True,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command as root; raises GuestError if it fails and `check` is set, or if the guest does not answer."""
        try:
            running = Running(self._control, argv, timeout=timeout, stdin=stdin, environment=environment)
            result = running.wait()
        except (OSError, ChannelError) as error:
            raise GuestError(f"{error}\nconsole: {self.console()[-3000:]}") from error
        if check and result.code != 0:
            said = (result.stdout + result.stderr)[-4000:].decode(errors="backslashreplace")
            raise GuestError(f"{shlex.join(argv)} answered {result.code} in the guest: {said}")
        return result

    def shell(self, script: str, *, timeout: float = 60, check: bool = True) -> Result:
        """Run a shell script; a failing command in it ends it."""
        return self.run("/bin/sh", "-ec", script, timeout=timeout, check=check)

    def popen(self, *argv: str, timeout: float | None = None, environment: Mapping[str, str] | None = None) -> Running:
        """Start a command and let it run: wait for its output or its end, or close it, which kills it."""
        running = Running(self._control, argv, timeout=timeout, environment=environment)
        self._running.append(running)
        return running

    def background(self, unit: str, *argv: str, properties: Iterable[str] = ()) -> None:
        """Start a command as a systemd unit of its own, which outlives this call; stop it with `systemctl stop`."""
        given = [part for name in properties for part in ("-p", name)]
        self.run("systemd-run", "--quiet", f"--unit={unit}", *given, *argv)

    def until(self, script: str, *, timeout: float = 30) -> Result:
        """Run a shell script until it succeeds, and give that result; raises GuestError if it does not in time."""
        deadline = time.monotonic() + timeout
        while (result := self.shell(script, check=False)).code != 0:
            if time.monotonic() > deadline:
                raise GuestError(f"not so after {timeout} s: {script}\n{result.text}{result.stderr.decode()}")
            time.sleep(0.1)
        return result

    # Files

    def read(self, path: str) -> bytes:
        """Read a file of the guest, whole."""
        return self.run("cat", path).stdout

    def write(self, path: str, data: bytes | str) -> None:
        """Write a file in the guest, and the directories it needs. For files of the kernel: it is one write."""
        content = data.encode() if isinstance(data, str) else data
        script = 'mkdir -p "$(dirname "$0")" && exec dd of="$0" bs=16M iflag=fullblock status=none'
        self.run("/bin/sh", "-c", script, path, stdin=content)

    def push(self, paths: Iterable[Path], directory: str) -> None:
        """Copy files and directories of this machine into a directory of the guest, made if missing."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path in paths:
                tar.add(path, arcname=path.name)
        unpack = 'mkdir -p "$0" && exec tar -x --no-same-owner -C "$0"'
        self.run("/bin/sh", "-c", unpack, directory, stdin=archive.getvalue(), timeout=300)

    def pull(self, path: str, into: Path) -> Path:
        """Copy a file or directory of the guest into a directory of this machine, and give its path there."""
        where = PurePosixPath(path)
        data = self.run("tar", "-c", "-C", str(where.parent), where.name, timeout=300).stdout
        into.mkdir(parents=True, exist_ok=True)
        run("tar", "-x", "--no-same-owner", "-C", into, stdin=data)
        return into / where.name

    def attach(self, image: Path, where: str) -> None:
        """Plug in a disk image and mount it read-only: for what is large, faster than :meth:`push`."""
        self._attached += 1
        name = f"plugged{self._attached}"
        options = f"if=none,id={name},format=raw,readonly=on,file={image}"
        added = self.monitor(f"drive_add 0 {options}") + self.monitor(
            f"device_add virtio-blk-pci,drive={name},serial={name}"
        )
        if "rror" in added:
            raise GuestError(f"QEMU did not take the disk {image}: {added}")
        self.until(f"mkdir -p {where} && mount -o ro,noatime /dev/disk/by-id/virtio-{name} {where}")

    # Modules

    def insmod(self, name: str, *parameters: str, check: bool = True) -> Result:
        """Load a test module, or a patched copy of one (tests/vm/patch.py), by its file name without .ko."""
        return self.run("insmod", f"{MODULES}/{name}.ko", *parameters, check=check)

    def rmmod(self, name: str, *, check: bool = True) -> Result:
        """Unload a module."""
        return self.run("rmmod", name, check=check)

    # kmodmon

    def install_kmodmon(self, product: Product) -> None:
        """Install kmodmon and its unit file, unchanged; it is not started.

        A drop-in beside the unit has it listen on every address, which the unit itself does not.
        """
        self.attach(product.image, SITE)
        self.write("/usr/bin/kmodmon", LAUNCHER)
        self.run("chmod", "755", "/usr/bin/kmodmon")
        for unit in (product.unit, product.unit.with_suffix(".socket")):
            self.write(f"/etc/systemd/system/{unit.name}", unit.read_bytes())
        self.write("/run/systemd/system/kmodmon.service.d/listen.conf", product.listening)

    def start_kmodmon(self, config: str | None = None, *, timeout: float = 120) -> str:
        """Start kmodmon's unit, or start it again, and give the URL of its server, from this side.

        Returns when kmodmon has told systemd that it is ready. `config` is the text of /etc/kmodmon/kmodmon.toml; None
        leaves that file as it is.
        """
        if config is not None:
            self.write("/etc/kmodmon/kmodmon.toml", config)
        # A new unit is found without daemon-reload, which under emulation takes seconds.
        script = """case $(systemctl show -p NeedDaemonReload --value kmodmon) in yes) systemctl daemon-reload;; esac
            systemctl restart kmodmon"""
        started = self.shell(script, timeout=timeout, check=False)
        if started.code != 0:
            journal = self.run("journalctl", "--no-pager", "-n", "40", "-u", "kmodmon", check=False).text
            raise GuestError(f"kmodmon did not start: {started.stderr.decode(errors='replace')}\n{journal}")
        return f"http://127.0.0.1:{self.forward(KMODMON_PORT)}"

    # The machine

    def forward(self, guest_port: int) -> int:
        """Give a port on 127.0.0.1 that leads to a port of the guest; there it must listen on 0.0.0.0."""
        port = self.machine.forwarded(guest_port)
        if port is None:
            self.monitor(f"hostfwd_add net tcp:127.0.0.1:0-:{guest_port}")
            port = self.machine.forwarded(guest_port)
        if port is None:
            raise GuestError(f"QEMU made no forward to port {guest_port}")
        return port

    def monitor(self, command: str) -> str:
        """Give a command to QEMU's monitor (``nmi``, ``mce ...``, ``stop``, ``cont``) and return its answer."""
        return self.machine.monitor(command)

    def pause(self) -> None:
        """Let it stand still, so that it costs nothing; it does not notice."""
        self.monitor("stop")

    def go_on(self) -> None:
        """End a pause; the wall clock is set, all other clocks stood still too."""
        self.monitor("cont")
        self.run("date", "-s", f"@{time.time()}")

    def console(self) -> str:
        """Give what came over the serial console, which is all that is left of a guest that panicked."""
        return self.machine.console()

    @property
    def alive(self) -> bool:
        """Tell whether the guest still answers."""
        return self.machine.running and self._answers()

    def settle(self) -> None:
        """Wait until booting is over: nothing is being started, and udev loads no more drivers."""
        self.run("systemctl", "is-system-running", "--wait", timeout=_BOOT_SECONDS, check=False)
        self.run("udevadm", "settle", "--timeout=120", timeout=130)

    def await_end(self, timeout: float = 60) -> None:
        """Wait until the machine is gone by itself, as after a panic; raises GuestError if it stays."""
        deadline = time.monotonic() + timeout
        while self.machine.running:
            if time.monotonic() > deadline:
                raise GuestError(f"the guest still runs after {timeout} s\nconsole: {self.console()[-3000:]}")
            time.sleep(0.05)

    def halt(self) -> None:
        """End the guest at once: nothing of it is kept, so there is nothing to shut down."""
        self.machine.end()
        for running in self._running:
            running.close()

    # Booting

    @classmethod
    def _boot(cls, setup: Setup, disks: Disks) -> Self:
        guest = cls(Machine(setup, disks.throw_away), setup)
        with guest._ended_on_error():
            guest._wait_for_agent()
            guest._mount_modules()
        return guest

    @classmethod
    def _resume(cls, setup: Setup, disks: Disks) -> Self:
        saved = directory("saved") / setup.key
        with locked(f"vm/saved/{setup.key}"):
            if not (saved / "complete").exists():
                cls._save(setup, disks, saved)
                _forget_unused(keep=saved)
            (saved / "complete").touch()  # its age tells when it was last used
            guest = cls(Machine(setup, disks.overlaid(saved, throw_away=True), state=saved / "state"), setup)
        with guest._ended_on_error():
            guest._wait_for_agent()
            guest.run("date", "-s", f"@{time.time()}")
            guest._mount_modules()
        return guest

    @classmethod
    def _save(cls, setup: Setup, disks: Disks, saved: Path) -> None:
        began = time.monotonic()
        shutil.rmtree(saved, ignore_errors=True)
        saved.mkdir()
        disks.make_overlays(saved)
        with cls(Machine(setup, disks.overlaid(saved)), setup) as guest:
            guest._wait_for_agent()
            guest.settle()
            guest.machine.save(saved / "state")
        (saved / "complete").touch()
        say(f"saved state of {setup.kernel.release} {' '.join(setup.options)}: {time.monotonic() - began:.1f} s")

    def _mount_modules(self) -> None:
        # The test modules may be others than when the state was saved, and udev has looked at that disk: forget what
        # is cached of it. Its size is always the same.
        self.shell(f"blockdev --flushbufs /dev/vdc; mkdir -p {MODULES}; mount -o ro,noatime /dev/vdc {MODULES}")

    @contextmanager
    def _ended_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.halt()
            raise

    def _wait_for_agent(self) -> None:
        self._control = self.forward(CONTROL_PORT)
        deadline = time.monotonic() + _BOOT_SECONDS
        while not self._answers():
            if not self.machine.running or time.monotonic() > deadline:
                said = f"{self.machine.errors()}\nconsole: {self.console()[-3000:]}"
                raise LabError(f"{self.kernel.release} {' '.join(self.options)} does not answer: {said}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return Running(self._control, ("true",), timeout=4, margin=1).wait().code == 0
        except (OSError, ChannelError):
            return False


def _forget_unused(keep: Path) -> None:
    complete = sorted(directory("saved").glob("*/complete"), key=lambda mark: mark.stat().st_mtime)
    for mark in complete[:-_MOST_SAVED]:
        if mark.parent != keep:
            with locked(f"vm/saved/{mark.parent.name}"):
                shutil.rmtree(mark.parent, ignore_errors=True)
