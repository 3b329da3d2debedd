"""Settings of trust and the kernel's counters: one poll source for each interface, because each can fail by itself.

Interfaces, all world readable:

- /proc/sys/kernel (Documentation/admin-guide/sysctl/kernel.rst). Absent: /proc/sys not mounted.
- /sys/module/module/parameters/sig_enforce. Absent: CONFIG_MODULE_SIG=n.
- /sys/kernel/security/{lockdown,lsm} (kernel_lockdown(7)). Absent: securityfs not mounted.
- efivarfs (Documentation/filesystems/efivarfs.rst). Reads are slow and rate-limited, and Secure Boot cannot change
  while the system runs: read once. Absent: BIOS boot, efivarfs not mounted.
- /sys/kernel/livepatch (Documentation/ABI/testing/sysfs-kernel-livepatch). Absent: CONFIG_LIVEPATCH=n.
- /sys/kernel/*_count (Documentation/ABI/testing/sysfs-kernel-*_count). Absent: kernels before 6.2.

No file of these has poll support: they are read by timer.
"""

from collections.abc import Callable, Iterable
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from kmodmon.config.settings import Settings
from kmodmon.kernel.efivar import (
    MOK_STATE_FILE,
    SECURE_BOOT_FILE,
    SETUP_MODE_FILE,
    EfiVariable,
    parse_efivar,
    secure_boot,
)
from kmodmon.kernel.livepatch import Livepatch, parse_livepatch
from kmodmon.kernel.lockdown import parse_lockdown, parse_lsm
from kmodmon.kernel.sysctl import COUNTERS, HARDENING, SysctlSetting, parse_number, parse_switch, parse_words
from kmodmon.sources.source import PollSource, Reading, SourceContext
from kmodmon.subjects.posture import CountersRead, LivepatchesRead, LockdownRead, SecureBootRead, Switches, SwitchesRead
from kmodmon.system.root import NUMBER, PAGE, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Absent, Failed, Observation, Outcome, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text

T = TypeVar("T")


class Gatherer:
    """Reads small files; counts those that exist and could not be read or understood, and keeps the first reason."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.unreadable = 0
        self.why = ""

    def parsed(self, path: bytes, parse: Callable[[bytes], T], *, limit: int = PAGE, line: bool = True) -> T | None:
        """Read and parse a file; None when it is absent, or unreadable (then it is counted).

        `line`: the file ends in a newline, so that content without one was cut short and its number is wrong.
        """
        match self.root.read(path, limit):
            case Read(raw) if line and not raw.endswith(b"\n"):
                self._count(f"{path.decode(errors='replace')}: cut short")
            case Read(raw):
                try:
                    return parse(raw)
                except ParseError as error:
                    self._count(str(error))
            case Failed(why):
                self._count(why)
            case Absent():
                pass
        return None

    def numbers(self, settings: Iterable[SysctlSetting]) -> dict[str, int]:
        """Read the settings that this kernel has, by name."""
        values: dict[str, int] = {}
        for setting in settings:
            value = self.parsed(self._path(setting), partial(parse_number, interface=setting.interface), limit=NUMBER)
            if value is not None:
                values[setting.name] = value
        return values

    def _path(self, setting: SysctlSetting) -> bytes:
        below = self.root.proc if setting.mount == "procfs" else self.root.sys
        return below(*(part.encode() for part in setting.path))

    def _count(self, why: str) -> None:
        self.unreadable += 1
        self.why = self.why or why


def read_switches(root: Root) -> Reading:
    """Read the settings of /proc/sys; failed when not one of them could be read."""
    gather = Gatherer(root)
    kernel = (b"sys", b"kernel")
    enforce = root.sys(b"module", b"module", b"parameters", b"sig_enforce")
    switches = Switches(
        settings=MappingProxyType(gather.numbers(HARDENING)),
        modules_disabled=gather.parsed(root.proc(*kernel, b"modules_disabled"), _switch("modules_disabled")),
        sig_enforce=gather.parsed(enforce, _switch("sig_enforce")),
        modprobe=gather.parsed(root.proc(*kernel, b"modprobe"), parse_words),
        printk_devkmsg=gather.parsed(root.proc(*kernel, b"printk_devkmsg"), parse_words),
    )
    if switches == Switches():
        return _nothing(root.proc(*kernel), gather)
    return Reading(outcome=Read(SwitchesRead(switches=switches)), unreadable=gather.unreadable)


def _switch(name: str) -> Callable[[bytes], bool]:
    return lambda raw: parse_switch(raw, name)


def _nothing(directory: bytes, gather: Gatherer) -> Reading:
    if gather.why:
        return Reading(outcome=Failed(gather.why), unreadable=gather.unreadable)
    return Reading(outcome=Absent(f"{directory.decode(errors='replace')}: none of its files is there"))


def read_lockdown(root: Root) -> Reading:
    """Read the lockdown file of securityfs and the list of active security modules."""
    directory = root.securityfs
    outcome = root.read(directory + b"/lockdown", PAGE)
    if not isinstance(outcome, Read):
        return Reading(outcome=outcome)
    if not outcome.value.endswith(b"\n"):
        return Reading(outcome=Failed(f"{directory.decode(errors='replace')}/lockdown: cut short"))
    gather = Gatherer(root)
    lsm = gather.parsed(directory + b"/lsm", parse_lsm, line=False)
    return _observe(lambda: LockdownRead(lockdown=parse_lockdown(outcome.value), lsm=lsm), gather.unreadable)


def read_counters(root: Root) -> Reading:
    """Read the kernel's own counts of oopses, warnings, lockups and stalls."""
    gather = Gatherer(root)
    counters = gather.numbers(COUNTERS)
    if not counters:
        return _nothing(root.sys(b"kernel"), gather)
    return Reading(outcome=Read(CountersRead(counters=MappingProxyType(counters))), unreadable=gather.unreadable)


def read_livepatches(root: Root) -> Reading:
    """Read every patch of /sys/kernel/livepatch."""
    directory = root.sys(b"kernel", b"livepatch")
    names = root.directories(directory)
    if not isinstance(names, Read):
        return Reading(outcome=names)
    gather = Gatherer(root)
    readable = {safe_text(name): _livepatch(root, directory + b"/" + name, gather) for name in names.value}
    patches = {name: patch for name, patch in readable.items() if patch is not None}
    return Reading(outcome=Read(LivepatchesRead(patches=MappingProxyType(patches))), unreadable=gather.unreadable)


def _livepatch(root: Root, directory: bytes, gather: Gatherer) -> Livepatch | None:
    files = [gather.parsed(directory + name, bytes) for name in (b"/enabled", b"/transition", b"/replace")]
    enabled, transition, replace = files
    if enabled is None or transition is None:
        return None  # the patch was removed meanwhile
    try:
        return parse_livepatch(enabled, transition, replace, gather.parsed(directory + b"/stack_order", bytes))
    except ParseError:
        gather.unreadable += 1
        return None


def read_secure_boot(root: Root) -> Reading:
    """Read SecureBoot, SetupMode and shim's MokSBStateRT."""
    names = root.names(root.efivars)
    if not isinstance(names, Read):
        return Reading(outcome=names)
    if not names.value:
        return Reading(outcome=Absent(f"{root.efivars.decode(errors='replace')}: empty, efivarfs is not mounted"))
    gather = Gatherer(root)

    def variable(name: str) -> EfiVariable | None:
        return gather.parsed(root.efivars + b"/" + name.encode(), parse_efivar, line=False)

    secure, setup, mok = variable(SECURE_BOOT_FILE), variable(SETUP_MODE_FILE), variable(MOK_STATE_FILE)
    if gather.why:
        return Reading(outcome=Failed(gather.why), unreadable=gather.unreadable)
    return _observe(lambda: SecureBootRead(state=secure_boot(secure, setup, mok, variables_readable=True)), 0)


def _observe(make: Callable[[], Observation], unreadable: int) -> Reading:
    try:
        outcome: Outcome[Observation] = Read(make())
    except ParseError as error:
        outcome = Failed(str(error))
    return Reading(outcome=outcome, unreadable=unreadable)


def _often(settings: Settings) -> float:
    return settings.poll.posture


def _never(settings: Settings) -> float:
    return 0.0


def _source(
    name: SourceName,
    read: Callable[[Root], Reading],
    interfaces: tuple[str, ...],
    *,
    remedy: str,
    every: Callable[[Settings], float] = _often,
    cheap: bool = False,
) -> PollSource:
    def make(context: SourceContext) -> Callable[[], Reading]:
        return lambda: read(context.root)

    return PollSource(name=name, make=make, every=every, interfaces=interfaces, remedy=remedy, cheap=cheap)


SOURCES: tuple[PollSource, ...] = (
    _source(
        SourceName.POSTURE,
        read_switches,
        ("/proc/sys/kernel/{modules_disabled,modprobe,…}", "/sys/module/module/parameters/sig_enforce"),
        remedy="mount procfs with /proc/sys where --path.procfs says",
        cheap=True,
    ),
    _source(
        SourceName.LOCKDOWN,
        read_lockdown,
        ("/sys/kernel/security/lockdown", "/sys/kernel/security/lsm"),
        remedy="mount securityfs: `mount -t securityfs securityfs /sys/kernel/security`",
        cheap=True,
    ),
    _source(
        SourceName.SECURE_BOOT,
        read_secure_boot,
        ("/sys/firmware/efi/efivars/{SecureBoot,SetupMode,MokSBStateRT}-*",),
        remedy="mount efivarfs: `mount -t efivarfs efivarfs /sys/firmware/efi/efivars`",
        every=_never,
    ),
    _source(SourceName.COUNTERS, read_counters, ("/sys/kernel/{oops,warn}_count",), remedy="mount sysfs of the host"),
    _source(
        SourceName.LIVEPATCH, read_livepatches, ("/sys/kernel/livepatch/<patch>/",), remedy="mount sysfs of the host"
    ),
)
