"""Caches of the latest judgement: subjects of modules, compiled rules, decisions. Most are the same the next time.

A cache changes no verdict: an entry is used only while everything that it was computed from is the same. The engine, or
a command, owns the cache and passes it in `PolicySettings`.
"""

from typing import TypeAlias

from kmodmon.policy.match import Answer, matches, prepared
from kmodmon.policy.subject import Subject, SubjectCache
from kmodmon.subjects.rules import Check, Policy, Rule

_MOST_DECIDED = 4096  # subjects

Decision: TypeAlias = tuple[Answer, Rule | None]


class PreparedPolicy:
    """The compiled rules of a policy, and the decisions for the latest subjects."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        rules = [prepared(rule) for rule in policy.rules]
        self._rules = {check: tuple(ready for ready in rules if ready.rule.check is check) for check in Check}
        self._decided: dict[Subject, Decision] = {}

    def decision(self, subject: Subject) -> Decision:
        """Give YES and the rule that matches, NO and None, or UNDECIDED and None."""
        decision = self._decided.get(subject)
        if decision is None:
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            decision = self._decided[subject] = self._first(subject)
        return decision

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


class PolicyCache:
    """The cached subjects of modules, and the compiled policy."""

    def __init__(self) -> None:
        self.subjects = SubjectCache()
        self._prepared: PreparedPolicy | None = None

    def prepared(self, policy: Policy) -> PreparedPolicy:
        """Compile a policy; the same object as before while the policy is equal."""
        if self._prepared is None or self._prepared.policy != policy:
            self._prepared = PreparedPolicy(policy)
        return self._prepared
