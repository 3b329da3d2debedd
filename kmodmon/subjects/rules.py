"""The policy as a value: rules in order, the first that matches decides. What reads and applies them is `policy/`."""

import enum
from dataclasses import dataclass

from kmodmon.events.event import Severity
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant


class Action(enum.StrEnum):
    """What a rule says of what it matches."""

    ALLOW = "allow"
    DENY = "deny"


class Check(enum.StrEnum):
    """What a rule looks at. A module is only found if a rule denies it; everything else is already conspicuous."""

    MODULE = "module"  # every loaded module
    HIDDEN = "hidden-module"  # a loaded module that some view of the kernel denies
    BLACKLISTED = "blacklisted-module"  # loaded, although modprobe.d or the command line refuse it
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
    """Conditions; all must hold, and of each at least one value. An empty condition holds always.

    `module` to `value` are globs, the others words. `taint`: carries any of these letters; `without_taint`: none
    of them.
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
    taint: tuple[str, ...] = ()
    without_taint: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `line`: of its file, None for a shipped one; `advice`: what to do about what it finds."""

    name: str
    action: Action
    check: Check = Check.MODULE
    match: RuleMatch = RuleMatch()
    severity: Severity = Severity.WARNING
    dry_run: bool = False
    reason: str = ""
    advice: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules in order. `path` None: the shipped policy alone."""

    rules: tuple[Rule, ...] = ()
    path: str | None = None
    own: int = 0  # how many of them are the file's

    def __hash__(self) -> int:
        return hash((self.path, self.own, len(self.rules)))  # to hash every rule costs more than to judge by them

    @property
    def denying(self) -> tuple[Rule, ...]:
        """The rules that make findings."""
        return tuple(rule for rule in self.rules if rule.action is Action.DENY)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRefusal:
    """Why a file was not taken: what a person needs to mend it."""

    path: str
    why: str  # the whole sentence
    key: str = ""
    line: int | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """The policy in force. `refusal`: the file was changed and not taken; `policy` None: nothing was read yet."""

    policy: Policy | None = None
    loaded: Instant | None = None  # when it was last taken
    refusal: FileRefusal | None = None


NO_POLICY = PolicyState()


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFileRead(Observation):
    """A file of rules as it lies on disk: `what` is `policy` or `baseline`; `raw` None: there is none."""

    what: str
    path: str
    raw: bytes | None
    host: str = ""  # this host's name, for the parts of a baseline that are for some hosts only
