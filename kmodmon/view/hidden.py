"""Hidden modules as `kmodmon modules --hidden --json` gives them: what denies each, what shows it, how sure that is."""

from collections.abc import Sequence

from kmodmon.lifecycle.inventory import Inventory
from kmodmon.state.state import State
from kmodmon.subjects.hidden import Confidence, HiddenModule
from kmodmon.types.units import JsonObject
from kmodmon.view.modules import loaded_view


def hidden_view(state: State) -> Sequence[JsonObject]:
    """Every module that is loaded and that some view of the kernel denies, the surest first."""
    found = sorted(state.hidden.findings.values(), key=lambda one: tuple(Confidence).index(one.confidence))
    return [_finding(state.inventory, one) for one in found]


def _finding(inventory: Inventory, finding: HiddenModule) -> JsonObject:
    return {
        "name": finding.module,
        "missing_from": list(finding.missing_from),
        "seen_in": list(finding.seen_in),
        "confidence": finding.confidence.value,
        "since": finding.since.realtime_usec,
        "evidence": list(finding.evidence),
        **loaded_view(inventory, finding.module),
    }
