"""All rules against all subjects: of each subject, the first rule that matches decides."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from kmodmon.policy.match import Answer, matches, prepared
from kmodmon.policy.subject import Subject, gone_subject
from kmodmon.subjects.findings import Finding
from kmodmon.subjects.rules import Action, Check, Policy, Rule
from kmodmon.types.text import bounded

_LONGEST = 300  # characters of one line of evidence
_MOST_EVIDENCE = 8
_MOST_DECIDED = 4096  # subjects


Decision: TypeAlias = tuple[Answer, Rule | None]


def judge(policy: Policy, subjects: Iterable[Subject]) -> tuple[tuple[Finding, ...], frozenset[str]]:
    """What the policy denies, and the modules that were decided (the others wait for facts of their files)."""
    ready = _ready(policy)
    findings: list[Finding] = []
    decided: set[str] = set()
    for subject in subjects:
        answer, rule = ready.decision(subject)
        if subject.check is Check.MODULE and answer is not Answer.UNDECIDED:
            decided.add(subject.name)
        if rule is not None and rule.action is Action.DENY:
            findings.append(_finding(rule, subject))
    return tuple(findings), frozenset(decided)


class _Ready:
    """A policy made ready; it remembers what it decided, because most subjects are what they were the last time."""

    def __init__(self, policy: Policy) -> None:
        rules = [prepared(rule) for rule in policy.rules]
        self._rules = {check: tuple(one for one in rules if one.rule.check is check) for check in Check}
        self._decided: dict[Subject, Decision] = {}

    def decision(self, subject: Subject) -> Decision:
        """The rule that decides (None: none matches), or undecided."""
        found = self._decided.get(subject)
        if found is None:
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            found = self._decided[subject] = self._first(subject)
        return found

    def _first(self, subject: Subject) -> Decision:
        for ready in self._rules[subject.check]:
            match matches(ready, subject):
                case Answer.YES:
                    return Answer.YES, ready.rule
                case Answer.UNDECIDED:
                    return Answer.UNDECIDED, None
                case Answer.NO:
                    continue
        return Answer.NO, None


@lru_cache(maxsize=2)
def _ready(policy: Policy) -> _Ready:
    return _Ready(policy)


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
    _, rule = _ready(policy).decision(subject)
    return None if rule is None or rule.action is Action.ALLOW or rule.dry_run else _finding(rule, subject)
