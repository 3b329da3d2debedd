"""The kernel's taint: flags in ascending order, with ledger and carriers."""

from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.cause import Cause
from kmodmon.kernel.taint import FLAGS, Tier
from kmodmon.subjects.taint import TaintEntry
from kmodmon.types.units import JsonValue
from kmodmon.view.taint import carriers, flag_view, flags_view, taint_view
from tests.view.recorded import ACTOR, ACTOR_JSON, NO_MODULES, at, in_order, recorded

KEYS = [
    "bit", "letter", "flag", "name", "tier", "cause_of_flag", "why", "advice", "since", "cause", "module", "actor",
    "evidence", "modules",
]  # fmt: skip


def test_taint_when_a_tree_is_read_then_its_flags_come_in_ascending_order() -> None:
    shown = taint_view(recorded())
    assert list(shown) == ["value", "letters", "flags"]
    assert (shown["value"], shown["letters"]) == (308225, "PCOEKN")
    flags = flags_view(308225, recorded().taint, recorded().inventory)
    assert in_order(shown["flags"]) == in_order(flags)
    assert [flag["bit"] for flag in flags] == [0, 10, 12, 13, 15, 18]
    assert all(list(flag) == KEYS for flag in flags)
    carried: dict[str, JsonValue] = {str(flag["letter"]): flag["modules"] for flag in flags}
    assert (carried["P"], carried["C"]) == (["prop_mod"], ["flags_mod"])
    assert carried["O"] == [
        "flags_mod", "params_mod", "permanent_mod", "stack_b", "stack_a", "prop_mod", "hello_unsigned",
    ]  # fmt: skip
    assert {flag["cause"] for flag in flags} == {"before-start"} and {flag["since"] for flag in flags} == {None}


def test_taint_when_it_could_not_be_read_then_is_null_and_has_no_flag() -> None:
    unread = replace(recorded(), taint=replace(recorded().taint, value=None))
    assert in_order(taint_view(unread)) == [("value", None), ("letters", None), ("flags", [])]


def test_taint_when_nothing_is_set_then_the_number_is_zero_and_not_null() -> None:
    assert in_order(taint_view(recorded(NO_MODULES))) == [("value", 0), ("letters", ""), ("flags", [])]


def test_flags_when_the_ledger_knows_the_cause_then_each_key_has_its_own_value() -> None:
    entry = TaintEntry(
        bit=0, since=at(1_700_000_000_000_123), cause=Cause.of_module("prop_mod"), module="prop_mod", actor=ACTOR,
        evidence=("/proc/modules: prop_mod (POE)",),
    )  # fmt: skip
    taint = replace(recorded().taint, ledger=MappingProxyType({0: entry}))
    (flag,) = flags_view(1, taint, recorded().inventory)
    assert in_order(flag) == in_order({
        **flag_view(FLAGS[0]), "since": 1_700_000_000_000_123, "cause": "module:prop_mod", "module": "prop_mod",
        "actor": ACTOR_JSON, "evidence": ["/proc/modules: prop_mod (POE)"], "modules": ["prop_mod"],
    })  # fmt: skip


def test_flags_when_a_bit_waits_for_its_cause_then_the_ledger_is_null() -> None:
    taint = replace(recorded().taint, ledger=MappingProxyType({}))
    (flag,) = flags_view(1 << 12, taint, recorded().inventory)
    assert list(flag) == KEYS
    assert [flag[key] for key in ("since", "cause", "module", "actor", "evidence")] == [None] * 5
    assert len(carriers(recorded().inventory, FLAGS[12])) == 7


def test_flags_when_a_number_is_explained_without_a_host_then_ledger_and_carriers_are_null() -> None:
    shown = flags_view(4097, None, None)
    assert [flag["flag"] for flag in shown] == ["proprietary_module", "out_of_tree_module"]
    assert all(flag[key] is None for flag in shown for key in KEYS[8:])
    assert all(list(flag) == KEYS for flag in shown)


def test_flag_when_shown_then_each_key_has_its_own_value() -> None:
    flag = replace(FLAGS[13], cause="what sets it", why="why that tier", advice="what to do", tier=Tier.SECURITY)
    assert in_order(flag_view(flag)) == in_order({
        "bit": 13, "letter": "E", "flag": "unsigned_module", "name": "UNSIGNED_MODULE", "tier": "security",
        "cause_of_flag": "what sets it", "why": "why that tier", "advice": "what to do",
    })  # fmt: skip


def test_carriers_when_the_letter_is_a_question_mark_then_nobody_is_accused() -> None:
    # `?` stands for a bit without a letter of its own: several bits share it, so that it names no carrier.
    module = replace(recorded().inventory.modules["bridge"], taint="?")
    inventory = replace(recorded().inventory, modules=MappingProxyType({"bridge": module}))
    assert carriers(inventory, replace(FLAGS[0], letter="?")) == ()
