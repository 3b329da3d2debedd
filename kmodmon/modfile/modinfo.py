"""`.modinfo` of a module file, and lines of modules.builtin.modinfo: NUL-separated `key=value` (scripts/mod/modpost.c).

Keys repeat. The kernel takes the first of a key (`get_modinfo()`), the tools show all. Presence, not value, counts for
intree, staging, livepatch and test. Nothing here is trusted: a module says what it likes about itself.
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
    """One module parameter as its author describes it; None: not given."""

    name: str
    type: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftDependency:
    """One `softdep=` value: modules to load before and after; `weak` for `weakdep=`, which loads nothing."""

    pre: tuple[str, ...] = ()
    post: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModInfo:
    """Everything a module says about itself, in its order. `stray`: strings that are not key=value, kept."""

    fields: tuple[tuple[str, str], ...] = ()
    stray: tuple[str, ...] = ()

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
        """The license by which the kernel judges; None counts as proprietary ("unspecified")."""
        return self.first("license")

    @property
    def gpl_compatible(self) -> bool:
        """Whether the kernel lets it use GPL-only symbols."""
        return self.license in _GPL_COMPATIBLE

    @property
    def vermagic(self) -> str | None:
        """The version string with its trailing space; None: made by something else than the kernel's build."""
        return self.first("vermagic")

    @property
    def depends(self) -> tuple[str, ...]:
        """Modules that must be there before; () when the value is empty or missing."""
        return tuple(name for name in (self.first("depends") or "").split(",") if name)

    @property
    def intree(self) -> bool:
        """Whether it says that it was built with the kernel."""
        return self.first("intree") is not None

    @property
    def parameters(self) -> tuple[ModinfoParameter, ...]:
        """Parameters from parm and parmtype, in order of first mention."""
        types = dict(_split_colon(self.all("parmtype")))
        texts = dict(_split_colon(self.all("parm")))
        names = dict.fromkeys([*texts, *types])
        return tuple(ModinfoParameter(name=name, type=types.get(name), description=texts.get(name)) for name in names)

    @property
    def soft_dependencies(self) -> tuple[SoftDependency, ...]:
        """One for each softdep and weakdep."""
        weak = (SoftDependency(weak=tuple(value.split())) for value in self.all("weakdep"))
        return (*(parse_softdep(value) for value in self.all("softdep")), *weak)


def parse_modinfo(raw: bytes) -> ModInfo:
    """Read a `.modinfo` section; never fails: what is not key=value is in `stray`."""
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


def parse_softdep(value: str) -> SoftDependency:
    """Read `pre: a b post: c`; words before the first keyword are ignored, as kmod does."""
    found: dict[str, list[str]] = {"pre:": [], "post:": []}
    into: list[str] | None = None
    for word in value.split():
        if word in found:
            into = found[word]
        elif into is not None:
            into.append(word)
    return SoftDependency(pre=tuple(found["pre:"]), post=tuple(found["post:"]))


def _split_colon(values: Iterable[str]) -> Iterable[tuple[str, str]]:
    for value in values:
        name, _, text = value.partition(":")
        yield name, text
