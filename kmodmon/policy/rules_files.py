"""The files of rules, policy and baseline: taken over when they are right, refused as a whole when they are not."""

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
    """Take over a policy file; without one the shipped policy alone is in force. The same object: nothing changed."""
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
    """Take over a baseline file; without a file there is no baseline. The same object: nothing changed."""
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
    """A policy file that is there and cannot be read: what was in force stays; at the start, the shipped policy."""
    after = replace(before, policy=before.policy or POLICY, refusal=FileRefusal(path="", why=why))
    return before if after == before else after


def baseline_unreadable(before: BaselineState, why: str) -> BaselineState:
    """A baseline file that is there and cannot be read: what was in force stays."""
    after = replace(before, refusal=FileRefusal(path=before.path, why=why))
    return before if after == before else after


def _refusal(error: ConfigError) -> FileRefusal:
    return FileRefusal(path=error.file, why=str(error), key=error.key, line=error.line, hint=error.hint)


def _refused(what: str, refusal: FileRefusal, at: Instant) -> tuple[Event, ...]:
    details = RulesRefused(what=what, file=refusal.path, key=refusal.key, line=refusal.line, hint=refusal.hint)
    return (Event(details=details, at=at, severity=Severity.ERROR, evidence=(refusal.why,)),)
