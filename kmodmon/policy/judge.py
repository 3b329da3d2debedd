"""Applies the rules of a policy to subjects; the first rule that matches a subject decides."""

from collections.abc import Iterable

from kmodmon.policy.cache import PolicyCache
from kmodmon.policy.match import Answer
from kmodmon.policy.subject import Subject, unloaded_subject
from kmodmon.subjects.findings import Finding
from kmodmon.subjects.rules import Action, Check, Policy, Rule
from kmodmon.types.text import bounded

_LONGEST = 300  # characters of one line of evidence
_MOST_EVIDENCE = 8


def judge(
    policy: Policy, subjects: Iterable[Subject], cache: PolicyCache
) -> tuple[tuple[Finding, ...], frozenset[str]]:
    """Give the findings, and the modules that were decided; the other modules wait for the facts of their files."""
    rules = cache.prepared(policy)
    findings: list[Finding] = []
    decided: set[str] = set()
    for subject in subjects:
        answer, rule = rules.decision(subject)
        if subject.check is Check.MODULE and answer is not Answer.UNDECIDED:
            decided.add(subject.name)
        if rule is not None and rule.action is Action.DENY:
            findings.append(_finding(rule, subject))
    return tuple(findings), frozenset(decided)


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


def unloaded_finding(policy: Policy, name: str, letters: str, verdict: str, cache: PolicyCache) -> Finding | None:
    """Judge a module that was unloaded before its file was examined; None: it is allowed, or denied in dry run."""
    subject = unloaded_subject(name, letters, verdict)
    _, rule = cache.prepared(policy).decision(subject)
    return None if rule is None or rule.action is Action.ALLOW or rule.dry_run else _finding(rule, subject)
