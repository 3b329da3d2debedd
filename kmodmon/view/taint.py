"""The kernel's taint: what each flag means, since when it is set, what set it, and which loaded modules carry it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmodmon.kernel.taint import FLAGS, Flag, decode, letters
from kmodmon.types.units import JsonObject

if TYPE_CHECKING:  # `kmodmon taint VALUE` needs the table of flags only, and does not import the state
    from kmodmon.lifecycle.inventory import Inventory
    from kmodmon.state.state import State
    from kmodmon.subjects.taint import TaintEntry, TaintState


def taint_view(state: "State") -> JsonObject:
    """The running kernel's taint; `value` and `letters` are null when it cannot be read."""
    value = state.taint.value
    return {
        "value": value,
        "letters": None if value is None else letters(value, state.taint.flags),
        "flags": flags_view(value or 0, state.taint, state.inventory),
    }


def flags_view(value: int, taint: "TaintState | None", inventory: "Inventory | None") -> Sequence[JsonObject]:
    """Each set flag of `value`. For a number without a host (both None), the ledger's keys and `modules` are null."""
    return [
        {
            **flag_view(flag),
            **_ledger_view(None if taint is None else taint.ledger.get(flag.bit)),
            "modules": None if inventory is None else list(carriers(inventory, flag)),
        }
        for flag in decode(value, FLAGS if taint is None else taint.flags)
    ]


def flag_view(flag: Flag) -> JsonObject:
    """The fixed facts of a flag, from the table of flags."""
    return {
        "bit": flag.bit,
        "letter": flag.letter,
        "flag": flag.label,
        "name": flag.name,
        "tier": flag.tier.value,
        "cause_of_flag": flag.cause,
        "why": flag.why,
        "advice": flag.advice,
    }


def carriers(inventory: "Inventory", flag: Flag) -> tuple[str, ...]:
    """Names of the loaded modules that carry a flag; none for `?`, which stands for any bit without a letter."""
    return tuple(
        module.name for module in inventory.modules.values() if flag.letter in module.taint and flag.letter != "?"
    )


def _ledger_view(entry: "TaintEntry | None") -> JsonObject:
    if entry is None:
        return {"since": None, "cause": None, "module": None, "actor": None, "evidence": None}
    return {
        "since": None if entry.since is None else entry.since.realtime_usec,
        "cause": str(entry.cause),
        "module": entry.module,
        "actor": None if entry.actor is None else entry.actor.to_json(),
        "evidence": list(entry.evidence),
    }
