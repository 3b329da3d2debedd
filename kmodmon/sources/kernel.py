"""Which kernel runs: /proc/version, /proc/sys/kernel/arch, /proc/stat, /proc/cmdline, its configuration.

Interfaces: Documentation/filesystems/proc.rst, Documentation/admin-guide/sysctl/kernel.rst; `kernel.identity`,
`kernel.cmdline` and `kernel.kconfig` have the formats. All are world readable and fixed for a boot, so they are read
once. Absent: `arch` before 6.1, where uname(2) answers instead; the configuration is /proc/config.gz
(CONFIG_IKCONFIG_PROC; off on Debian and Ubuntu), or a file that the distribution ships beside the kernel.
"""

import os
from collections.abc import Iterator

from kmodmon.kernel.cmdline import CommandLineFacts, cmdline_facts, parse_cmdline
from kmodmon.kernel.identity import parse_boot_time, parse_version
from kmodmon.kernel.kconfig import Kconfig, parse_kconfig
from kmodmon.kernel.taint_vendor import choose_flags
from kmodmon.sources.source import PollSource, Reading, SourceContext, SourceReader
from kmodmon.subjects.kernel import Kernel, KernelRead
from kmodmon.system.root import PAGE, SMALL, TABLE, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Failed, Read
from kmodmon.types.source_name import SourceName

_CONFIG = 1 << 24  # bytes


def _make(context: SourceContext) -> SourceReader:
    return lambda: read_kernel(context.root)


def read_kernel(root: Root) -> Reading:
    """Read the kernel's identity; failed when /proc/version cannot be understood."""
    outcome = root.read(root.proc(b"version"), PAGE)
    if not isinstance(outcome, Read):
        return Reading(outcome=outcome)
    try:
        version = parse_version(outcome.value)
    except ParseError as error:
        return Reading(outcome=Failed(str(error)))
    config = _config(root, version.release)
    kernel = Kernel(
        release=version.release,
        version=version.version,
        machine=root.text(root.proc(b"sys", b"kernel", b"arch")) or os.uname().machine,
        boot_time=_boot_time(root),
        cmdline=_cmdline(root),
        config=config,
        taint_flags=choose_flags(version.text, () if config is None else config.values),
    )
    return Reading(outcome=Read(KernelRead(kernel=kernel)))


def _boot_time(root: Root) -> int | None:
    match root.read(root.proc(b"stat"), TABLE):
        case Read(raw):
            try:
                return parse_boot_time(raw)
            except ParseError:
                return None
        case _:
            return None


def _cmdline(root: Root) -> CommandLineFacts | None:
    match root.read(root.proc(b"cmdline"), SMALL):
        case Read(raw):
            return cmdline_facts(parse_cmdline(raw))
        case _:
            return None


def _config(root: Root, release: str) -> Kconfig | None:
    for path in _config_paths(root, release):
        outcome = root.read(path, _CONFIG)
        if isinstance(outcome, Read):
            try:
                return parse_kconfig(outcome.value)
            except ParseError:
                continue
    return None


def _config_paths(root: Root, release: str) -> Iterator[bytes]:
    name = release.encode("utf-8", "surrogateescape")
    yield root.proc(b"config.gz")
    if b"/" not in name:
        yield root.host(b"boot", b"config-" + name)
        yield b"/".join((root.modules, name, b"config"))
        yield root.host(b"usr", b"lib", b"modules", name, b"config")


SOURCE = PollSource(
    name=SourceName.KERNEL,
    make=_make,
    every=lambda settings: 0.0,
    interfaces=("/proc/version", "/proc/cmdline", "/proc/stat", "/proc/config.gz", "/boot/config-<release>"),
    remedy="mount procfs where --path.procfs says",
)
