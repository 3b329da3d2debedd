"""One rule against one subject: what decides at once, and what waits for the facts of a file."""

import pytest

from kmodmon.policy.cache import PolicyCache
from kmodmon.policy.judge import unloaded_finding
from kmodmon.policy.match import Answer, matches, prepared
from kmodmon.policy.subject import Subject
from kmodmon.subjects.rules import Action, Check, Policy, Rule, RuleMatch


def rule(match: RuleMatch, action: Action = Action.DENY, *, dry_run: bool = False) -> Rule:
    return Rule(name="a-rule", action=action, match=match, dry_run=dry_run)


def subject(*, pending: bool, settled: bool, signature: str = "unsigned") -> Subject:
    return Subject(
        check=Check.MODULE, name="drv", module="drv", signature=signature, origin="kernel",
        pending=pending, settled_signature=settled,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("match", "pending", "settled", "expected"),
    [
        (RuleMatch(signature=("unsigned",)), True, False, Answer.UNDECIDED),
        (RuleMatch(signature=("valid",)), True, False, Answer.UNDECIDED),
        (RuleMatch(signature=("unsigned",)), True, True, Answer.YES),
        (RuleMatch(signature=("valid",)), True, True, Answer.NO),
        (RuleMatch(signature=("unsigned",)), False, False, Answer.YES),
        (RuleMatch(module=("drv",)), True, False, Answer.YES),
        (RuleMatch(module=("drv",)), True, True, Answer.YES),
        (RuleMatch(module=("other",)), True, False, Answer.NO),
        (RuleMatch(origin=("kernel",)), True, True, Answer.UNDECIDED),
        (RuleMatch(origin=("kernel",)), False, True, Answer.YES),
        (RuleMatch(origin=("kernel",), module=("other",)), True, True, Answer.NO),
    ],
)
def test_rule_when_facts_of_the_file_are_to_come_then_only_what_hangs_on_them_is_undecided(
    match: RuleMatch, pending: bool, settled: bool, expected: Answer
) -> None:
    assert matches(prepared(rule(match)), subject(pending=pending, settled=settled)) is expected


@pytest.mark.parametrize(
    ("action", "dry_run", "found"),
    [(Action.DENY, False, True), (Action.DENY, True, False), (Action.ALLOW, False, False)],
)
def test_module_when_it_is_gone_before_it_was_judged_then_only_a_rule_in_force_that_denies_finds_it(
    action: Action, dry_run: bool, found: bool
) -> None:
    policy = Policy(rules=(rule(RuleMatch(module=("drv",)), action, dry_run=dry_run),))
    finding = unloaded_finding(policy, "drv", "OE", "unsigned", PolicyCache())
    assert (finding is not None) is found
    assert unloaded_finding(policy, "other", "OE", "unsigned", PolicyCache()) is None
