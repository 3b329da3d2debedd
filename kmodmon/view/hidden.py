"""Hidden modules: which interfaces of the kernel omit each, which show it, and how certain that is."""

from collections.abc import Sequence

from kmodmon.lifecycle.inventory import Inventory
from kmodmon.state.state import State
from kmodmon.subjects.hidden import Confidence, HiddenModule
from kmodmon.types.units import JsonObject
from kmodmon.view.modules import loaded_view


def hidden_view(state: State) -> Sequence[JsonObject]:
    """Every module that is loaded and missing from an interface that should list it, the most certain first."""
    order = tuple(Confidence)
    findings = sorted(state.hidden.findings.values(), key=lambda finding: order.index(finding.confidence))
    return [_finding(state.inventory, finding) for finding in findings]


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
