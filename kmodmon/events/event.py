"""What happened: one shape for history, API, `events --json` and the journal (the public contract, section 5)."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.types.codec import INLINE, to_json
from kmodmon.types.units import Instant, JsonObject, JsonValue

EMPTY: Mapping[str, JsonValue] = MappingProxyType({})


class Severity(enum.StrEnum):
    """How bad, in falling order; `critical`: the kernel or its memory can no longer be trusted."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"
    INFO = "info"

    @property
    def priority(self) -> int:
        """The syslog level that journald shows it at."""
        return {"critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6}[self.value]


class EventType(enum.StrEnum):
    """Every type of event; past tense. The table is public: additions only."""

    MODULE_LOADED = "ModuleLoaded"
    MODULE_UNLOADED = "ModuleUnloaded"
    MODULE_TRANSIENT = "ModuleTransient"
    MODULE_LOAD_FAILED = "ModuleLoadFailed"
    MODULE_CHANGED = "ModuleChanged"
    MODULE_HIDDEN = "ModuleHidden"
    MODULE_UNHIDDEN = "ModuleUnhidden"
    MODULE_REQUESTED = "ModuleRequested"
    WITNESS_CONTRADICTED = "WitnessContradicted"
    TAINT_ADDED = "TaintAdded"
    TAINT_CLEARED = "TaintCleared"
    LOCKDOWN_CHANGED = "LockdownChanged"
    LOCKDOWN_DENIED = "LockdownDenied"
    MODULES_DISABLED = "ModulesDisabled"
    SIGNATURE_ENFORCEMENT_CHANGED = "SignatureEnforcementChanged"
    POSTURE_CHANGED = "PostureChanged"
    PARAMETER_CHANGED = "ParameterChanged"
    KERNEL_REPORT = "KernelReport"
    LOG_FORGED = "LogForged"
    LOG_LOST = "LogLost"
    SOURCE_LOST = "SourceLost"
    SOURCE_RECOVERED = "SourceRecovered"
    POLICY_VIOLATED = "PolicyViolated"
    BASELINE_DRIFTED = "BaselineDrifted"
    FILE_CHANGED = "FileChanged"
    CONFIG_REFUSED = "ConfigRefused"
    STARTED = "Started"
    STOPPED = "Stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process as far as it could be read; None: it had exited or may not be read. All texts are safe texts."""

    pid: int
    comm: str | None = None
    exe: str | None = None
    cmdline: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it. `exited`: the process was gone before /proc/PID could be read; then only trace facts remain."""

    process: Process = field(metadata=INLINE)
    uid: int | None = None
    login_uid: int | None = None  # None: no login session (4294967295 in /proc/PID/loginuid), or unreadable
    parents: tuple[Process, ...] = ()
    unit: str | None = None
    cgroup: str | None = None
    container: str | None = None
    requester: "Actor | None" = None  # the process whose request made the kernel run modprobe
    exited: bool = False

    @property
    def name(self) -> str:
        """The short name for labels and one-line listings."""
        return self.process.comm or "exited"

    def to_json(self) -> JsonObject:
        """Give the public JSON; what could not be read is null."""
        return to_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, before the history numbered and chained it."""

    type: EventType
    at: Instant
    severity: Severity = Severity.INFO
    module: str | None = None
    actor: Actor | None = None
    evidence: tuple[str, ...] = ()
    fields: JsonObject = field(default_factory=lambda: EMPTY)

    def to_json(self) -> JsonObject:
        """The event without what only the history can add (id, boot_id, hashes)."""
        return {
            "realtime": self.at.realtime_usec,
            "monotonic": self.at.monotonic_usec,
            "type": self.type.value,
            "severity": self.severity.value,
            "module": self.module,
            "actor": None if self.actor is None else self.actor.to_json(),
            "evidence": list(self.evidence),
            "fields": dict(self.fields),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with its place in the history; `hash` covers everything else here, `prev_hash` the row before."""

    id: int
    boot_id: str
    event: Event
    prev_hash: str
    hash: str

    def to_json(self) -> JsonObject:
        """The one public JSON shape of an event."""
        return {
            "id": self.id,
            "boot_id": self.boot_id,
            **self.event.to_json(),
            "prev_hash": self.prev_hash,
            "hash": self.hash,
        }
