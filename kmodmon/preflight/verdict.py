"""The answer of preflight for one file: obstacles in the kernel's order and effects of the load, as text and JSON."""

import enum
from dataclasses import dataclass

from kmodmon.subjects.module_file import ModuleFile
from kmodmon.types.codec import json_value, to_json
from kmodmon.types.units import JsonObject

# The messages of insmod and modprobe by errno (tools/insmod.c of kmod, strerror)
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
    """Which check of the loader refuses the file; the values are public."""

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
    """A reason why the file does not load, in the public form of JSON."""

    kind: ObstacleKind
    certain: bool = True  # False: something is not known, and `why` names it
    errno: str  # name of the errno that the load would end with
    log: tuple[str, ...] = ()  # lines that the kernel would log
    why: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What else the load would do."""

    taints: str = ""  # letters that the module would add
    notes: tuple[str, ...] = ()  # sentences for people


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadVerdict:
    """The answer for one file."""

    file: ModuleFile
    name: str  # of the module
    release: str  # of the kernel
    obstacles: tuple[Obstacle, ...] = ()  # in the order of the loader's checks
    effects: Effects = Effects()

    @property
    def loads(self) -> bool | None:
        """Whether the module loads; None: not known."""
        if any(obstacle.certain for obstacle in self.obstacles):
            return False
        return None if self.obstacles else True

    @property
    def first(self) -> Obstacle | None:
        """The obstacle whose errno the load would end with; None when none is certain."""
        return next((obstacle for obstacle in self.obstacles if obstacle.certain), None)

    @property
    def errno(self) -> str | None:
        """Name of the errno that the load would end with; None when no obstacle is certain."""
        return None if self.first is None else self.first.errno

    @property
    def log(self) -> tuple[str, ...]:
        """The lines that the kernel would log for it; () when it logs nothing, as for a missing capability."""
        return () if self.first is None else self.first.log

    @property
    def message(self) -> str | None:
        """The message of insmod and modprobe; None when no obstacle is certain."""
        if self.first is not None and self.first.kind is ObstacleKind.FILE:
            return _FILE_WORDS.get(self.first.errno, self.first.errno)  # by the tool itself
        return None if self.errno is None else _TOOL_WORDS.get(self.errno, self.errno)

    def to_json(self) -> JsonObject:
        """Give the public JSON; `loads` is null when it is not known."""
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
