"""The conditions of a rule, one row each, for the matcher, the reader of policy files and docs/policy.md."""

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

    def actual(self, subject: Subject) -> str | None:
        """Give the value of a subject; None: it has none, or it is not known."""
        value: str | None = getattr(subject, self.key)
        return value


_OF_MODULES = frozenset({Check.MODULE, Check.HIDDEN, Check.BLACKLISTED, Check.PARAMETER, Check.ENTRY})

CONDITIONS: tuple[Condition, ...] = (
    Condition(key="tier", meaning="worst tier among its taint letters",
        words=tuple(Tier), checks=_OF_MODULES | {Check.TAINT}),
    Condition(key="kind",
        meaning="more about it: kind of drift, what refuses a blacklisted module, cause of a taint, how sure it is",
        checks=frozenset({Check.HIDDEN, Check.BLACKLISTED, Check.TAINT, Check.DRIFT, Check.REFUSED})),
    Condition(key="signature", meaning="verdict on the loaded module",
        words=tuple(SignatureStatus), checks=_OF_MODULES),
    Condition(key="origin", meaning="where it came from",
        words=tuple(Origin), file=True, checks=_OF_MODULES),
    Condition(key="on_disk", meaning="how it compares to the file of its name",
        words=tuple(OnDisk), file=True, checks=_OF_MODULES),
    Condition(key="file_signature", meaning="verdict on the file that lies there now",
        words=tuple(SignatureStatus), file=True, checks=_OF_MODULES),
    Condition(key="module", meaning="name of the module"),
    Condition(key="parameter", meaning="name of the parameter, without its module",
        checks=frozenset({Check.PARAMETER})),
    Condition(key="setting", meaning="name of the posture setting or taint flag",
        checks=frozenset({Check.POSTURE, Check.HELPER, Check.TAINT})),
    Condition(key="value", meaning="value of the setting; of a parameter its mode",
        checks=frozenset({Check.POSTURE, Check.HELPER, Check.PARAMETER})),
    Condition(key="signer", meaning="who signed it",
        file=True, checks=_OF_MODULES),
    Condition(key="path", meaning="path of its file",
        file=True, checks=_OF_MODULES),
    Condition(key="package", meaning="package that owns its file, or its DKMS module",
        file=True, checks=_OF_MODULES),
)  # fmt: skip
