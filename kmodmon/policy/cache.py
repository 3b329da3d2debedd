"""What judgement computed last, kept by whoever runs the pipeline: most subjects are what they were the last time.

Nothing here changes a verdict: each entry is used only while all that it was computed from is the same.
"""

from typing import TypeAlias

from kmodmon.policy.match import Answer, matches, prepared
from kmodmon.policy.subject import Subject, SubjectCache
from kmodmon.subjects.rules import Check, Policy, Rule

_MOST_DECIDED = 4096  # subjects

Decision: TypeAlias = tuple[Answer, Rule | None]


class PreparedPolicy:
    """The rules of a policy, made ready to be applied, and what was decided by them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        rules = [prepared(rule) for rule in policy.rules]
        self._rules = {check: tuple(ready for ready in rules if ready.rule.check is check) for check in Check}
        self._decided: dict[Subject, Decision] = {}

    def decision(self, subject: Subject) -> Decision:
        """The rule that decides (None: none matches), or undecided."""
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
    """The subjects of the modules, and the policy made ready."""

    def __init__(self) -> None:
        self.subjects = SubjectCache()
        self._prepared: PreparedPolicy | None = None

    def prepared(self, policy: Policy) -> PreparedPolicy:
        """The policy made ready; the same object as long as the policy is the same."""
        if self._prepared is None or self._prepared.policy != policy:
            self._prepared = PreparedPolicy(policy)
        return self._prepared
