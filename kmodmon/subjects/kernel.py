"""The running kernel: its identity, boot time, command line and configuration, which do not change during a boot."""

from dataclasses import dataclass

from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.kconfig import Kconfig
from kmodmon.kernel.taint import FLAGS, Flag
from kmodmon.types.outcome import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The running kernel; None: the interface is absent or unreadable."""

    release: str  # as uname -r
    version: str  # as uname -v
    machine: str  # as uname -m
    boot_time: int | None = None  # seconds since the epoch, /proc/stat btime
    cmdline: CommandLineFacts | None = None
    config: Kconfig | None = None  # None: neither /proc/config.gz nor a file in /boot or the module tree
    taint_flags: tuple[Flag, ...] = FLAGS  # of its vendor (`kernel.taint_vendor`), or the upstream table


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRead(Observation):
    """Identity of the running kernel, its command line and its configuration."""

    kernel: Kernel
