"""One rule held against one subject: it matches, it does not, or it cannot be told yet.

A condition about a file that is still being examined cannot be told. Then the rule is undecided, and so are all after
it: the first that matches decides, and this one may. So no finding appears that vanishes a second later.
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
    """A rule made ready: the conditions that say anything, each with its words or its one expression."""

    rule: Rule
    conditions: tuple[tuple[Condition, frozenset[str] | re.Pattern[str]], ...]


def prepared(rule: Rule) -> Prepared:
    """Make a rule ready to be held against many subjects."""
    said = ((condition, condition.wanted(rule.match)) for condition in CONDITIONS)
    return Prepared(rule=rule, conditions=tuple((one, _wanted(one, values)) for one, values in said if values))


def matches(ready: Prepared, subject: Subject) -> Answer:
    """Hold a rule against a subject of the check that it is about."""
    match = ready.rule.match
    if match.taint and not any(letter in subject.taint for letter in match.taint):
        return Answer.NO
    if any(letter in subject.taint for letter in match.without_taint):
        return Answer.NO
    undecided = False
    for condition, wanted in ready.conditions:
        if subject.pending and _is_to_come(condition, subject):
            undecided = True
        elif not _holds(condition.found(subject), wanted):
            return Answer.NO
    return Answer.UNDECIDED if undecided else Answer.YES


def _is_to_come(condition: Condition, subject: Subject) -> bool:
    return condition.file or (condition.key == "signature" and not subject.settled_signature)


def _holds(found: str | None, wanted: frozenset[str] | re.Pattern[str]) -> bool:
    if found is None:
        return False
    return found in wanted if isinstance(wanted, frozenset) else wanted.match(found) is not None


def _wanted(condition: Condition, values: tuple[str, ...]) -> frozenset[str] | re.Pattern[str]:
    if condition.words is not None:
        return frozenset(values)
    return re.compile("|".join(f"(?:{translate(glob)})" for glob in values))
