"""All rules against all subjects: of each subject, the first rule that matches decides."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from kmodmon.kernel.text import bounded
from kmodmon.model.findings import Finding
from kmodmon.model.rules import Action, Check, Policy, Rule
from kmodmon.policy.match import Answer, Prepared, matches, prepared
from kmodmon.policy.subject import Subject, gone_subject

_LONGEST = 300  # characters of one line of evidence
_MOST_EVIDENCE = 8


def judge(policy: Policy, subjects: Iterable[Subject]) -> tuple[tuple[Finding, ...], frozenset[str]]:
    """What the policy denies, and the modules that were decided (the others wait for facts of their files)."""
    by_check = _by_check(policy)
    findings: list[Finding] = []
    decided: set[str] = set()
    for subject in subjects:
        answer, rule = decision(by_check.get(subject.check, ()), subject)
        if subject.check is Check.MODULE and answer is not Answer.UNDECIDED:
            decided.add(subject.name)
        if rule is not None and rule.action is Action.DENY:
            findings.append(_finding(rule, subject))
    return tuple(findings), frozenset(decided)


def decision(rules: Iterable[Prepared], subject: Subject) -> tuple[Answer, Rule | None]:
    """The rule that decides (None: none matches), or undecided."""
    for ready in rules:
        match matches(ready, subject):
            case Answer.YES:
                return Answer.YES, ready.rule
            case Answer.UNDECIDED:
                return Answer.UNDECIDED, None
            case Answer.NO:
                continue
    return Answer.NO, None


@lru_cache(maxsize=4)
def _by_check(policy: Policy) -> Mapping[Check, tuple[Prepared, ...]]:
    return MappingProxyType(
        {check: tuple(prepared(rule) for rule in policy.rules if rule.check is check) for check in Check}
    )


def _finding(rule: Rule, subject: Subject) -> Finding:
    return Finding(
        rule=rule.name,
        check=subject.check,
        severity=rule.severity,
        subject=subject.name,
        module=subject.module,
        reason=rule.reason,
        evidence=tuple(bounded(line, _LONGEST) for line in subject.evidence[:_MOST_EVIDENCE]),
        advice=rule.advice,
        dry_run=rule.dry_run,
    )


def gone_finding(policy: Policy, name: str, letters: str, verdict: str) -> Finding | None:
    """What the policy says of a module that is gone before its file was examined; None: it is allowed."""
    subject = gone_subject(name, letters, verdict)
    _, rule = decision(_by_check(policy)[Check.MODULE], subject)
    return None if rule is None or rule.action is Action.ALLOW or rule.dry_run else _finding(rule, subject)
