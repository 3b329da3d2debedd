"""Readings of the policy file and of the baseline file: what is in force after each, and when nothing changed."""

from dataclasses import replace

from kmodmon.events.kinds.daemon import RulesRefused
from kmodmon.policy.document import parse_policy
from kmodmon.policy.rules_files import baseline_file_read, baseline_unreadable, policy_file_read, policy_unreadable
from kmodmon.policy.shipped import POLICY
from kmodmon.subjects.baseline import NO_BASELINE, BaselineState
from kmodmon.subjects.rules import NO_POLICY, FileRefusal, PolicyState, RulesFileRead
from kmodmon.types.units import Instant, Usec

OWN = "[[rule]]\nname = 'mine'\naction = 'deny'\n"
SIGNED_OFF = "[taint]\nexpected = 'O'\n"


def moment(number: int) -> Instant:
    return Instant(realtime_usec=Usec(1_700_000_000_000_000 + number), monotonic_usec=Usec(number))


def policy_file(text: str | None) -> RulesFileRead:
    return RulesFileRead(what="policy", path="/p.toml", raw=None if text is None else text.encode())


def baseline_file(text: str | None, path: str = "/b.toml") -> RulesFileRead:
    return RulesFileRead(what="baseline", path=path, raw=None if text is None else text.encode(), host="web-1")


def test_policy_when_valid_then_in_force_since_it_was_first_read() -> None:
    state, events = policy_file_read(NO_POLICY, policy_file(OWN), moment(1))
    assert events == () and state == PolicyState(policy=parse_policy(OWN.encode(), "/p.toml"), loaded=moment(1))
    again, events = policy_file_read(state, policy_file(OWN), moment(2))
    assert again is state and events == ()
    assert policy_file_read(state, policy_file(None), moment(3)) == (PolicyState(policy=POLICY, loaded=moment(3)), ())


def test_policy_when_refused_then_the_one_before_stays_in_force_with_its_time() -> None:
    state, _ = policy_file_read(NO_POLICY, policy_file(OWN), moment(1))
    refused, (event,) = policy_file_read(state, policy_file("a = 1"), moment(2))
    assert (refused.policy, refused.loaded) == (state.policy, moment(1))
    assert refused.refusal is not None and refused.refusal.key == "a"
    assert event.details == RulesRefused(what="policy", file="/p.toml", key="a", line=1, hint=refused.refusal.hint)
    assert event.evidence == (refused.refusal.why,) and event.at == moment(2)
    assert policy_file_read(refused, policy_file("a = 1"), moment(3)) == (refused, ())
    assert len(policy_file_read(refused, policy_file("b = 1"), moment(3))[1]) == 1
    assert policy_file_read(refused, policy_file(OWN), moment(4)) == (replace(state, loaded=moment(4)), ())
    first, _ = policy_file_read(NO_POLICY, policy_file("a = 1"), moment(5))
    assert (first.policy, first.loaded) == (POLICY, moment(5))


def test_policy_when_unreadable_then_the_one_before_stays_in_force() -> None:
    state, _ = policy_file_read(NO_POLICY, policy_file(OWN), moment(1))
    unreadable = policy_unreadable(state, "no permission")
    assert unreadable.refusal == FileRefusal(path="", why="no permission")
    assert (unreadable.policy, unreadable.loaded) == (state.policy, moment(1))
    assert policy_unreadable(unreadable, "no permission") is unreadable
    assert policy_unreadable(unreadable, "is a directory").refusal == FileRefusal(path="", why="is a directory")
    assert policy_unreadable(NO_POLICY, "no permission").policy is POLICY


def test_baseline_when_read_then_in_force_since_it_was_first_read() -> None:
    state, events = baseline_file_read(NO_BASELINE, baseline_file(SIGNED_OFF), moment(1))
    assert events == () and state.baseline is not None
    assert (state.baseline.taint, state.path, state.loaded) == ("O", "/b.toml", moment(1))
    again, events = baseline_file_read(state, baseline_file(SIGNED_OFF), moment(2))
    assert again is state and events == ()
    moved, _ = baseline_file_read(state, baseline_file(SIGNED_OFF, "/c.toml"), moment(3))
    assert (moved.path, moved.loaded) == ("/c.toml", moment(3))
    assert baseline_file_read(state, baseline_file(None), moment(4)) == (
        BaselineState(path="/b.toml", loaded=moment(4)), (),
    )  # fmt: skip


def test_baseline_when_refused_then_the_one_before_stays_until_the_file_is_valid_again() -> None:
    state, _ = baseline_file_read(NO_BASELINE, baseline_file(SIGNED_OFF), moment(1))
    refused, (event,) = baseline_file_read(state, baseline_file("a = 1"), moment(2))
    assert (refused.baseline, refused.loaded) == (state.baseline, moment(1))
    assert refused.refusal is not None and refused.refusal.key == "a" and event.fields["what"] == "baseline"
    assert baseline_file_read(refused, baseline_file("a = 1"), moment(3)) == (refused, ())
    corrected, events = baseline_file_read(refused, baseline_file(SIGNED_OFF), moment(4))
    assert events == () and corrected.refusal is None and corrected.loaded == moment(4)


def test_baseline_when_unreadable_then_the_one_before_stays_in_force() -> None:
    state, _ = baseline_file_read(NO_BASELINE, baseline_file(SIGNED_OFF), moment(1))
    unreadable = baseline_unreadable(state, "no permission")
    assert unreadable.refusal == FileRefusal(path="/b.toml", why="no permission")
    assert (unreadable.baseline, unreadable.loaded) == (state.baseline, moment(1))
    assert baseline_unreadable(unreadable, "no permission") is unreadable
    assert baseline_unreadable(unreadable, "is a directory").refusal == FileRefusal(
        path="/b.toml", why="is a directory"
    )
