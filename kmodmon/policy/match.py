"""Applies one rule to one subject: the rule matches, does not match, or is undecided.

A condition about a file that is still being examined is undecided. A rule with such a condition is undecided unless
another of its conditions fails, and an undecided rule leaves the subject undecided, because the first rule that matches
decides. So no finding appears that the result of the examination removes a second later.
"""

import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import translate

from kmodmon.policy.condition import CONDITIONS, Condition
from kmodmon.policy.subject import Subject
from kmodmon.subjects.rules import Rule


class Answer(Enum):
    """Whether a rule matches."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A rule prepared for many subjects: its non-empty conditions, each with its words or one regular expression."""

    rule: Rule
    conditions: tuple[tuple[Condition, frozenset[str] | re.Pattern[str]], ...]


def prepared(rule: Rule) -> Prepared:
    """Compile the conditions of a rule."""
    wanted = ((condition, condition.wanted(rule.match)) for condition in CONDITIONS)
    conditions = tuple((condition, _pattern(condition, values)) for condition, values in wanted if values)
    return Prepared(rule=rule, conditions=conditions)


def matches(ready: Prepared, subject: Subject) -> Answer:
    """Apply a rule to a subject of the same check."""
    match = ready.rule.match
    if match.taint and not any(letter in subject.taint for letter in match.taint):
        return Answer.NO
    if any(letter in subject.taint for letter in match.without_taint):
        return Answer.NO
    undecided = False
    for condition, wanted in ready.conditions:
        if subject.pending and _is_pending(condition, subject):
            undecided = True
        elif not _holds(condition.actual(subject), wanted):
            return Answer.NO
    return Answer.UNDECIDED if undecided else Answer.YES


def _is_pending(condition: Condition, subject: Subject) -> bool:
    return condition.file or (condition.key == "signature" and not subject.settled_signature)


def _holds(value: str | None, wanted: frozenset[str] | re.Pattern[str]) -> bool:
    if value is None:
        return False
    return value in wanted if isinstance(wanted, frozenset) else wanted.match(value) is not None


def _pattern(condition: Condition, values: tuple[str, ...]) -> frozenset[str] | re.Pattern[str]:
    if condition.words is not None:
        return frozenset(values)
    return re.compile("|".join(f"(?:{translate(glob)})" for glob in values))
