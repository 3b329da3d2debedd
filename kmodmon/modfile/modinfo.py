"""`.modinfo` of a module file: NUL-separated `key=value` (scripts/mod/modpost.c, include/linux/moduleparam.h).

modinfo(8) prints it. modules.builtin.modinfo of /lib/modules/RELEASE has the same form. Keys repeat: the kernel takes
the first of a key (`get_modinfo()`), the tools show all. Presence, not value, counts for intree, staging, livepatch and
test. Nothing here is trusted: a module can claim anything about itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from kmodmon.types.text import safe_text

SECTION = b".modinfo"
SECTION_LIMIT = 4 << 20  # bytes; the largest stock one (aliases of a big driver) has 150,000

# include/linux/license.h license_is_gpl_compatible(): the same six, compared exactly
_GPL_COMPATIBLE = frozenset(
    {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModinfoParameter:
    """One module parameter as its author describes it."""

    name: str
    type: str | None = None  # of parmtype, such as `int` or `array of charp`; None: not given
    description: str | None = None  # of parm; None: not given


@dataclass(frozen=True, slots=True, kw_only=True)
class ModInfo:
    """Everything that a module claims about itself, as safe text."""

    fields: tuple[tuple[str, str], ...] = ()  # key and value, in the file's order
    stray: tuple[str, ...] = ()  # strings that are not key=value

    def first(self, key: str) -> str | None:
        """The value that the kernel takes; None when the key is not there."""
        for name, value in self.fields:
            if name == key:
                return value
        return None

    def all(self, key: str) -> tuple[str, ...]:
        """Every value of a key, in the file's order."""
        return tuple(value for name, value in self.fields if name == key)

    @property
    def license(self) -> str | None:
        """The license that the kernel judges; None counts as proprietary ("unspecified")."""
        return self.first("license")

    @property
    def gpl_compatible(self) -> bool:
        """Whether the kernel lets it use GPL-only symbols."""
        return self.license in _GPL_COMPATIBLE

    @property
    def vermagic(self) -> str | None:
        """The version string with its trailing space; None: another build system than the kernel's made the file."""
        return self.first("vermagic")

    @property
    def depends(self) -> tuple[str, ...]:
        """Modules that must be loaded before; () when the value is empty or missing."""
        return tuple(name for name in (self.first("depends") or "").split(",") if name)

    @property
    def intree(self) -> bool:
        """Whether the module claims to be built with the kernel."""
        return self.first("intree") is not None

    @property
    def parameters(self) -> tuple[ModinfoParameter, ...]:
        """Parameters from parm and parmtype, in order of first mention."""
        types = dict(_split_colon(self.all("parmtype")))
        texts = dict(_split_colon(self.all("parm")))
        names = dict.fromkeys([*texts, *types])
        return tuple(ModinfoParameter(name=name, type=types.get(name), description=texts.get(name)) for name in names)


def parse_modinfo(raw: bytes) -> ModInfo:
    """Read a `.modinfo` section. Raises nothing: a string that is not key=value is in `stray`."""
    fields = []
    stray = []
    for item in raw.split(b"\0"):
        if not item:
            continue
        key, equals, value = item.partition(b"=")
        if equals:
            fields.append((safe_text(key), safe_text(value)))
        else:
            stray.append(safe_text(item))
    return ModInfo(fields=tuple(fields), stray=tuple(stray))


def _split_colon(values: Iterable[str]) -> Iterable[tuple[str, str]]:
    for value in values:
        name, _, text = value.partition(":")
        yield name, text
