"""One QEMU process: which accelerator serves, how it is started, spoken to and ended.

Facts that the choices here come from (measured with stock Debian kernels on two cores):

* That /dev/kvm opens proves nothing. kvm_pvm opens it and then runs an unmodified kernel one emulated instruction at a
  time: minutes in the boot decompressor. So a kernel must get as far as looking for its root disk within 12 s.
* Under emulation a small CPU costs least (15 % less than "max"); the flags added make it x86-64-v2, which wheels with
  compiled code ask for. ``mitigations=off``, ``nokaslr`` and one CPU gain nothing.
* QEMU 7.2 crashes some 6.12 kernels early; 10.0, from Debian 12's backports, runs all and needs 7 % less CPU.
"""

import functools
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.tools import locked, on_path, unpack
from tests.vm.kernels import Kernel, kernel
from tests.vm.lab import LabError, directory, need_host_tools, run, say, stamp
from tests.vm.suites import Suite

CONTROL_PORT = 1024
_TCG = "tcg,thread=multi"
_TCG_CPU = "qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt,-svm"
_KVM_PROBE_SECONDS = 12.0
# tsc=unstable: under emulation it is, and newer kernels notice in the middle of a test, and say so.
# nohz=off highres=off: the timers of the CPUs are periodic. One that fires once can be lost when a state is saved while
# its interrupt is pending: the CPU then sleeps for ever in what is restored.
_KERNEL_OPTIONS = "console=ttyS0 quiet net.ifnames=0 random.trust_cpu=on tsc=unstable nohz=off highres=off panic=-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a virtual machine consists of; two of the same setup may share a saved state."""

    kernel: Kernel
    options: tuple[str, ...]
    memory_mib: int
    cpus: int

    @property
    def arguments(self) -> tuple[str, ...]:
        """QEMU's arguments for it, but for the disks."""
        cpu = _TCG_CPU if accelerator().startswith("tcg") else "host"
        forward = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:{CONTROL_PORT}"
        return (
            *("-accel", accelerator(), "-cpu", cpu, "-smp", str(self.cpus), "-m", str(self.memory_mib)),
            *("-nodefaults", "-display", "none", "-no-reboot"),
            *("-kernel", str(self.kernel.image), "-initrd", str(self.kernel.initrd)),
            # Of two settings of one option the kernel takes the later.
            *("-append", " ".join((_KERNEL_OPTIONS, *self.options))),
            *("-netdev", forward, "-device", "virtio-net-pci,netdev=net,romfile="),
        )

    @property
    def key(self) -> str:
        """Digest of all that a saved state depends on."""
        return stamp(*self.arguments, *qemu(), self.kernel.stamp, (directory() / "root/stamp").read_text())


@functools.cache
def qemu() -> tuple[str, ...]:
    """Give the command that starts QEMU: a newer one beside the machine's own 7.x, else the machine's own."""
    need_host_tools()
    own = str(on_path("qemu-system-x86_64"))
    if not run(own, "--version").startswith("QEMU emulator version 7."):
        return (own,)
    with locked("vm"):
        newer = directory() / "qemu"
        if not newer.joinpath("stamp").exists():
            _fetch_newer(newer)
    program = newer / "usr/bin/qemu-system-x86_64"
    return (str(program), "-L", f"{newer}/usr/share/qemu", "-L", "/usr/share/seabios") if program.exists() else (own,)


def _fetch_newer(target: Path) -> None:
    # Debian 12's backports use Debian 12's libraries, which the machine's own QEMU has brought along.
    shutil.rmtree(target, ignore_errors=True)
    try:
        suite = Suite(name="bookworm-backports")
        suite.refresh()
        with tempfile.TemporaryDirectory(dir=directory()) as scratch:
            parts = [f"qemu-system-{part}" for part in ("x86", "common", "data")]
            unpack(suite.download(parts, Path(scratch)), target)
        run(target / "usr/bin/qemu-system-x86_64", "--version")
    except LabError as error:
        say(f"no newer QEMU, using the machine's own: {error}")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
    (target / "stamp").touch()


@functools.cache
def accelerator() -> str:
    """Give QEMU's -accel argument that serves here: ``kvm`` if it runs a stock kernel at speed, else emulation."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK) or Path("/sys/module/kvm_pvm").exists():
        return _TCG
    answer = directory() / "accelerator"
    if not answer.exists():
        answer.write_text("kvm" if _kvm_serves() else _TCG)
    return answer.read_text()


def _kvm_serves() -> bool:
    stock = kernel("bookworm")
    command = (*qemu(), "-accel", "kvm", "-cpu", "host", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot")
    try:
        done = subprocess.run(
            (*command, "-serial", "stdio", "-kernel", stock.image, "-append", "console=ttyS0 panic=-1"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_KVM_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return b"Kernel panic" in done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """A guest's disks, vda to vdc; nothing that it writes to them is kept, but in a saved state."""

    root: Path
    kernel_modules: Path
    test_modules: Path

    @property
    def throw_away(self) -> tuple[str, ...]:
        """Texts for -drive: fresh from the images."""
        return tuple(
            f"format=raw,snapshot=on,file={disk}" for disk in (self.root, self.kernel_modules, self.test_modules)
        )

    def make_overlays(self, where: Path) -> None:
        """Make the files that will hold what a guest writes until its state is saved."""
        for disk in (self.root, self.kernel_modules):
            run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, where / disk.name)

    def overlaid(self, where: Path, *, throw_away: bool = False) -> tuple[str, ...]:
        """Texts for -drive: the images with the overlays in `where`, which keep what is written unless thrown away."""
        kept = f"snapshot={'on' if throw_away else 'off'},file={where}"
        overlays = (f"format=qcow2,{kept}/{disk.name}" for disk in (self.root, self.kernel_modules))
        return (*overlays, f"format=raw,snapshot=on,file={self.test_modules}")


class Machine:
    """A running QEMU, its scratch directory and its monitor."""

    def __init__(self, setup: Setup, disks: tuple[str, ...], *, state: Path | None = None) -> None:
        """Start it with `disks`, each the text of a -drive argument; from a saved state if one is given."""
        end_orphans()
        self.scratch = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=directory("run")))
        self._monitor = self.scratch / "monitor"
        drives = (part for disk in disks for part in ("-drive", f"if=virtio,cache=unsafe,{disk}"))
        command = (
            *(*qemu(), *setup.arguments, *drives),
            *("-serial", f"file:{self.scratch}/console", "-monitor", f"unix:{self._monitor},server,nowait"),
            *(() if state is None else ("-incoming", f"exec:cat {shlex.quote(str(state))}")),
        )
        # TMPDIR is for the throw-away overlays of snapshot=on.
        environment = {**os.environ, "TMPDIR": str(self.scratch)}
        with (self.scratch / "errors").open("wb") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment
            )
        self._wait_for_monitor()
        if state is not None:
            self._wait_for_status("paused")
            self.monitor("cont")

    @property
    def running(self) -> bool:
        """Tell whether QEMU is still there; it ends when the guest panics or powers off."""
        return self._process.poll() is None

    def console(self) -> str:
        """Give what the guest wrote to its serial console so far."""
        path = self.scratch / "console"
        return path.read_bytes().decode(errors="backslashreplace") if path.exists() else ""

    def errors(self) -> str:
        """Give what QEMU itself complained of."""
        return (self.scratch / "errors").read_text(errors="replace")

    def monitor(self, command: str) -> str:
        """Send one line to QEMU's monitor and give its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(str(self._monitor))
            _until_prompt(connection)
            connection.sendall(command.encode() + b"\n")
            answer = _until_prompt(connection).replace("\r", "")
        # The first line is the command's echo, the last one the next prompt.
        return "\n".join(answer.split("\n")[1:-1])

    def forwarded(self, guest_port: int) -> int | None:
        """Port on 127.0.0.1 that leads to a port of the guest; None if none was made."""
        for line in self.monitor("info usernet").splitlines():
            fields = line.split()
            if len(fields) >= 6 and "HOST_FORWARD" in fields[0] and fields[5] == str(guest_port):
                return int(fields[3])
        return None

    def save(self, state: Path) -> None:
        """Stop the guest and write its memory and devices to a file; its disks then hold what belongs to that."""
        self.monitor("stop")
        said = self.monitor(f'migrate "exec:cat >{shlex.quote(str(state))}"')
        self._wait_for_status("paused (postmigrate)", said)

    def end(self) -> None:
        """End it at once, and remove all that it wrote."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _wait_for_monitor(self) -> None:
        deadline = time.monotonic() + 30
        while not self._monitor_answers():
            if not self.running or time.monotonic() > deadline:
                said = self.errors()
                self.end()
                raise LabError(f"QEMU did not start: {said}")
            time.sleep(0.01)

    def _monitor_answers(self) -> bool:
        # The file is there a little before somebody listens.
        try:
            return self._monitor.exists() and self.monitor("info status") != ""
        except ConnectionRefusedError:
            return False

    def _wait_for_status(self, wanted: str, said: str = "") -> None:
        deadline = time.monotonic() + 60
        while (status := self.monitor("info status").strip()) != f"VM status: {wanted}":
            if not self.running or time.monotonic() > deadline:
                raise LabError(f"QEMU is not {wanted} but {status}: {said} {self.errors()}")
            time.sleep(0.02)


def _until_prompt(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"(qemu) "):
        part = connection.recv(65536)
        if not part:
            break
        data += part
    return data.decode(errors="replace")


def end_orphans() -> None:
    """End machines whose test run was killed, and remove what they left behind."""
    for scratch in directory("run").iterdir():
        owner = scratch.name.partition("-")[0]
        if Path("/proc", owner).exists():
            continue
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                mine = f"unix:{scratch}/monitor".encode() in entry.read_bytes()
            except OSError:  # ended meanwhile
                continue
            if mine:
                os.kill(int(entry.parent.name), signal.SIGKILL)
        shutil.rmtree(scratch, ignore_errors=True)
