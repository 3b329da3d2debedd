"""Checkpoints: parts of the state that are written to the history as JSON, and read back after a restart.

A checkpoint is written in one transaction with the events of the same step, so that after SIGKILL the history has both
or neither.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from kmodmon.events.budget import budget_from_json, budget_to_json
from kmodmon.events.counters import counts_from_json, counts_to_json
from kmodmon.events.timestamps import timestamps_from_json, timestamps_joined, timestamps_to_json
from kmodmon.lifecycle.checkpoint import (
    builds_from_json,
    builds_to_json,
    inventory_from_json,
    inventory_joined,
    inventory_to_json,
    lifecycle_from_json,
    lifecycle_to_json,
)
from kmodmon.state.state import State
from kmodmon.subjects.baseline import baseline_from_json, baseline_to_json
from kmodmon.subjects.files_json import files_from_json, files_to_json
from kmodmon.subjects.findings import findings_from_json, findings_to_json
from kmodmon.subjects.hidden import hidden_from_json, hidden_to_json
from kmodmon.subjects.log import account_from_json, account_to_json
from kmodmon.subjects.posture import facts_from_json
from kmodmon.subjects.reported import reported_from_json, reported_joined, reported_to_json
from kmodmon.subjects.source import source_summaries, sources_to_json
from kmodmon.subjects.taint import taint_from_json, taint_joined, taint_to_json
from kmodmon.types.units import JsonObject


def _unchanged(state: State, earlier: JsonObject) -> State:
    """Ignore the earlier run: this run has read the part itself."""
    return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One part of the state, and the functions that write and read it."""

    section: str  # its name in the history
    part: Callable[[State], object]  # the part is written when this value differs from the one written last
    save: Callable[[State], JsonObject]
    load: Callable[[State, JsonObject], State]  # at the start
    lasting: bool = False  # it is also read in the next boot
    # merges the earlier run's part into the state of a run that started before the history could be read
    join: Callable[[State, JsonObject], State] = _unchanged


CHECKPOINTS: tuple[Checkpoint, ...] = (
    Checkpoint(
        section="inventory",
        part=lambda state: state.inventory.loaded,
        save=lambda state: inventory_to_json(state.inventory),
        load=lambda state, saved: replace(state, inventory=inventory_from_json(saved)),
        join=lambda state, saved: replace(state, inventory=inventory_joined(state.inventory, saved)),
    ),
    Checkpoint(
        section="lifecycle",
        part=lambda state: (state.lifecycle.trace_usec, state.lifecycle.hiding),
        save=lambda state: lifecycle_to_json(state.lifecycle),
        load=lambda state, saved: replace(state, lifecycle=lifecycle_from_json(state.lifecycle, saved)),
    ),
    Checkpoint(
        section="hidden",
        part=lambda state: state.hidden.findings,
        save=lambda state: hidden_to_json(state.hidden),
        load=lambda state, saved: replace(state, hidden=hidden_from_json(saved)),
    ),
    Checkpoint(
        section="builds",
        part=lambda state: state.lifecycle.builds,
        save=lambda state: builds_to_json(state.lifecycle.builds),
        load=lambda state, saved: replace(state, lifecycle=replace(state.lifecycle, builds=builds_from_json(saved))),
    ),
    Checkpoint(
        section="taint",
        part=lambda state: (state.taint.value, state.taint.ledger),
        save=lambda state: taint_to_json(state.taint),
        load=lambda state, saved: replace(state, taint=taint_from_json(saved)),
        join=lambda state, saved: replace(state, taint=taint_joined(state.taint, saved)),
    ),
    Checkpoint(
        section="posture",
        part=lambda state: state.posture.facts,
        save=lambda state: dict(state.posture.facts),
        load=lambda state, saved: replace(state, posture=replace(state.posture, facts=facts_from_json(saved))),
    ),
    Checkpoint(
        section="files",
        part=lambda state: state.files,
        save=lambda state: files_to_json(state.files),
        load=lambda state, saved: replace(state, files=files_from_json(saved)),
    ),
    Checkpoint(
        section="findings",
        part=lambda state: state.findings.current,
        save=lambda state: findings_to_json(state.findings),
        load=lambda state, saved: replace(state, findings=findings_from_json(saved)),
    ),
    Checkpoint(
        section="baseline",
        part=lambda state: state.baseline.drift,
        save=lambda state: baseline_to_json(state.baseline),
        load=lambda state, saved: replace(state, baseline=baseline_from_json(saved)),
    ),
    Checkpoint(
        section="log",
        part=lambda state: state.log,
        save=lambda state: account_to_json(state.log),
        load=lambda state, saved: replace(state, log=account_from_json(saved)),
    ),
    Checkpoint(
        section="reports",
        part=lambda state: state.reported,
        save=lambda state: reported_to_json(state.reported),
        load=lambda state, saved: replace(state, reported=reported_from_json(saved)),
        join=lambda state, saved: replace(state, reported=reported_joined(state.reported, saved)),
        lasting=True,
    ),
    Checkpoint(
        section="sources",
        part=lambda state: source_summaries(state.sources),
        save=lambda state: sources_to_json(state.sources),
        load=lambda state, saved: state,  # the daemon reads its sources again; commands use `sources_from_json`
    ),
    Checkpoint(
        section="budget",
        part=lambda state: state.budget,
        save=lambda state: budget_to_json(state.budget),
        load=lambda state, saved: replace(state, budget=budget_from_json(saved)),
    ),
    Checkpoint(
        section="counts",
        part=lambda state: state.counts,
        save=lambda state: counts_to_json(state.counts),
        load=lambda state, saved: replace(state, counts=counts_from_json(saved)),
    ),
    Checkpoint(
        section="stamps",
        part=lambda state: state.stamps,
        save=lambda state: timestamps_to_json(state.stamps),
        load=lambda state, saved: replace(state, stamps=timestamps_from_json(saved)),
        join=lambda state, saved: replace(state, stamps=timestamps_joined(state.stamps, saved)),
    ),
)

LASTING: tuple[str, ...] = tuple(checkpoint.section for checkpoint in CHECKPOINTS if checkpoint.lasting)
