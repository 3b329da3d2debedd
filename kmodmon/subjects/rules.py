"""The policy as a value: rules in order, of which the first that matches a subject decides.

`kmodmon.policy` reads policy files and applies the rules.
"""

import enum
from dataclasses import dataclass

from kmodmon.events.event import Severity
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant


class Action(enum.StrEnum):
    """What a rule does with a subject that it matches."""

    ALLOW = "allow"
    DENY = "deny"


class Check(enum.StrEnum):
    """What a rule applies to: every module, every setting of the posture, or only what is unusual by itself."""

    MODULE = "module"  # every loaded module
    HIDDEN = "hidden-module"  # a loaded module that is missing from a view of the kernel
    BLACKLISTED = "blacklisted-module"  # loaded, although modprobe.d or the kernel command line refuses it
    MISSING = "missing-module"  # expected, and not loaded
    PARAMETER = "writable-parameter"  # a module parameter that everybody may write
    ENTRY = "writable-entry"  # another file of a module in /proc or /sys that everybody may write
    HELPER = "modprobe-helper"  # the program that the kernel runs to load modules is not modprobe
    TAINT = "taint"  # a taint flag of the kernel that no loaded module carries
    POSTURE = "posture"  # every setting of the trust posture
    DRIFT = "baseline-drift"  # something is not as in the baseline
    REFUSED = "refused-file"  # a policy or baseline that was not taken


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMatch:
    """Conditions; all must hold. A condition holds if it is empty or if one of its values matches.

    `module` to `value` are globs, the others are words.
    """

    module: tuple[str, ...] = ()
    signer: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    package: tuple[str, ...] = ()
    parameter: tuple[str, ...] = ()
    setting: tuple[str, ...] = ()
    value: tuple[str, ...] = ()
    signature: tuple[str, ...] = ()
    file_signature: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()
    on_disk: tuple[str, ...] = ()
    tier: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    taint: tuple[str, ...] = ()  # the subject has one of these letters
    without_taint: tuple[str, ...] = ()  # the subject has none of these letters


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a policy."""

    name: str
    action: Action
    check: Check = Check.MODULE
    match: RuleMatch = RuleMatch()
    severity: Severity = Severity.WARNING
    dry_run: bool = False  # its findings are shown, and neither reported as events nor counted as findings
    reason: str = ""
    advice: str = ""  # what to do about a finding
    line: int | None = None  # in the policy file; None: a shipped rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules in order."""

    rules: tuple[Rule, ...] = ()
    path: str | None = None  # of the policy file; None: only the shipped rules
    own: int = 0  # number of rules from the file

    def __hash__(self) -> int:
        return hash((self.path, self.own, len(self.rules)))  # hashing every rule costs more than applying them

    @property
    def denying(self) -> tuple[Rule, ...]:
        """The rules whose action is deny."""
        return tuple(rule for rule in self.rules if rule.action is Action.DENY)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRefusal:
    """Why a file of rules is not in force, for the person who corrects it."""

    path: str  # empty: a policy file that could not be read
    why: str  # a whole sentence
    key: str = ""  # the wrong key; empty: none in particular
    line: int | None = None  # None: not known
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """The policy in force."""

    policy: Policy | None = None  # None: the policy file was not read yet
    loaded: Instant | None = None  # when the policy in force was read
    refusal: FileRefusal | None = None  # why the file that is there now is not in force; None: it is


NO_POLICY = PolicyState()


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFileRead(Observation):
    """The content of a file of rules."""

    what: str  # policy or baseline
    path: str
    raw: bytes | None  # None: there is no such file
    host: str = ""  # this host's name, for the parts of a baseline that are for some hosts only
