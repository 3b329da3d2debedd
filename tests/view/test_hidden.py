"""Hidden modules: the surest first, each with the views that deny and show it, and with its load."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from kmodmon.lifecycle.inventory import Loaded
from kmodmon.state.state import State
from kmodmon.subjects.hidden import Confidence, HiddenModule, HiddenState
from kmodmon.view.hidden import hidden_view
from tests.view.recorded import ACTOR, ACTOR_JSON, at, in_order, recorded, with_load


def finding(name: str, confidence: Confidence) -> HiddenModule:
    return HiddenModule(
        module=name,
        since=at(1_700_000_000_000_777),
        missing_from=("list", "sysfs"),
        seen_in=("ftrace",),
        confidence=confidence,
        evidence=(f"available_filter_functions lists functions of {name}",),
    )


def with_hidden(findings: Sequence[HiddenModule]) -> State:
    hidden = HiddenState(findings=MappingProxyType({finding.module: finding for finding in findings}))
    return replace(recorded(), hidden=hidden)


def test_hidden_when_nothing_is_hidden_then_there_is_no_entry() -> None:
    assert hidden_view(recorded()) == []


def test_hidden_when_shown_then_each_key_has_its_own_value() -> None:
    state = with_load(
        with_hidden([finding("rootkit", Confidence.LIKELY)]),
        "rootkit",
        Loaded(before_start=False, at=at(1_700_000_000_000_123), actor=ACTOR),
    )
    assert in_order(hidden_view(state)) == in_order([{
        "name": "rootkit", "missing_from": ["list", "sysfs"], "seen_in": ["ftrace"], "confidence": "likely",
        "since": 1_700_000_000_000_777, "evidence": ["available_filter_functions lists functions of rootkit"],
        "loaded": "seen", "boot": False, "loaded_at": 1_700_000_000_000_123, "actor": ACTOR_JSON,
    }])  # fmt: skip


def test_hidden_when_several_hide_then_the_surest_comes_first_and_an_unknown_load_is_null() -> None:
    shown = hidden_view(
        with_hidden(
            [
                finding("possible", Confidence.POSSIBLE),
                finding("certain", Confidence.CERTAIN),
                finding("likely", Confidence.LIKELY),
                finding("another", Confidence.CERTAIN),
            ]
        )
    )
    assert [module["name"] for module in shown] == ["certain", "another", "likely", "possible"]
    assert all(module[key] is None for module in shown for key in ("loaded", "boot", "loaded_at", "actor"))
