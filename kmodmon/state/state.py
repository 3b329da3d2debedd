"""Everything kmodmon knows at one moment: one frozen value. Readers take it whole; only `pipeline.step` makes the next.

Each part is replaced only when it changed, so `is` tells a reader whether it must look again (the metrics do).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.events.counters import NO_COUNTS, Counts
from kmodmon.events.timestamps import NO_TIMESTAMPS, Timestamps
from kmodmon.lifecycle.inventory import EMPTY_INVENTORY, Inventory
from kmodmon.lifecycle.pending import NO_LIFECYCLE, Lifecycle
from kmodmon.subjects.baseline import NO_BASELINE, BaselineState
from kmodmon.subjects.files import UNREAD_FILES, FilesState
from kmodmon.subjects.findings import NO_FINDINGS, Findings
from kmodmon.subjects.hidden import NOTHING_HIDDEN, HiddenState
from kmodmon.subjects.kernel import Kernel
from kmodmon.subjects.log import NO_LOG, LogAccount, LogMemory
from kmodmon.subjects.modprobe import UNREAD_MODPROBE, ModprobeConfig
from kmodmon.subjects.parameters import UNREAD_PARAMETERS, ParameterTable
from kmodmon.subjects.posture import UNREAD_POSTURE, Posture
from kmodmon.subjects.reported import ReportedFingerprint
from kmodmon.subjects.rules import NO_POLICY, PolicyState
from kmodmon.subjects.self_stats import NO_SELF_STATS, SelfStats
from kmodmon.subjects.source import SourceState
from kmodmon.subjects.taint import UNREAD_TAINT, TaintState
from kmodmon.types.units import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of the host and of our own looking."""

    boot_id: str
    started: Instant
    resumed: bool = False  # an earlier run of this boot left its facts behind
    sources: Mapping[str, SourceState] = field(default_factory=lambda: MappingProxyType({}))
    inventory: Inventory = EMPTY_INVENTORY
    lifecycle: Lifecycle = NO_LIFECYCLE
    hidden: HiddenState = NOTHING_HIDDEN
    taint: TaintState = UNREAD_TAINT
    kernel: Kernel | None = None
    posture: Posture = UNREAD_POSTURE
    parameters: ParameterTable = UNREAD_PARAMETERS
    files: FilesState = UNREAD_FILES
    modprobe: ModprobeConfig = UNREAD_MODPROBE
    policy: PolicyState = NO_POLICY
    baseline: BaselineState = NO_BASELINE
    findings: Findings = NO_FINDINGS
    log: LogAccount = NO_LOG
    hearing: LogMemory | None = None
    told: tuple[ReportedFingerprint, ...] = ()  # reports, lately, of this boot and earlier ones
    own: SelfStats = NO_SELF_STATS
    counts: Counts = field(default_factory=lambda: NO_COUNTS)
    stamps: Timestamps = NO_TIMESTAMPS

    @property
    def waits(self) -> bool:
        """Whether something here waits for time to pass, so that ticks must come every second."""
        return bool(self.taint.pending) or self.lifecycle.waits or (self.hearing is not None and self.hearing.waits)
