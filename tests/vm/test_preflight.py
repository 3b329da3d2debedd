"""Preflight's verdict against what a real kernel then does: the same modules and boots, errno and log line for line.

The verdict is made on this side, from the guest's own kernel image, module tree and interfaces, before each load.
"""

import json
import lzma
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from kmodmon.examiner.loader_host import PreflightRequest, gather_preflight
from kmodmon.kernel.cmdline import cmdline_facts, parse_cmdline
from kmodmon.kernel.kconfig import parse_kconfig
from kmodmon.kernel.lockdown import parse_lockdown
from kmodmon.kernel.modules import parse_modules
from kmodmon.lifecycle.inventory import Inventory, Module
from kmodmon.preflight import LoadVerdict, preflight, render_verdict
from kmodmon.state.state import State
from kmodmon.subjects.kernel import Kernel as RunningKernel
from kmodmon.subjects.posture import Posture, Switches
from kmodmon.system.root import Root
from tests.fake_clock import EPOCH
from tests.tools import locked
from tests.vm import lab
from tests.vm.conftest import Boot
from tests.vm.fixtures import module_files
from tests.vm.guest import Guest
from tests.vm.kernels import Kernel

BLACKLISTED = "permanent_mod"
ALREADY, FINE = "dummy", "nlmon"  # in the kernel's tree: loaded before, and to be loaded
BOOTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "default": (),
        "signatures enforced": ("module.sig_enforce=1",),
        "locked down": ("lockdown=integrity",),
        "modules disabled": (),
    }
)
# What a module says of itself while it loads is no refusal; neither is what the kernel leaves out of its log.
_NO_REFUSAL = re.compile(
    r"taints kernel\.$|tainting kernel|module verification failed|Disabling lock debugging|callbacks suppressed|"
    r"you have been warned\.$|kernel tainted\.$"
)

# Loads each file as kmod does (what is compressed is unpacked first), unloads it, tells errno and new log lines.
LOADER = r"""
import ctypes, errno, json, lzma, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, b"insmod")
kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
def lines():
    found = []
    while True:
        try:
            head, _, text = os.read(kmsg, 8192).partition(b";")
        except BlockingIOError:
            return found
        except BrokenPipeError:
            continue
        if int(head.split(b",")[0]) < 8:
            found.append(text.split(b"\n")[0].decode("ascii", "replace"))
def load(path):
    raw = open(path, "rb").read()
    if raw[:6] == b"\xfd7zXZ\0":
        raw = lzma.decompress(raw)
        return libc.syscall(175, raw, len(raw), b"")
    fd = os.open(path, os.O_RDONLY)
    try:
        return libc.syscall(313, fd, b"", 0)
    finally:
        os.close(fd)
answers = {}
for path, name in json.loads(sys.argv[1]):
    lines()
    failed = load(path) != 0
    number = ctypes.get_errno()
    taint = "" if failed else open("/sys/module/%s/taint" % name).read().strip()
    answers[path] = [errno.errorcode[number] if failed else None, lines(), taint]
    if not failed:
        libc.syscall(176, name.encode(), os.O_NONBLOCK)
print(json.dumps(answers))
"""

INTERFACES = (
    "/proc/modules", "/proc/cmdline", "/proc/sys/kernel/modules_disabled", "/proc/self/status", "/proc/self/uid_map",
    "/sys/kernel/notes", "/sys/kernel/security/lockdown", "/sys/kernel/security/lsm",
    "/sys/module/module/parameters/sig_enforce",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file: where it is here and in the guest, and the module's name."""

    here: Path
    there: str
    name: str


def module_tree(kernel: Kernel) -> Path:
    """The kernel's module tree, taken out of its disk image once."""

    def extract(target: Path) -> None:
        (target / "tree").mkdir()
        lab.run("debugfs", "-R", f"rdump / {target}/tree", kernel.modules_disk)

    with locked("vm"):
        return lab.build(lab.directory("trees") / kernel.release, lab.stamp("1", kernel.stamp), extract) / "tree"


class Mirror:
    """The guest's kernel, tree and interfaces as a directory here."""

    def __init__(self, guest: Guest, directory: Path) -> None:
        self.guest = guest
        self.root = directory
        release = guest.kernel_release
        shutil.copytree(module_tree(guest.kernel), directory / "lib/modules" / release, copy_function=os.link)
        (directory / "boot").mkdir()
        shutil.copyfile(guest.kernel.image, directory / f"boot/vmlinuz-{release}")
        self.tree = directory / "lib/modules" / release

    def known(self, module: Path) -> None:
        """Put a test module into the tree, so that what it exports can be looked up once it is loaded."""
        (self.tree / "extra").mkdir(exist_ok=True)
        os.link(module, self.tree / "extra" / module.name)

    def refresh(self) -> State:
        """Read the guest's interfaces anew."""
        for path in INTERFACES:
            here = self.root / path.lstrip("/")
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_bytes(self.guest.shell(f"cat {path} 2>/dev/null || true").stdout)
        for name in self.guest.shell("ls /sys/module").text.split():
            (self.root / "sys/module" / name).mkdir(exist_ok=True)
        return self.state()

    def state(self) -> State:
        """What kmodmon's own sources would know."""

        def read(path: str) -> bytes:
            return (self.root / path).read_bytes()

        lockdown = read("sys/kernel/security/lockdown")
        lines = parse_modules(read("proc/modules")).lines
        kernel = RunningKernel(
            release=self.guest.kernel_release,
            version="",
            machine="x86_64",
            cmdline=cmdline_facts(parse_cmdline(read("proc/cmdline"))),
            config=parse_kconfig(self.guest.kernel.config.encode()),
        )
        posture = Posture(
            switches=Switches(
                sig_enforce=read("sys/module/module/parameters/sig_enforce") == b"Y\n",
                modules_disabled=read("proc/sys/kernel/modules_disabled") == b"1\n",
            ),
            lockdown=parse_lockdown(lockdown) if lockdown else None,
            lsm=tuple(read("sys/kernel/security/lsm").decode().strip().split(",")),
        )
        loaded = {one.name: Module(name=one.name, size=one.size, state=one.state, taint=one.taint) for one in lines}
        inventory = Inventory(support=True, modules=loaded)
        return State(boot_id="boot", started=EPOCH, kernel=kernel, posture=posture, inventory=inventory)

    def verdicts(self, cases: list[Case]) -> dict[str, LoadVerdict]:
        """Preflight of each file by itself, by its path in the guest."""
        base = str(self.root).encode()
        root = Root(procfs=base + b"/proc", sysfs=base + b"/sys", rootfs=base, modules=base + b"/lib/modules",
                    efivars=base + b"/sys/firmware/efi/efivars")  # fmt: skip
        request = PreflightRequest(files=tuple(str(case.here) for case in cases))
        gathered = gather_preflight(root, self.refresh(), request)
        assert [text for text in gathered.problems if "modules.dep" not in text] == []
        return {
            case.there: preflight([candidate], gathered.host)[0]
            for case, candidate in zip(cases, gathered.candidates, strict=True)
        }


def stock_file(tree: Path, name: str) -> Path:
    """A module of the kernel's own."""
    return next(path for path in tree.rglob(f"{name}.ko*"))


def unpacked(path: Path) -> bytes:
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def cases(kernel: Kernel, mirror: Mirror, scratch: Path) -> list[Case]:
    """The matrix: files that are in order, and each kind of file that is not."""
    built = module_files(kernel)
    names = (
        "hello_unsigned", "signed_wrong", "other_version", "wrong_vermagic", "wrong_crc", "bad_symbol_mod", "gpl_user",
        "ns_user", BLACKLISTED, "truncated", "not_elf", "stack_a", "stack_b", "dup_symbol", "prop_mod", "prop_user",
        "flags_mod",
    )  # fmt: skip
    own = {"signed_wrong": "hello_unsigned", "other_version": "hello_unsigned", "wrong_vermagic": "hello_unsigned",
           "wrong_crc": "stack_a", "truncated": "hello_unsigned", "not_elf": "hello_unsigned"}  # fmt: skip
    found = [
        Case(here=built / f"{name}.ko", there=f"/opt/modules/{name}.ko", name=own.get(name, name))
        for name in names
        if (built / f"{name}.ko").exists()
    ]
    fine = stock_file(mirror.tree, FINE)
    made = {
        "fine.ko": unpacked(fine),
        "fine.ko.xz": lzma.compress(unpacked(fine), check=lzma.CHECK_CRC32),
        "changed.ko": _changed(unpacked(fine)),
        "shortened.ko": unpacked(fine)[:-1],
        "already.ko": unpacked(stock_file(mirror.tree, ALREADY)),
        "empty_header.ko": b"\x7fELF",
    }
    for file, raw in made.items():
        (scratch / file).write_bytes(raw)
        found.append(Case(here=scratch / file, there=f"/tmp/made/{file}", name=FINE))
    mirror.guest.push([scratch / file for file in made], "/tmp/made")
    return found


def _changed(raw: bytes) -> bytes:
    at = len(raw) // 2
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the kernel did: errno (None: it loaded), the lines it logged about a refusal, the taint of what loaded."""

    errno: str | None
    lines: tuple[str, ...]
    taint: str


def loaded(guest: Guest, matrix: list[Case]) -> dict[str, Truth]:
    """Have the guest load each file."""
    asked = json.dumps([[case.there, case.name] for case in matrix])
    answers = json.loads(guest.run("python3", "-c", LOADER, asked, timeout=300).stdout)
    return {
        path: Truth(errno=code, lines=tuple(line for line in lines if not _NO_REFUSAL.search(line)), taint=taint)
        for path, (code, lines, taint) in answers.items()
    }


@pytest.mark.parametrize("name", BOOTS)
def test_preflight_when_the_kernel_is_asked_then_it_answers_the_same(
    boot: Boot, kernel: Kernel, name: str, tmp_path: Path
) -> None:
    guest = boot(kernel, f"module_blacklist={BLACKLISTED}", *BOOTS[name], fresh=True)
    (tmp_path / "mirror").mkdir()
    mirror = Mirror(guest, tmp_path / "mirror")
    guest.run("modprobe", ALREADY)
    if name in {"default", "modules disabled"}:
        guest.insmod("stack_a")
        mirror.known(module_files(kernel) / "stack_a.ko")
    if name == "modules disabled":
        guest.write("/proc/sys/kernel/modules_disabled", "1")
    (tmp_path / "made").mkdir()
    matrix = cases(kernel, mirror, tmp_path / "made")
    verdicts = mirror.verdicts(matrix)
    truth = loaded(guest, matrix)
    wrong = [_difference(verdicts[case.there], truth[case.there]) for case in matrix]
    assert [text for text in wrong if text] == []
    assert len(matrix) >= 20
    if name == "default":  # every kind of refusal was among them
        answers = {"EPERM", "EKEYREJECTED", "ENOEXEC", "EEXIST", "ENOENT", "EINVAL", None}
        assert {one.errno for one in truth.values()} == answers


def _difference(verdict: LoadVerdict, truth: Truth) -> str:
    """ "" when the verdict is what happened."""
    lines, taint = verdict.log, verdict.effects.taints
    if lines and lines[0].startswith("Lockdown:") and not truth.lines:
        lines = ()  # the kernel limits the rate of these
    same = (verdict.loads, verdict.errno) == (truth.errno is None, truth.errno)
    if same and (set(taint) == set(truth.taint) if truth.errno is None else lines == truth.lines):
        return ""
    return f"the kernel answered {truth}, preflight said: {render_verdict(verdict)}"
