"""Numeric settings and counters: /proc/sys and /sys/kernel, one decimal number a file.

Interface: Documentation/admin-guide/sysctl/kernel.rst, Documentation/ABI/testing/sysfs-kernel-*; world readable.
Absent: older kernels and other configurations. The tables name the files that kmodmon reads, with the release that
brought each. Many were backported, so a file's presence decides, never the release:

- kexec_load_limit_*: Linux kernel commit a42aaad2e47b ("kexec: introduce sysctl parameters kexec_load_limit_*") (in
  v6.3).
- oops_limit: d4ccd54d28d3 ("exit: Put an upper limit on how often we can oops"), warn_limit: 9fc9e278a5c0 ("panic:
  Introduce warn_limit") (both in v6.2, and in 5.4, 5.10, 5.15 and 6.1 stable).
- oops_count: 9db89b411170 ("exit: Expose "oops_count" to sysfs"), warn_count: 8b05aa263361 ("panic: Expose "warn_count"
  to sysfs") (both in v6.2, and in the same stable kernels).
- hardlockup_count, softlockup_count: "kernel/watchdog: add /sys/kernel/{hard,soft}lockup_count", rcu_stall_count:
  "kernel/rcu/tree_stall: add /sys/kernel/rcu_stall_count" (both in v6.16), with the detectors' CONFIG options.
- hung_task_detect_count: 03ecb24db20e ("hung_task: add detect count for hung tasks") (in v6.13).
- kfence's sample_interval: 0ce20dd84089 ("mm: add Kernel Electric-Fence infrastructure") (in v5.12).
"""

import re
from dataclasses import dataclass

from kmodmon.types.error import ParseError
from kmodmon.types.text import bounded, safe_text

_NUMBER = re.compile(rb"-?[0-9]{1,20}")
_TEXT_MAX = 256  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlSetting:
    """A file with one number: a hardening setting, or a counter."""

    name: str  # the public name: metrics, JSON
    mount: str  # procfs | sysfs
    path: tuple[str, ...]  # below the mount
    meaning: str  # of its values, for people
    since: str | None = None  # None: older than every kernel supported (4.18)

    @property
    def interface(self) -> str:
        """The file as documentation names it."""
        return "/".join(("/proc" if self.mount == "procfs" else "/sys", *self.path))


def _kernel(name: str, meaning: str, since: str | None = None) -> SysctlSetting:
    return SysctlSetting(name=name, mount="procfs", path=("sys", "kernel", name), meaning=meaning, since=since)


def _count(name: str, meaning: str, since: str) -> SysctlSetting:
    return SysctlSetting(name=name, mount="sysfs", path=("kernel", name), meaning=meaning, since=since)


HARDENING: tuple[SysctlSetting, ...] = (
    _kernel("kptr_restrict", "0: kernel addresses are shown or hashed, 1: only with CAP_SYSLOG, 2: to nobody"),
    _kernel("dmesg_restrict", "1: reading the kernel log needs CAP_SYSLOG"),
    _kernel("kexec_load_disabled", "1: no other kernel can be loaded until reboot"),
    _kernel("kexec_load_limit_panic", "how often a crash kernel may still be loaded, -1: no limit", "6.3"),
    _kernel("kexec_load_limit_reboot", "how often a kernel to boot may still be loaded, -1: no limit", "6.3"),
    _kernel("unprivileged_bpf_disabled", "0: anybody may load BPF programs, 1: not until reboot, 2: not for now"),
    _kernel("perf_event_paranoid", "what users without privilege may measure, higher is less"),
    _kernel("panic_on_oops", "1: the kernel panics at an oops"),
    _kernel("panic_on_warn", "1: the kernel panics at a warning"),
    _kernel("oops_limit", "number of oopses at which the kernel panics, 0: none", "6.2"),
    _kernel("warn_limit", "number of warnings at which the kernel panics, 0: none", "6.2"),
    _kernel("ftrace_enabled", "0: no function tracing and no livepatching"),
    _kernel("randomize_va_space", "2: address spaces of processes are fully randomised"),
    _kernel("sysrq", "which SysRq functions the console may use, 0: none, 1: all, else a mask"),
    SysctlSetting(
        name="ptrace_scope", mount="procfs", path=("sys", "kernel", "yama", "ptrace_scope"),
        meaning="0: any process of a user may be traced, 1: children, 2: by CAP_SYS_PTRACE, 3: none",
    ),
    SysctlSetting(
        name="bpf_jit_harden", mount="procfs", path=("sys", "net", "core", "bpf_jit_harden"),
        meaning="0: no hardening of compiled BPF, 1: for users without privilege, 2: for all",
    ),
    SysctlSetting(
        name="loadpin_enforce", mount="procfs", path=("sys", "kernel", "loadpin", "enforce"),
        meaning="1: modules and firmware load from one file system only",
    ),
    SysctlSetting(
        name="kfence_sample_interval", mount="sysfs", path=("module", "kfence", "parameters", "sample_interval"),
        meaning="milliseconds between guarded allocations, 0: KFENCE is off", since="5.12",
    ),
)  # fmt: skip

COUNTERS: tuple[SysctlSetting, ...] = (
    _count("oops_count", "oopses since boot that killed a task", "6.2"),
    _count("warn_count", "warnings and sanitizer reports since boot", "6.2"),
    _count("hardlockup_count", "hard lockups since boot", "6.16"),
    _count("softlockup_count", "soft lockups since boot", "6.16"),
    _count("rcu_stall_count", "RCU stalls since boot", "6.16"),
    _kernel("hung_task_detect_count", "hung tasks found since boot", "6.13"),
)


def parse_number(raw: bytes, interface: str) -> int:
    """Read one decimal number; raises ParseError naming `interface`."""
    text = raw.strip(b" \t\n\0")
    if not _NUMBER.fullmatch(text):
        raise ParseError(interface, raw, "not a decimal number")
    return int(text)


def parse_counter(raw: bytes, interface: str) -> int:
    """Read a number that cannot be negative; raises ParseError naming `interface`."""
    value = parse_number(raw, interface)
    if value < 0:
        raise ParseError(interface, raw, "a counter below zero")
    return value


def parse_switch(raw: bytes, interface: str) -> bool:
    """Read `0` or `1`, `Y` or `N` (modules_disabled, sig_enforce, livepatch files); raises ParseError."""
    match raw.strip(b" \t\n\0"):
        case b"1" | b"Y":
            return True
        case b"0" | b"N":
            return False
        case _:
            raise ParseError(interface, raw, "neither 0 nor 1, Y nor N")


def parse_words(raw: bytes) -> str:
    """Read a text setting (modprobe, printk_devkmsg) as safe, bounded text; empty when nothing is set."""
    return bounded(safe_text(raw.strip(b" \t\n\0")), _TEXT_MAX)
