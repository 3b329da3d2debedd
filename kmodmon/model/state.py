"""Everything kmodmon knows at one moment: one frozen value. Readers take it whole; only `pipeline.step` makes the next.

Each part is replaced only when it changed, so `is` tells a reader whether it must look again (the metrics do).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmodmon.model.baseline import NO_BASELINE, BaselineState
from kmodmon.model.files import UNREAD_FILES, FilesState
from kmodmon.model.findings import NO_FINDINGS, Findings
from kmodmon.model.hidden import NOTHING_HIDDEN, Hidden
from kmodmon.model.inventory import EMPTY_INVENTORY, Inventory
from kmodmon.model.kernel import Kernel
from kmodmon.model.life import NO_LIFECYCLE, Lifecycle
from kmodmon.model.log import NO_LOG, Hearing, LogAccount
from kmodmon.model.modprobe import UNREAD_MODPROBE, ModprobeConfig
from kmodmon.model.own import NOTHING_OWN, Own
from kmodmon.model.parameters import UNREAD_PARAMETERS, ParameterTable
from kmodmon.model.posture import UNREAD_POSTURE, Posture
from kmodmon.model.recent import NO_STAMPS, Stamps
from kmodmon.model.rules import NO_POLICY, PolicyState
from kmodmon.model.source import SourceState
from kmodmon.model.taint import UNREAD_TAINT, TaintState
from kmodmon.model.tally import NO_COUNTS, Counts
from kmodmon.model.told import ToldReport
from kmodmon.model.units import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of the host and of our own looking."""

    boot_id: str
    started: Instant
    resumed: bool = False  # an earlier run of this boot left its facts behind
    sources: Mapping[str, SourceState] = field(default_factory=lambda: MappingProxyType({}))
    inventory: Inventory = EMPTY_INVENTORY
    lifecycle: Lifecycle = NO_LIFECYCLE
    hidden: Hidden = NOTHING_HIDDEN
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
    hearing: Hearing | None = None
    told: tuple[ToldReport, ...] = ()  # reports, lately, of this boot and earlier ones
    own: Own = NOTHING_OWN
    counts: Counts = field(default_factory=lambda: NO_COUNTS)
    stamps: Stamps = NO_STAMPS

    @property
    def waits(self) -> bool:
        """Whether something here waits for time to pass, so that ticks must come every second."""
        return bool(self.taint.pending) or self.lifecycle.waits or (self.hearing is not None and self.hearing.waits)
