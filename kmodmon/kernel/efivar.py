"""/sys/firmware/efi/efivars: whether Secure Boot is on.

Interface: fs/efivarfs (Documentation/filesystems/efivarfs.rst); a file is named NAME-GUID and holds 4 bytes of
attributes (little endian) and the data. World readable. Reads are rate-limited per user and can be slow; a zero-length
read is a variable that is not committed. Absent: BIOS boot, other firmware, efivarfs not mounted, and /sys/firmware
masked in containers.

The decision is the kernel's own (drivers/firmware/efi/libstub/secureboot.c): Secure Boot is on if SecureBoot=1 and
SetupMode=0, unless the user disabled validation in shim (MokSBStateRT=1). That variable counts only while it is *not*
non-volatile: otherwise an operating system could have written it.
"""

import enum
import struct
from dataclasses import dataclass

from kmodmon.types.error import ParseError

EFI_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
SECURE_BOOT_FILE = f"SecureBoot-{EFI_GLOBAL}"
SETUP_MODE_FILE = f"SetupMode-{EFI_GLOBAL}"
MOK_STATE_FILE = f"MokSBStateRT-{SHIM}"
NON_VOLATILE = 1


class SecureBoot(enum.StrEnum):
    """State of Secure Boot by the variables of the firmware and of shim."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    SETUP_MODE = "setup_mode"  # no platform key is enrolled: anybody may enrol one
    SHIM_VALIDATION_DISABLED = "shim_validation_disabled"  # on in the firmware, but shim verifies nothing
    UNKNOWN = "unknown"  # the variables cannot be listed, or hold something else than 0 or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EfiVariable:
    """One variable of efivarfs."""

    attributes: int  # EFI_VARIABLE_*, bit 0 NON_VOLATILE
    data: bytes  # without the attributes

    @property
    def is_set(self) -> bool:
        """Whether a one-byte flag is 1."""
        return self.data == b"\x01"


def parse_efivar(raw: bytes) -> EfiVariable | None:
    """Read a file of efivarfs; None: not committed (zero length). Raises ParseError when it is cut short."""
    if not raw:
        return None
    if len(raw) < 5:
        raise ParseError("/sys/firmware/efi/efivars", raw, "shorter than attributes and one byte")
    (attributes,) = struct.unpack_from("<I", raw)
    return EfiVariable(attributes=attributes, data=raw[4:])


def secure_boot(
    secure: EfiVariable | None, setup: EfiVariable | None, mok: EfiVariable | None, *, variables_readable: bool
) -> SecureBoot:
    """Decide from SecureBoot, SetupMode and MokSBStateRT, None for those that are not there.

    `variables_readable`: the directory of variables could be listed, so that a missing SecureBoot means firmware
    without it.
    """
    if secure is None:
        return SecureBoot.DISABLED if variables_readable else SecureBoot.UNKNOWN
    if setup is not None and setup.is_set:
        return SecureBoot.SETUP_MODE
    if not secure.is_set:
        return SecureBoot.DISABLED if secure.data == b"\0" else SecureBoot.UNKNOWN
    if setup is None or setup.data != b"\0":
        return SecureBoot.UNKNOWN
    if mok is not None and mok.is_set and not mok.attributes & NON_VOLATILE:
        return SecureBoot.SHIM_VALIDATION_DISABLED
    return SecureBoot.ENABLED
