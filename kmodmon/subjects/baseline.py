"""The baseline: the modules, parameters, posture and taint that somebody signed off, and how the host differs.

One document may serve a fleet: its `[[host]]` parts are for hosts whose name matches, and `policy/` makes of both the
one baseline of this host, which is what stands here.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.policy import BaselineDrifted
from kmodmon.subjects.rules import FileRefusal
from kmodmon.types.codec import entries_from_json
from kmodmon.types.units import Instant, JsonObject


class DriftKind(enum.StrEnum):
    """How something differs; the values are public (`kmodmon_baseline_drift{kind}`)."""

    UNEXPECTED = "unexpected_module"
    MISSING = "missing_module"
    CHANGED = "changed_module"
    KERNEL = "kernel"
    POSTURE = "posture"
    PARAMETER = "parameter"
    TAINT = "taint"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedModule:
    """A module as it was signed off; None: that is not held against the host. `optional`: it need not be loaded.

    `build_id` stands for the srcversion of a module that has none.
    """

    srcversion: str | None = None
    build_id: str | None = None
    signer: str | None = None
    origin: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Who signed it off, when and why."""

    reason: str = ""
    author: str = ""
    date: str = ""  # ISO 8601
    host: str = ""
    kmodmon: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What this host should be like. `kernel` is a glob for its release; `taint`: flags that may be set."""

    meta: Meta = Meta()
    kernel: str | None = None
    modules: Mapping[str, SignedModule] = field(default_factory=lambda: MappingProxyType({}))
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # module.parameter -> value
    posture: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    taint: str | None = None  # letters; None: not held against the host


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference. `name`: of the module, setting, parameter or taint letter; None: it is not there."""

    kind: DriftKind
    name: str
    expected: str | None = None
    actual: str | None = None
    module: str | None = None

    @property
    def id(self) -> str:
        """The same for the same difference, whatever it changes to."""
        return f"{self.kind.value}/{self.name}"

    @property
    def sentence(self) -> str:
        """For people."""
        match self.kind:
            case DriftKind.UNEXPECTED:
                return f"module {self.name} is loaded and not in the baseline"
            case DriftKind.MISSING:
                return f"module {self.name} is in the baseline and not loaded"
            case DriftKind.CHANGED:
                return f"module {self.name} is another one: {self.expected} became {self.actual}"
            case DriftKind.KERNEL:
                return f"kernel {self.actual} runs, and {self.expected} was signed off"
            case DriftKind.TAINT:
                return f"the kernel is tainted {self.actual}, which the baseline does not expect"
            case DriftKind.POSTURE | DriftKind.PARAMETER:
                return f"{self.name} is {self.actual}, and {self.expected} was signed off"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineState:
    """The baseline in force and the present differences. `baseline` None: there is none."""

    baseline: Baseline | None = None
    path: str = ""
    loaded: Instant | None = None
    refusal: FileRefusal | None = None
    drift: tuple[Drift, ...] = ()
    judged: bool = False  # `drift` says something: there is a baseline, and the host was looked at
    reported: frozenset[str] = frozenset()  # ids that the run before reported, and that are not present yet


NO_BASELINE = BaselineState()


def baseline_events(before: BaselineState, differences: tuple[Drift, ...], at: Instant) -> tuple[Event, ...]:
    """Give an event for each new difference, and for each whose `expected` or `actual` changed."""
    earlier = {drift.id: drift for drift in before.drift}
    return tuple(
        _drifted(drift, at)
        for drift in differences
        if earlier.get(drift.id) != drift and (drift.id in earlier or drift.id not in before.reported)
    )


def _drifted(drift: Drift, at: Instant) -> Event:
    return Event(
        details=BaselineDrifted(drift=drift.kind.value, name=drift.name, expected=drift.expected, actual=drift.actual),
        at=at,
        severity=Severity.WARNING,
        module=drift.module,
        evidence=(drift.sentence,),
    )


def baseline_to_json(state: BaselineState) -> JsonObject:
    """Write the ids of the reported differences; the differences themselves are computed again after a restart."""
    return {"told": sorted({drift.id for drift in state.drift} | state.reported)}


def baseline_from_json(document: JsonObject) -> BaselineState:
    """Give the differences that the earlier run reported."""
    return BaselineState(reported=frozenset(entries_from_json(str, document.get("told"))))
