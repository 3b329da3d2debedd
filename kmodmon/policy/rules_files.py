"""Folds readings of the policy file and the baseline file: a valid file comes into force, any other is refused."""

from dataclasses import replace

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.daemon import RulesRefused
from kmodmon.policy.baseline_document import parse_baseline
from kmodmon.policy.document import parse_policy
from kmodmon.policy.shipped import POLICY
from kmodmon.subjects.baseline import BaselineState
from kmodmon.subjects.rules import FileRefusal, PolicyState, RulesFileRead
from kmodmon.types.error import ConfigError
from kmodmon.types.units import Instant


def policy_file_read(before: PolicyState, read: RulesFileRead, at: Instant) -> tuple[PolicyState, tuple[Event, ...]]:
    """Fold a policy file; without a file the shipped policy is in force. The same object: nothing changed."""
    try:
        policy = POLICY if read.raw is None else parse_policy(read.raw, read.path)
    except ConfigError as error:
        refusal = _refusal(error)
        after = PolicyState(policy=before.policy or POLICY, loaded=before.loaded or at, refusal=refusal)
        return after, _refused("policy", refusal, at) if refusal != before.refusal else ()
    if policy == before.policy and before.refusal is None:
        return before, ()
    return PolicyState(policy=policy, loaded=at), ()


def baseline_file_read(
    before: BaselineState, read: RulesFileRead, at: Instant
) -> tuple[BaselineState, tuple[Event, ...]]:
    """Fold a baseline file; without a file there is no baseline. The same object: nothing changed."""
    try:
        baseline = None if read.raw is None else parse_baseline(read.raw, read.path).for_host(read.host)
    except ConfigError as error:
        refusal = _refusal(error)
        after = replace(before, path=read.path, refusal=refusal)
        return after, _refused("baseline", refusal, at) if refusal != before.refusal else ()
    if (baseline, read.path) == (before.baseline, before.path) and before.refusal is None:
        return before, ()
    return replace(before, baseline=baseline, path=read.path, loaded=at, refusal=None), ()


def policy_unreadable(before: PolicyState, why: str) -> PolicyState:
    """Fold a policy file that cannot be read: the policy in force stays; at the start it is the shipped one."""
    after = replace(before, policy=before.policy or POLICY, refusal=FileRefusal(path="", why=why))
    return before if after == before else after


def baseline_unreadable(before: BaselineState, why: str) -> BaselineState:
    """Fold a baseline file that cannot be read: the baseline in force stays."""
    after = replace(before, refusal=FileRefusal(path=before.path, why=why))
    return before if after == before else after


def _refusal(error: ConfigError) -> FileRefusal:
    return FileRefusal(path=error.file, why=str(error), key=error.key, line=error.line, hint=error.hint)


def _refused(what: str, refusal: FileRefusal, at: Instant) -> tuple[Event, ...]:
    details = RulesRefused(what=what, file=refusal.path, key=refusal.key, line=refusal.line, hint=refusal.hint)
    return (Event(details=details, at=at, severity=Severity.ERROR, evidence=(refusal.why,)),)
