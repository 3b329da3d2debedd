"""Taint bits that distributions add, chosen by facts that the running kernel shows of itself.

Interface: the vendors' own kernel/panic.c; no file of a running kernel names the table. A release string alone does not
decide, because other kernels are built for the same distribution (ELRepo's and Oracle's carry `el8` or `el9` and use
the upstream table). Evidence, strongest first:

1. the kernel's configuration: CONFIG_SUSE_KERNEL_SUPPORTED exists only in SUSE's tree;
2. /proc/version: Enterprise Linux kernels have a fixed base version for each release *and* Red Hat's compiler, SUSE's
   kernels SUSE's compiler.

Without evidence the upstream table is used, and a vendor's bit is shown as `bit_N`.
"""

import re
from collections.abc import Collection

from kmodmon.kernel.taint import FLAGS, Flag, Tier

_EL_WHY = "The vendor marks a limit of its support, not a fault."
_EL_ADVICE = "Ask the vendor before reporting faults of this kernel."


def _bpf(bit: int) -> Flag:
    return Flag(
        bit=bit, letter="u", name="UNPRIVILEGED_BPF", label="unprivileged_bpf",
        cause="Unprivileged users may load BPF programs (kernel.unprivileged_bpf_disabled was set to 0).",
        tier=Tier.SECURITY, why="Any local user may have code verified and run by the kernel.",
        advice="Set kernel.unprivileged_bpf_disabled to 1 or 2.",
    )  # fmt: skip


def _removed(letter: str) -> Flag:
    return Flag(
        bit=27, letter=letter, name="SUPPORT_REMOVED", label="support_removed",
        cause="Hardware or a feature is in use that this release no longer supports.",
        tier=Tier.INFORMATIONAL, why=_EL_WHY, advice=_EL_ADVICE,
    )  # fmt: skip


def _preview(letter: str) -> Flag:
    return Flag(
        bit=29, letter=letter, name="TECH_PREVIEW", label="tech_preview",
        cause="A feature or a module is in use that the vendor ships as a technology preview.",
        tier=Tier.INFORMATIONAL, why=_EL_WHY, advice=_EL_ADVICE,
    )  # fmt: skip


def _reserved(*bits: int) -> tuple[Flag, ...]:
    """Bits that the vendor's table reserves without a meaning: set they print `?`, clear they print `-`."""
    return tuple(
        Flag(
            bit=bit, letter="?", clear="-", name=f"RESERVED{bit}", label=f"bit_{bit}", defined=False,
            cause=f"Bit {bit} is set, which the vendor reserves and gives no meaning.",
            tier=Tier.DEGRADED, why="What is not known cannot be judged.",
            advice="The kernel does not set it: find who wrote /proc/sys/kernel/tainted.",
        )
        for bit in bits
    )  # fmt: skip


def _table(upstream: int, *own: Flag) -> tuple[Flag, ...]:
    replaced = {flag.bit for flag in own}
    kept = (flag for flag in FLAGS if flag.bit < upstream and flag.bit not in replaced)
    return tuple(sorted((*kept, *own), key=lambda flag: flag.bit))


EL7 = _table(
    17,
    Flag(
        bit=28, letter="H", name="HARDWARE_UNSUPPORTED", label="hardware_unsupported",
        cause="The kernel runs on hardware that the vendor does not support.",
        tier=Tier.INFORMATIONAL, why=_EL_WHY, advice=_EL_ADVICE,
    ),
    _preview("T"),
)  # fmt: skip
EL8 = _table(18, *_reserved(*range(18, 27), 28, 31), _removed("r"), _preview("t"), _bpf(30))
EL9 = _table(
    19,
    *_reserved(*range(19, 26)),
    Flag(
        bit=26, letter="p", name="PARTNER_SUPPORTED", label="partner_supported",
        cause="A module is in use that a partner of the vendor supports.",
        tier=Tier.INFORMATIONAL, why=_EL_WHY, advice=_EL_ADVICE,
    ),
    _removed("h"),
    *_reserved(28, 29, 30),
    _bpf(31),
)  # fmt: skip
EL10 = _table(19, *_reserved(*range(19, 27), 28, 29, 30), _removed("h"), _bpf(31))
SUSE = _table(
    20,
    Flag(
        bit=16, letter="X", name="AUX", label="auxiliary",
        cause="A module is in use that another company supports (`supported: external`).",
        tier=Tier.INFORMATIONAL, why="The vendor marks a limit of its support, not a fault.", advice=_EL_ADVICE,
    ),
    Flag(
        bit=31, letter="n", name="NO_SUPPORT", label="no_support",
        cause="A module or a feature is in use that SUSE does not support.",
        tier=Tier.INFORMATIONAL, why="The vendor marks a limit of its support, not a fault.", advice=_EL_ADVICE,
    ),
)  # fmt: skip

VENDORS = (EL7, EL8, EL9, EL10, SUSE)
_ENTERPRISE = (("3.10.0", "7", EL7), ("4.18.0", "8", EL8), ("5.14.0", "9", EL9), ("6.12.0", "10", EL10))


def every_flag() -> tuple[Flag, ...]:
    """Every flag that has a name, upstream or with a vendor, once for each label, upstream's first."""
    by_label: dict[str, Flag] = {}
    for flag in (flag for table in (FLAGS, *VENDORS) for flag in table if flag.defined):
        by_label.setdefault(flag.label, flag)
    return tuple(by_label.values())


def choose_flags(proc_version: str, config_names: Collection[str] = ()) -> tuple[Flag, ...]:
    """Return the taint table of the kernel that wrote `proc_version` (/proc/version), upstream's without evidence.

    `config_names`: names of its CONFIG_ options; empty when the configuration cannot be read.
    """
    if "CONFIG_SUSE_KERNEL_SUPPORTED" in config_names or "SUSE Linux" in proc_version:
        return SUSE
    if "Red Hat" not in proc_version:
        return FLAGS
    for base, release, flags in _ENTERPRISE:
        # Clones build with the same compiler; a word after the release (`el8uek`, `el9.elrepo`) is another kernel.
        if re.match(
            rf"Linux version {re.escape(base)}-[\w.+~-]*\.el{release}(?:_\d+)?\.\w+(?:\+[\w-]+)?(?: |$)", proc_version
        ):
            return flags
    return FLAGS
