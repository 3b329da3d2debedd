"""When the host is judged, how long an absent module is waited for, and how much of a judgement is kept."""

import sys
from dataclasses import replace
from types import MappingProxyType

import pytest

from kmodmon.events.event import Severity
from kmodmon.pipeline import Rules
from kmodmon.policy.cache import PolicyCache, PreparedPolicy
from kmodmon.policy.evaluate import PolicySettings, evaluate
from kmodmon.policy.judge import judge
from kmodmon.policy.match import Answer, matches, prepared
from kmodmon.policy.subject import Subject
from kmodmon.state.observation import Tick
from kmodmon.subjects.rules import Action, Check, Policy, Rule, RuleMatch
from tests.fake_clock import FakeClock
from tests.policy.scene import Host, file, fresh_run, violated
from tests.states import Story, field, module, types

MISSING = {"missing-module/missing-module/late"}
EVERY = RuleMatch()
BASELINE = "[modules]\next4 = {}\n"


def tick_at(host: Host, usec: int) -> None:
    """A tick at this time of CLOCK_MONOTONIC."""
    later = usec - host.clock.monotonic_usec
    host.clock.monotonic_usec += later
    host.clock.realtime_usec += later
    host.see("clock", Tick())


def test_expected_module_when_absent_then_it_is_missing_after_ten_seconds() -> None:
    host = Host(expected=("late",))
    since = host.state.findings.absent_since["late"].monotonic_usec
    tick_at(host, since + 9_999_999)
    assert host.found == set() and host.state.findings.waits
    tick_at(host, since + 10_000_000)
    assert host.found == MISSING and not host.state.findings.waits


def test_expected_module_when_the_system_boots_then_it_is_missing_after_two_minutes() -> None:
    boot_time = 1_700_000_000 - 10
    host = Host(expected=("late",), boot_time=boot_time)
    to_monotonic = host.clock.monotonic_usec - host.clock.realtime_usec
    tick_at(host, boot_time * 1_000_000 + 119_999_999 + to_monotonic)
    assert host.found == set()
    tick_at(host, boot_time * 1_000_000 + 120_000_000 + to_monotonic)
    assert host.found == MISSING


def test_expected_module_when_a_command_judges_at_once_then_it_is_missing_at_once() -> None:
    host = Host(boot_time=1_700_000_000)
    host.rules = replace(host.rules, policy=PolicySettings(expected=("late",), at_once=True))
    host.load()
    assert host.found == MISSING


def test_expected_modules_when_the_setting_changes_then_the_next_reading_is_judged() -> None:
    host = Host(expected=("early",))
    host.load("early", "other")
    host.examine({name: file(name) for name in host.loaded})
    assert dict(host.state.findings.expected) == {"early": True} and not host.state.findings.waits
    host.rules = Rules(policy=PolicySettings(expected=("other", "late")), event_metrics=host.rules.event_metrics)
    host.see("clock", Tick())
    assert dict(host.state.findings.expected) == {"other": True, "late": False}
    tick_at(host, host.clock.monotonic_usec + 10_000_000)
    assert host.found == MISSING


def test_settings_when_they_expect_the_same_then_they_are_equal_whatever_is_cached() -> None:
    assert PolicySettings(expected=("a",)) == PolicySettings(expected=("a",))
    assert PolicySettings(expected=("a",)) != PolicySettings(expected=("b",))


@pytest.mark.parametrize(
    ("judged", "waits", "ticked", "due"),
    [
        (True, False, False, False),
        (True, False, True, False),
        (True, True, False, False),
        (True, True, True, True),
        (False, False, False, True),
    ],
)
def test_judgement_when_no_part_changed_then_due_if_there_was_none_or_a_tick_comes_and_something_waits(
    judged: bool, waits: bool, ticked: bool, due: bool
) -> None:
    host = Host()
    host.files_absent()
    host.load("bad", taint="OE")
    assert host.found == {"unsigned-module/bad"}
    none_yet = replace(host.state.findings, current=MappingProxyType({}), judged=judged, waits=waits)
    state = replace(host.state, findings=none_yet)
    after, _ = evaluate(state, (), (), host.clock.now(), host.rules.policy, ticked=ticked)
    assert bool(after.findings.current) is due


def test_module_when_it_goes_before_the_policy_was_read_then_it_is_not_judged() -> None:
    story = Story()
    story.modules()
    story.modules(module("flash", taint="OE"))
    story.modules()
    story.see("clock", Tick(), after=5)
    assert "ModuleUnloaded" in types(story.events) and violated(story.events) == []


def restarted_after_drift() -> Host:
    """The earlier run told that `evil` is not in the baseline; this one begins without `evil`."""
    before = Host()
    before.load("ext4")
    before.read_baseline(BASELINE)
    before.load("evil")
    host = Host(state=replace(fresh_run(before), started=FakeClock().now()))
    host.load("ext4")
    host.read_baseline(BASELINE)
    assert host.state.baseline.drift == () and host.state.baseline.reported == {"unexpected_module/evil"}
    return host


def drifted(host: Host) -> list[object]:
    return [field(event, "name") for event in host.events if event.type == "BaselineDrifted"]


@pytest.mark.parametrize(("age", "told"), [(300_000_000, ["first"]), (300_000_001, ["first", "evil"])])
def test_drift_when_the_earlier_run_told_it_then_it_is_told_again_only_by_a_run_older_than_five_minutes(
    age: int, told: list[str]
) -> None:
    host = restarted_after_drift()
    due = host.state.started.monotonic_usec + age
    host.load("first", after=(due - host.clock.monotonic_usec) / 1e6)
    assert host.clock.monotonic_usec == due and drifted(host) == ["first"]
    host.load("evil", after=0)
    assert drifted(host) == told
    assert {drift.name for drift in host.state.baseline.drift} == {"first", "evil"}


@pytest.mark.parametrize(("age", "kept"), [(300_000_000, {"unsigned-module/bad"}), (300_000_001, set[str]())])
def test_finding_when_the_earlier_run_told_it_then_a_run_older_than_five_minutes_forgets_it(
    age: int, kept: set[str]
) -> None:
    before = Host()
    before.files_absent()
    before.load("bad", taint="OE")
    assert before.found == {"unsigned-module/bad"}
    host = Host(state=replace(fresh_run(before), started=FakeClock().now()))
    assert host.found == set() and set(host.state.findings.reported) == {"unsigned-module/bad"}
    tick_at(host, host.state.started.monotonic_usec + age)
    assert set(host.state.findings.reported) == kept


def test_baseline_when_a_judgement_finds_no_other_difference_then_its_state_is_the_same_object() -> None:
    host = Host()
    host.load("evil")
    host.read_baseline(BASELINE)
    before, findings = host.state.baseline, host.state.findings
    host.examine({"evil": file("evil")})
    assert host.state.findings is not findings and host.state.baseline is before


def test_baseline_when_it_is_taken_away_then_nothing_differs_until_it_is_back() -> None:
    host = Host()
    host.load("evil")
    host.read_baseline(BASELINE)
    assert [drift.id for drift in host.state.baseline.drift] == ["unexpected_module/evil"]
    host.read_baseline(None)
    without = host.state.baseline
    assert without.drift == () and not without.judged
    host.read_baseline(BASELINE)
    assert host.state.baseline.judged and drifted(host) == ["evil", "evil"]


def rule(match: RuleMatch = EVERY, check: Check = Check.MODULE) -> Rule:
    return Rule(
        name="a-rule", action=Action.DENY, check=check, match=match, severity=Severity.ERROR, reason="why", advice="do"
    )


def test_finding_when_the_evidence_is_long_then_eight_lines_of_300_characters_are_kept() -> None:
    lines = tuple(f"{number:03}" + "x" * 297 for number in range(8))
    subject = Subject(check=Check.MODULE, name="drv", module="drv", evidence=(*lines[:7], lines[7] + "y", "ninth"))
    (finding,), decided = judge(Policy(rules=(rule(),)), (subject,), PolicyCache())
    assert decided == {"drv"} and finding.evidence[:7] == lines[:7]
    assert len(finding.evidence) == 8 and len(finding.evidence[7]) <= 300 and finding.evidence[7] != lines[7] + "y"
    assert (finding.rule, finding.subject, finding.module, finding.check) == ("a-rule", "drv", "drv", Check.MODULE)
    assert (finding.severity, finding.reason, finding.advice) == (Severity.ERROR, "why", "do")


def test_judgement_when_a_subject_is_no_module_then_it_is_not_among_the_decided() -> None:
    policy = Policy(rules=(rule(check=Check.POSTURE), rule(RuleMatch(signer=("x",)))))
    modules = (Subject(check=Check.MODULE, name="waits", pending=True), Subject(check=Check.MODULE, name="known"))
    findings, decided = judge(policy, (*modules, Subject(check=Check.POSTURE, name="lockdown")), PolicyCache())
    assert [finding.subject for finding in findings] == ["lockdown"] and decided == {"known"}


@pytest.mark.parametrize("match", [RuleMatch(signer=("*",)), RuleMatch(tier=("security",)), RuleMatch(package=("",))])
def test_condition_when_the_subject_has_no_such_fact_then_it_does_not_hold(match: RuleMatch) -> None:
    assert matches(prepared(rule(match)), Subject(check=Check.MODULE, name="drv")) is Answer.NO


@pytest.mark.parametrize(
    ("taint", "expected"), [("", Answer.NO), ("O", Answer.YES), ("E", Answer.YES), ("EP", Answer.NO), ("P", Answer.NO)]
)
def test_letters_when_a_rule_names_them_then_one_of_the_first_and_none_of_the_second(
    taint: str, expected: Answer
) -> None:
    ready = prepared(rule(RuleMatch(taint=("O", "E"), without_taint=("P", "F"))))
    assert matches(ready, Subject(check=Check.MODULE, name="drv", taint=taint)) is expected


def test_decisions_when_subjects_are_more_than_are_kept_then_all_are_forgotten() -> None:
    policy, first = PreparedPolicy(Policy(rules=(rule(),))), Subject(check=Check.MODULE, name="first")
    alone = sys.getrefcount(first)
    policy.decision(first)
    for number in range(4095):
        policy.decision(Subject(check=Check.MODULE, name=f"m{number}"))
    policy.decision(first)
    assert sys.getrefcount(first) > alone
    assert policy.decision(Subject(check=Check.MODULE, name="one too many")) == (Answer.YES, rule())
    assert sys.getrefcount(first) == alone


def test_rules_when_the_policy_is_equal_then_they_are_compiled_once() -> None:
    cache = PolicyCache()
    first = cache.prepared(Policy(rules=(rule(),)))
    assert cache.prepared(Policy(rules=(rule(),))) is first
    other = cache.prepared(Policy(rules=(rule(RuleMatch(module=("x",))),)))
    assert other is not first and other.decision(Subject(check=Check.MODULE, name="m")) == (Answer.NO, None)
