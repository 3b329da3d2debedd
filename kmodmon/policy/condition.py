"""The conditions of a rule, one row each, for the matcher, the reader of policy files and the table in README."""

from collections.abc import Callable
from dataclasses import dataclass

from kmodmon.kernel.taint import Tier
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.policy.subject import Subject
from kmodmon.subjects.files import Origin
from kmodmon.subjects.module_file import OnDisk
from kmodmon.subjects.rules import Check, RuleMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One key of `[rule.match]`.

    `wanted` gives the values that a rule asks for, `found` the value of a subject (None: it has none). `words`: the
    values that are allowed; None: globs. `file`: the value is known once the module's file has been examined.
    """

    key: str
    wanted: Callable[[RuleMatch], tuple[str, ...]]
    found: Callable[[Subject], str | None]
    meaning: str
    words: tuple[str, ...] | None = None
    file: bool = False
    checks: frozenset[Check] = frozenset(Check)  # those whose subjects can have the value


_OF_MODULES = frozenset({Check.MODULE, Check.HIDDEN, Check.BLACKLISTED, Check.PARAMETER, Check.ENTRY})

CONDITIONS: tuple[Condition, ...] = (
    Condition(
        key="tier", wanted=lambda match: match.tier, found=lambda subject: subject.tier,
        words=tuple(Tier), checks=_OF_MODULES | {Check.TAINT}, meaning="worst tier among its taint letters",
    ),
    Condition(
        key="kind", wanted=lambda match: match.kind, found=lambda subject: subject.kind,
        checks=frozenset({Check.HIDDEN, Check.BLACKLISTED, Check.TAINT, Check.DRIFT, Check.REFUSED}),
        meaning="more about it: kind of drift, what refuses a blacklisted module, cause of a taint, how sure it is",
    ),
    Condition(
        key="signature", wanted=lambda match: match.signature, found=lambda subject: subject.signature,
        words=tuple(SignatureStatus), checks=_OF_MODULES, meaning="verdict on the loaded module",
    ),
    Condition(
        key="origin", wanted=lambda match: match.origin, found=lambda subject: subject.origin,
        words=tuple(Origin), file=True, checks=_OF_MODULES, meaning="where it came from",
    ),
    Condition(
        key="on_disk", wanted=lambda match: match.on_disk, found=lambda subject: subject.on_disk,
        words=tuple(OnDisk), file=True, checks=_OF_MODULES, meaning="how it compares to the file of its name",
    ),
    Condition(
        key="file_signature", wanted=lambda match: match.file_signature, found=lambda subject: subject.file_signature,
        words=tuple(SignatureStatus), file=True, checks=_OF_MODULES, meaning="verdict on the file that lies there now",
    ),
    Condition(
        key="module", wanted=lambda match: match.module, found=lambda subject: subject.module,
        meaning="name of the module",
    ),
    Condition(
        key="parameter", wanted=lambda match: match.parameter, found=lambda subject: subject.parameter,
        checks=frozenset({Check.PARAMETER}), meaning="name of the parameter, without its module",
    ),
    Condition(
        key="setting", wanted=lambda match: match.setting, found=lambda subject: subject.setting,
        checks=frozenset({Check.POSTURE, Check.HELPER, Check.TAINT}),
        meaning="name of the posture setting or taint flag",
    ),
    Condition(
        key="value", wanted=lambda match: match.value, found=lambda subject: subject.value,
        checks=frozenset({Check.POSTURE, Check.HELPER, Check.PARAMETER}),
        meaning="value of the setting; of a parameter its mode",
    ),
    Condition(
        key="signer", wanted=lambda match: match.signer, found=lambda subject: subject.signer,
        file=True, checks=_OF_MODULES, meaning="who signed it",
    ),
    Condition(
        key="path", wanted=lambda match: match.path, found=lambda subject: subject.path,
        file=True, checks=_OF_MODULES, meaning="path of its file",
    ),
    Condition(
        key="package", wanted=lambda match: match.package, found=lambda subject: subject.package,
        file=True, checks=_OF_MODULES, meaning="package that owns its file, or its DKMS module",
    ),
)  # fmt: skip
