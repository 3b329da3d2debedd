"""The kernel's configuration: /proc/config.gz, /boot/config-RELEASE or /lib/modules/RELEASE/config.

Interface: scripts/kconfig (Documentation/kbuild/kconfig-language.rst); lines are `CONFIG_X=y`, `=m`, `="text"`,
`=number` or `# CONFIG_X is not set`. An option that the file does not mention does not exist for that kernel. World
readable on most distributions.
Absent: /proc/config.gz needs CONFIG_IKCONFIG_PROC (off on Debian and Ubuntu). Files under /boot and /lib may belong to
another build of the same release, so they are weaker evidence.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_GZIP = b"\x1f\x8b"
_SIZE_MAX = 1 << 24  # bytes unpacked; real ones have 0.3 million
# Only options about modules and trust are kept: a whole configuration has 10,000.
_KEPT = re.compile(
    rb"^(?:# )?CONFIG_(MOD(?:ULE|ULES|VERSIONS)(?:_[A-Z0-9_]+)?|(?:SECURITY_)?LOCK_?DOWN[A-Z0-9_]*|LSM|LIVEPATCH"
    rb"|SECURITY_LOADPIN[A-Z0-9_]*|SECURITY_DMESG_RESTRICT|IMA_[A-Z0-9_]+|KEXEC(?:_FILE)?_?SIG[A-Z0-9_]*"
    rb"|KALLSYMS[A-Z0-9_]*|KFENCE[A-Z0-9_]*|PRINTK_CALLER|STACKTRACE_BUILD_ID|TRIM_UNUSED_KSYMS|RANDSTRUCT[A-Z0-9_]*"
    rb"|DEBUG_INFO_BTF_MODULES|DEBUG_KMEMLEAK|FTRACE|KPROBES|IKCONFIG_PROC|SYSTEM_TRUSTED_KEYS|SUSE_KERNEL_SUPPORTED)"
    rb"(?:=(.*)| is not set)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kconfig:
    """Options about modules and trust."""

    # full name -> value without quotes, `n` for `is not set`; an option that the file does not mention is not here
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def is_on(self, name: str) -> bool:
        """Whether `name` is built in or a module; an option that is not mentioned is off."""
        return self.values.get(name, "n") in ("y", "m")


def parse_kconfig(raw: bytes) -> Kconfig:
    """Read a configuration, plain or gzip; raises ParseError when it is none or larger than any kernel's."""
    text = _unpack(raw) if raw.startswith(_GZIP) else raw
    if not re.search(rb"^(?:# )?CONFIG_[A-Za-z0-9_]+(?:=| is not set)", text[:_SIZE_MAX], re.MULTILINE):
        raise ParseError("kernel configuration", raw, "no CONFIG_ line in it")
    values = {f"CONFIG_{name.decode()}": _value(value) for name, value in _KEPT.findall(text[:_SIZE_MAX])}
    return Kconfig(values=MappingProxyType(values))


def _value(raw: bytes) -> str:
    # The expression gives an empty group for `is not set`; an empty text is `""` in the file.
    text = safe_text(raw[:256])
    return text.removeprefix('"').removesuffix('"') if raw else "n"


def _unpack(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, _SIZE_MAX)
    except zlib.error as error:
        raise ParseError("kernel configuration", raw, f"broken gzip ({error})") from None
