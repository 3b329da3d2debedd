"""What preflight says about one file: obstacles in the kernel's order, what loading it would do, in text and JSON."""

import enum
from dataclasses import dataclass

from kmodmon.subjects.module_file import ModuleFile
from kmodmon.types.codec import json_value, to_json
from kmodmon.types.units import JsonObject

# tools/insmod.c of kmod: for these it has words of its own
_TOOL_WORDS = {
    "ENOEXEC": "Invalid module format",
    "ENOENT": "Unknown symbol in module",
    "EINVAL": "Invalid parameters",
    "EPERM": "Operation not permitted",
    "EEXIST": "File exists",
    "EBUSY": "Device or resource busy",
    "EBADMSG": "Bad message",
    "EMSGSIZE": "Message too long",
    "EKEYREJECTED": "Key was rejected by service",
    "ENOKEY": "Required key not available",
    "ENOPKG": "Package not installed",
}
_FILE_WORDS = {"ENOENT": "No such file or directory", "EACCES": "Permission denied"}


class ObstacleKind(enum.StrEnum):
    """What stands in the way."""

    FILE = "file"
    CAPABILITY = "capability"
    MODULES_DISABLED = "modules_disabled"
    SIGNATURE = "signature"
    LOCKDOWN = "lockdown"
    ELF = "elf"
    BLACKLIST = "blacklist"
    MODVERSIONS = "modversions"
    VERMAGIC = "vermagic"
    LIVEPATCH = "livepatch"
    WRITE_EXEC = "write_exec"
    ALREADY_LOADED = "already_loaded"
    NAMESPACE = "namespace"
    SYMBOL = "symbol"
    GPL_ONLY = "gpl_only"
    DUPLICATE_SYMBOL = "duplicate_symbol"
    BUILT_IN = "built_in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """One thing that stands in the way. Not `certain`: it may, and what is not known is in `why`."""

    kind: ObstacleKind
    certain: bool = True
    errno: str
    log: tuple[str, ...] = ()
    why: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What loading would do beside loading: taint letters, and sentences about it."""

    taints: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadVerdict:
    """The answer for one file; obstacles in the order in which the kernel comes upon them."""

    file: ModuleFile
    name: str
    release: str
    obstacles: tuple[Obstacle, ...] = ()
    effects: Effects = Effects()

    @property
    def loads(self) -> bool | None:
        """True, False, or None: it cannot be told."""
        if any(obstacle.certain for obstacle in self.obstacles):
            return False
        return None if self.obstacles else True

    @property
    def first(self) -> Obstacle | None:
        """The obstacle that the kernel would answer with; None when none is certain."""
        return next((obstacle for obstacle in self.obstacles if obstacle.certain), None)

    @property
    def errno(self) -> str | None:
        """The errno that the load would end with; None when nothing certain stands in its way."""
        return None if self.first is None else self.first.errno

    @property
    def log(self) -> tuple[str, ...]:
        """The lines that the kernel would log for it; () when it logs nothing, as for a missing capability."""
        return () if self.first is None else self.first.log

    @property
    def message(self) -> str | None:
        """What insmod and modprobe would say."""
        if self.first is not None and self.first.kind is ObstacleKind.FILE:
            return _FILE_WORDS.get(self.first.errno, self.first.errno)  # said before the kernel is asked
        return None if self.errno is None else _TOOL_WORDS.get(self.errno, self.errno)

    def to_json(self) -> JsonObject:
        """Stable keys; `loads` is null when it cannot be told."""
        return {
            "path": self.file.path,
            "name": self.name,
            "release": self.release,
            "loads": self.loads,
            "errno": self.errno,
            "message": self.message,
            "log": list(self.log),
            "obstacles": json_value(self.obstacles),
            "taints": self.effects.taints,
            "notes": list(self.effects.notes),
            "signature": to_json(self.file.signature),
        }


def render_verdict(verdict: LoadVerdict) -> str:
    """The answer for people: one line, then each obstacle with its errno, log lines and remedy."""
    words = {True: "would load", False: "would not load", None: "cannot tell whether it would load"}[verdict.loads]
    lines = [f"{verdict.file.path or verdict.name}: {words} on {verdict.release}"]
    if verdict.errno is not None:
        lines[0] += f": {verdict.errno} ({verdict.message})"
    for number, obstacle in enumerate(verdict.obstacles, start=1):
        uncertainty = "" if obstacle.certain else " (perhaps)"
        lines.append(f"  {number}. {obstacle.kind.value}{uncertainty}: {obstacle.why}")
        lines += [f"     kernel log: {line}" for line in obstacle.log]
        lines.append(f"     {obstacle.errno}. {obstacle.remedy}")
    if verdict.effects.taints and verdict.loads is not False:
        lines.append(f"  taints: {verdict.effects.taints}")
    lines += [f"  note: {note}" for note in verdict.effects.notes]
    return "\n".join(lines) + "\n"
