"""The conditions of a rule, one row each, for the matcher, the reader of policy files and the table in README."""

from dataclasses import dataclass

from kmodmon.kernel.taint import Tier
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.policy.subject import Subject
from kmodmon.subjects.files import Origin
from kmodmon.subjects.module_file import OnDisk
from kmodmon.subjects.rules import Check, RuleMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One key of `[rule.match]`, which is also the name of a field of RuleMatch and of Subject.

    `words`: the values that are allowed; None: globs. `file`: the value is known once the module's file has been
    examined.
    """

    key: str
    meaning: str
    words: tuple[str, ...] | None = None
    file: bool = False
    checks: frozenset[Check] = frozenset(Check)  # those whose subjects can have the value

    def wanted(self, match: RuleMatch) -> tuple[str, ...]:
        """Give the values that a rule asks for, of which one must hold; (): the rule does not have this condition."""
        values: tuple[str, ...] = getattr(match, self.key)
        return values

    def found(self, subject: Subject) -> str | None:
        """Give the value of a subject; None: it has none, or it is not known."""
        value: str | None = getattr(subject, self.key)
        return value


_OF_MODULES = frozenset({Check.MODULE, Check.HIDDEN, Check.BLACKLISTED, Check.PARAMETER, Check.ENTRY})

CONDITIONS: tuple[Condition, ...] = (
    Condition(
        key="tier",
        words=tuple(Tier), checks=_OF_MODULES | {Check.TAINT}, meaning="worst tier among its taint letters",
    ),
    Condition(
        key="kind",
        checks=frozenset({Check.HIDDEN, Check.BLACKLISTED, Check.TAINT, Check.DRIFT, Check.REFUSED}),
        meaning="more about it: kind of drift, what refuses a blacklisted module, cause of a taint, how sure it is",
    ),
    Condition(
        key="signature",
        words=tuple(SignatureStatus), checks=_OF_MODULES, meaning="verdict on the loaded module",
    ),
    Condition(
        key="origin",
        words=tuple(Origin), file=True, checks=_OF_MODULES, meaning="where it came from",
    ),
    Condition(
        key="on_disk",
        words=tuple(OnDisk), file=True, checks=_OF_MODULES, meaning="how it compares to the file of its name",
    ),
    Condition(
        key="file_signature",
        words=tuple(SignatureStatus), file=True, checks=_OF_MODULES, meaning="verdict on the file that lies there now",
    ),
    Condition(
        key="module",
        meaning="name of the module",
    ),
    Condition(
        key="parameter",
        checks=frozenset({Check.PARAMETER}), meaning="name of the parameter, without its module",
    ),
    Condition(
        key="setting",
        checks=frozenset({Check.POSTURE, Check.HELPER, Check.TAINT}),
        meaning="name of the posture setting or taint flag",
    ),
    Condition(
        key="value",
        checks=frozenset({Check.POSTURE, Check.HELPER, Check.PARAMETER}),
        meaning="value of the setting; of a parameter its mode",
    ),
    Condition(
        key="signer",
        file=True, checks=_OF_MODULES, meaning="who signed it",
    ),
    Condition(
        key="path",
        file=True, checks=_OF_MODULES, meaning="path of its file",
    ),
    Condition(
        key="package",
        file=True, checks=_OF_MODULES, meaning="package that owns its file, or its DKMS module",
    ),
)  # fmt: skip
