"""The baseline: the modules, parameters, posture and taint that an operator signed off, and how the host differs.

One document may serve a fleet: it has a common part, and `[[host]]` parts for hosts whose name matches a glob.
`kmodmon.policy.baseline_document` reads the document and merges the parts that apply to this host into one `Baseline`.
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
    """Kinds of difference; the values are public (`kmodmon_baseline_drift{kind}`)."""

    UNEXPECTED = "unexpected_module"  # loaded, and not in the baseline
    MISSING = "missing_module"  # in the baseline, not optional, and neither loaded nor built in
    CHANGED = "changed_module"  # another build, signer or origin
    KERNEL = "kernel"  # another release
    POSTURE = "posture"  # another value of a setting
    PARAMETER = "parameter"  # another value of a module parameter
    TAINT = "taint"  # a taint flag that the baseline does not have


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedModule:
    """A module as it was signed off; None: not compared."""

    srcversion: str | None = None  # compared only on the kernel release that the baseline names
    build_id: str | None = None  # hex of .note.gnu.build-id, for a module without srcversion; compared like it
    signer: str | None = None  # name in the signature of the module file
    origin: str | None = None  # value of `kmodmon.subjects.files.Origin`
    optional: bool = False  # the module need not be loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Who signed the baseline off, when and why; empty text: not given."""

    reason: str = ""
    author: str = ""
    date: str = ""  # ISO 8601
    host: str = ""  # name of the host that it was learnt from
    kmodmon: str = ""  # version that wrote the document


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The expected state of this host."""

    meta: Meta = Meta()
    kernel: str | None = None  # glob for the kernel release; None: not compared
    modules: Mapping[str, SignedModule] = field(default_factory=lambda: MappingProxyType({}))
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # module.parameter -> value
    posture: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # setting -> value as text
    taint: str | None = None  # letters of the flags that may be set; None: not compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference between the host and its baseline."""

    kind: DriftKind
    name: str  # of the module, setting, parameter (module.parameter) or taint flag
    expected: str | None = None  # None: the baseline does not have it
    actual: str | None = None  # None: the host does not have it
    module: str | None = None  # None: the difference is about no single module

    @property
    def id(self) -> str:
        """Kind and name; `expected` and `actual` may change while the id stays."""
        return f"{self.kind.value}/{self.name}"

    @property
    def sentence(self) -> str:
        """One line for people, without a final stop."""
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
    """The baseline in force and the present differences."""

    baseline: Baseline | None = None  # None: there is none
    path: str = ""  # of the file that was read last; empty: none was read
    loaded: Instant | None = None  # when the baseline in force was read; None: no file was read
    refusal: FileRefusal | None = None  # why the file that is there now is not in force; None: it is
    drift: tuple[Drift, ...] = ()  # sorted by id
    judged: bool = False  # there is a baseline, and `drift` is the result of comparing the host with it
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
