"""Taint: /proc/sys/kernel/tainted, the letters of modules, and the `Tainted:` text of reports.

Interface: include/linux/panic.h and kernel/panic.c `taint_flags[]` (Documentation/admin-guide/tainted-kernels.rst).
/proc/sys/kernel/tainted is world readable, a decimal `unsigned long`. Absent: only where /proc/sys is not mounted.

Facts the code below is written from:

- A privileged process may OR any known bit in by writing the sysctl; the kernel itself never clears one. A load that
  fails late leaves the global bit set, and so does an unload. A bit is evidence, not proof, that a module set it.
- Upstream defines 18 bits up to 5.18. TEST came with Linux kernel commit 2852ca7fba9f ("panic: Taint kernel if tests
  are run") (in v6.0), FWCTL with 8eea4e744758 ("taint: Add TAINT_FWCTL") (in v6.15). Distributions add bits above these
  and reuse letters (`T`, `N`, `H`); lower case, `?` and `-` are among theirs (`taint_vendor`). Unknown bits and
  letters are kept.
- In the text form a clear bit prints a character too: `G` for bit 0, a blank, or `-` on Enterprise Linux kernels.
  Some kernels skip bits without a letter (SUSE), so letters are looked up and columns are not counted.
- Since "kernel/panic: add verbose logging of kernel taints in backtraces" (in v6.11) reports of a tainted kernel have a
  second record, `Tainted: [O]=OOT_MODULE, [E]=UNSIGNED_MODULE`.
- Up to 6.12 a column of the table says which bits a module may carry (P F C O E K X T N); "taint/module: Remove
  unnecessary taint_flag.module field" removed it, and 7.2 prints any bit of `mod->taints`.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kmodmon.types.error import ParseError

TAINTED = "/proc/sys/kernel/tainted"


class Tier(enum.StrEnum):
    """How worrying a flag is by itself."""

    INFORMATIONAL = "informational"
    DEGRADED = "degraded"
    SECURITY = "security"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One taint bit in words."""

    bit: int  # number, from 0
    letter: str  # in the text form while the bit is set
    clear: str = " "  # in the text form while the bit is clear
    name: str  # as the kernel spells it, without TAINT_
    label: str  # the public word: metrics, JSON
    cause: str  # what sets it
    tier: Tier
    why: str  # why that tier
    advice: str
    since: str | None = None  # upstream release that added it; None: older than every kernel supported (4.18)
    defined: bool = True  # False: this table has no name for the bit

    @property
    def value(self) -> int:
        """The bit as a number."""
        return 1 << self.bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Taint read from letters."""

    flags: tuple[Flag, ...]  # in ascending bit order
    unknown: str = ""  # letters that no flag has

    @property
    def value(self) -> int:
        """The bits of the known letters, as a number."""
        return sum(flag.value for flag in self.flags)


FLAGS: tuple[Flag, ...] = (
    Flag(
        bit=0, letter="P", clear="G", name="PROPRIETARY_MODULE", label="proprietary_module",
        cause="A module whose licence is not GPL-compatible was loaded, or one that uses such a module's symbols.",
        tier=Tier.DEGRADED, why="Only its vendor can say what the code does, and kernel developers reject reports.",
        advice="Name the module with `kmodmon modules --tainted` and reproduce faults without it.",
    ),
    Flag(
        bit=1, letter="F", name="FORCED_MODULE", label="forced_module",
        cause="A module was loaded by force, with its version magic or its symbol versions ignored.",
        tier=Tier.SECURITY, why="The module may use kernel structures of another layout and corrupt memory silently.",
        advice="Rebuild the module for the running kernel and stop using `modprobe --force`; reboot.",
    ),
    Flag(
        bit=2, letter="S", name="CPU_OUT_OF_SPEC", label="cpu_out_of_spec",
        cause="A processor or the way it is run is outside its specification (or an MSR was written from userspace).",
        tier=Tier.DEGRADED, why="The hardware may compute or order memory differently from what the kernel relies on.",
        advice="Look in the kernel log for the reason; check the processor, its firmware and tools that write MSRs.",
    ),
    Flag(
        bit=3, letter="R", name="FORCED_RMMOD", label="forced_rmmod",
        cause="A module was removed by force (`rmmod --force`) while it was in use.",
        tier=Tier.DEGRADED, why="Code or data of the removed module may still be referenced and used after free.",
        advice="Reboot before trusting this kernel again; find who removes modules by force.",
    ),
    Flag(
        bit=4, letter="M", name="MACHINE_CHECK", label="machine_check",
        cause="The processor reported a machine check: a hardware error.",
        tier=Tier.DEGRADED, why="Memory, caches or buses have failed; data may be wrong.",
        advice="Read the machine check records (rasdaemon, mcelog) and test or replace the part they name.",
    ),
    Flag(
        bit=5, letter="B", name="BAD_PAGE", label="bad_page",
        cause="A page of memory was found in an impossible state, or a memory checker (KASAN, KFENCE, SLUB) reported.",
        tier=Tier.SECURITY, why="Kernel memory was used after free or overwritten: a bug, failing memory or an attack.",
        advice="Keep the first report of the kernel log; test the memory; suspect modules named in its call trace.",
    ),
    Flag(
        bit=6, letter="U", name="USER", label="user_request",
        cause="A user asked for it: wrote the tainted sysctl, set an unsafe module parameter or used a debugging hook.",
        tier=Tier.INFORMATIONAL, why="Somebody with privilege chose a setting that developers do not support.",
        advice="Look in the kernel log for `Setting dangerous option` and undo the setting at the next boot.",
    ),
    Flag(
        bit=7, letter="D", name="DIE", label="die",
        cause="The kernel has died before: an oops or a BUG().",
        tier=Tier.SECURITY, why="A task was killed in the middle of kernel code; locks and data may be left broken.",
        advice="Save the report, find the module at fault (`kmodmon explain --log`) and reboot soon.",
    ),
    Flag(
        bit=8, letter="A", name="OVERRIDDEN_ACPI_TABLE", label="overridden_acpi_table",
        cause="An ACPI table of the firmware was replaced by the administrator.",
        tier=Tier.INFORMATIONAL, why="Firmware tables hold code that the kernel runs; these are not the vendor's.",
        advice="Check that the override in the initramfs or in configfs is yours.",
    ),
    Flag(
        bit=9, letter="W", name="WARN", label="warning",
        cause="The kernel has issued a warning (WARN(), or a check of the scheduler or a lock).",
        tier=Tier.DEGRADED, why="Something that developers hold to be impossible has happened; the kernel went on.",
        advice="Read the `WARNING:` report in the kernel log and the module that it names.",
    ),
    Flag(
        bit=10, letter="C", name="CRAP", label="staging_module",
        cause="A module of the kernel's staging directory was loaded.",
        tier=Tier.INFORMATIONAL, why="Staging code is known to be below the kernel's standard of quality.",
        advice="Look for a driver outside staging; suspect this one first when faults appear.",
    ),
    Flag(
        bit=11, letter="I", name="FIRMWARE_WORKAROUND", label="firmware_workaround",
        cause="The kernel works around a severe bug of the platform's firmware.",
        tier=Tier.INFORMATIONAL, why="The kernel copes, but the firmware is known to be wrong.",
        advice="Read the `[Firmware Bug]` lines of the kernel log and update the firmware.",
    ),
    Flag(
        bit=12, letter="O", name="OOT_MODULE", label="out_of_tree_module",
        cause="A module built outside the kernel's own source tree was loaded.",
        tier=Tier.INFORMATIONAL, why="Common for vendor drivers, but the code was never reviewed with this kernel.",
        advice="Check that every module with the letter O is one that you installed (DKMS, vendor package).",
    ),
    Flag(
        bit=13, letter="E", name="UNSIGNED_MODULE", label="unsigned_module",
        cause="A module without a signature that this kernel trusts was loaded.",
        tier=Tier.SECURITY, why="Nothing vouches for the code: anyone who is root could have built it.",
        advice="Sign your own modules and enrol the key, then set `module.sig_enforce=1`; explain every other one.",
    ),
    Flag(
        bit=14, letter="L", name="SOFTLOCKUP", label="soft_lockup",
        cause="A processor ran kernel code for too long without scheduling (soft lockup).",
        tier=Tier.DEGRADED, why="The kernel hung for seconds; a lock or a driver loop is at fault.",
        advice="Read the `BUG: soft lockup` report in the kernel log; look at the module on top of its trace.",
    ),
    Flag(
        bit=15, letter="K", name="LIVEPATCH", label="live_patch",
        cause="The kernel's code was patched while running (a livepatch module was loaded).",
        tier=Tier.INFORMATIONAL, why="The running code is not the installed one; usual where livepatches are used.",
        advice="Check that every patch under /sys/kernel/livepatch is your vendor's.",
    ),
    Flag(
        bit=16, letter="X", name="AUX", label="auxiliary",
        cause="Auxiliary taint, defined by distributions (SUSE: a module supported by another company).",
        tier=Tier.INFORMATIONAL, why="The distribution marks a limit of its support, not a fault.",
        advice="Ask the distribution what its mark stands for.",
    ),
    Flag(
        bit=17, letter="T", name="RANDSTRUCT", label="randstruct",
        cause="The kernel was built with randomised structure layouts.",
        tier=Tier.INFORMATIONAL, why="A hardening option of the build; debugging needs its seed.",
        advice="Nothing to do: it is set from boot.",
    ),
    Flag(
        bit=18, letter="N", name="TEST", label="test_module", since="6.0",
        cause="An in-kernel test ran or a test module was loaded (KUnit).",
        tier=Tier.DEGRADED, why="Tests provoke states that a production kernel should never be in.",
        advice="Do not run kernel tests on machines that matter; reboot.",
    ),
    Flag(
        bit=19, letter="J", name="FWCTL", label="fwctl", since="6.15",
        cause="Userspace sent a device's firmware a command that changes it through the fwctl debug interface.",
        tier=Tier.DEGRADED, why="The device may now behave in ways that its driver does not expect.",
        advice="Find the tool that used /dev/fwctl; reset the device or reboot.",
    ),
)  # fmt: skip


def unknown_flag(bit: int) -> Flag:
    """A flag for a bit that the table has no name for: it is shown by its number, never dropped."""
    return Flag(
        bit=bit, letter="?", name=f"BIT_{bit}", label=f"bit_{bit}", defined=False,
        cause=f"Bit {bit} is set; neither the upstream kernel nor this distribution as far as known defines it.",
        tier=Tier.DEGRADED, why="What is not known cannot be judged.",
        advice="Look the bit up in the documentation of the kernel's vendor.",
    )  # fmt: skip


def parse_tainted(raw: bytes) -> int:
    """Read the number in /proc/sys/kernel/tainted, all 64 bits; raises ParseError."""
    text = raw.strip(b" \t\n\0")
    if not re.fullmatch(rb"[0-9]{1,20}", text) or (value := int(text)) >= 1 << 64:
        raise ParseError(TAINTED, raw, "not a 64-bit decimal number")
    return value


def decode(value: int, flags: tuple[Flag, ...] = FLAGS) -> tuple[Flag, ...]:
    """Return the flags set in `value` in ascending bit order; a bit that `flags` lacks comes as `bit_N`, letter `?`."""
    by_bit = {flag.bit: flag for flag in flags}
    return tuple(by_bit.get(bit) or unknown_flag(bit) for bit in range(value.bit_length()) if value >> bit & 1)


def letters(value: int, flags: tuple[Flag, ...] = FLAGS) -> str:
    """Return the letters of the bits set, ascending, as /proc/modules shows them; `?` for a bit without a name."""
    return "".join(flag.letter for flag in decode(value, flags))


_NO_LETTERS = Letters(flags=())


def parse_letters(text: str, flags: tuple[Flag, ...] = FLAGS) -> Letters:
    """Read module taint letters such as `OE` (/sys/module/M/taint, /proc/modules). Raises nothing."""
    if not text:
        return _NO_LETTERS
    by_letter = _by_letter(flags)
    matched = {by_letter[letter] for letter in text if letter in by_letter}
    unknown = "".join(dict.fromkeys(letter for letter in text if letter not in by_letter and not letter.isspace()))
    return Letters(flags=_ascending(matched), unknown=unknown)


_NAMED = re.compile(r"\[([^\]])\]=(\w+)")
_COLUMNS = re.compile(r"[A-Za-z?\- ]*")


def parse_tainted_text(text: str, flags: tuple[Flag, ...] = FLAGS) -> Letters:
    """Read what follows `Tainted:` in a report, letters (`G        W  OE `) or names (`[W]=WARN, [O]=OOT_MODULE`).

    The prefix is optional, and the text behind the letters (the kernel release) is ignored; `Not tainted` gives none.
    A task may be named `Tainted: P` and is printed before the kernel's own words, so the last `Tainted:` counts.
    Raises nothing.
    """
    if text.lstrip().startswith("Not tainted"):
        return Letters(flags=())
    body = text.rsplit("Tainted:", 1)[-1]
    named = _NAMED.findall(body)  # the second record, in v6.11 and later
    if named:
        return _parse_named(named, flags)
    columns = _COLUMNS.match(body)
    assert columns is not None  # the expression matches the empty string
    set_letters = columns[0].replace("-", "").replace("G", "")
    return parse_letters(set_letters, flags)


def _parse_named(named: Iterable[tuple[str, str]], flags: tuple[Flag, ...]) -> Letters:
    # Names take precedence over letters: `T` and `N` mean different bits to different vendors.
    by_name = {flag.name: flag for flag in flags}
    by_letter = _by_letter(flags)
    matched: set[Flag] = set()
    unknown = ""
    for letter, name in named:
        flag = by_name.get(name) or by_letter.get(letter)
        if flag is None:
            unknown += letter if letter not in unknown else ""
        else:
            matched.add(flag)
    return Letters(flags=_ascending(matched), unknown=unknown)


def _by_letter(flags: Iterable[Flag]) -> dict[str, Flag]:
    return {flag.letter: flag for flag in flags if flag.letter != "?"}


def _ascending(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    return tuple(sorted(flags, key=lambda flag: flag.bit))
