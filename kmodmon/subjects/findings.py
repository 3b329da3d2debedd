"""What is wrong now: findings of the policy, kept from when they appear until they are gone.

A finding's id is made of its rule and its subject, so the same trouble has the same id on every host and after every
restart. It is told once (PolicyViolated) when it appears; that it was told is remembered within the boot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.policy import PolicyViolated
from kmodmon.subjects.rules import Check
from kmodmon.types.codec import json_value, members_from_json
from kmodmon.types.units import Instant, JsonObject

MOST_FINDINGS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule does not allow."""

    rule: str
    check: Check
    severity: Severity
    subject: str  # what it is about: a module, module.parameter, a setting, a flag
    module: str | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()
    advice: str = ""
    dry_run: bool = False  # shown, but neither an event nor counted among the findings
    since: Instant | None = None  # when it was first seen; None: not yet taken over

    @property
    def id(self) -> str:
        """Stable: the rule and what it is about."""
        return (
            f"{self.rule}/{self.subject}" if self.check is Check.MODULE else f"{self.rule}/{self.check}/{self.subject}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All of them, the worst first. `waits`: time must pass before something can be judged."""

    current: Mapping[str, Finding] = field(default_factory=lambda: MappingProxyType({}))
    dropped: int = 0  # over MOST_FINDINGS
    waits: bool = False
    expected: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))  # module -> is there
    absent_since: Mapping[str, Instant] = field(default_factory=lambda: MappingProxyType({}))
    decided: frozenset[str] = frozenset()  # modules that were judged with all that there is to know
    reported: Mapping[str, Instant] = field(default_factory=lambda: MappingProxyType({}))
    judged: bool = False


NO_FINDINGS = Findings()
_REPORTED_OTHERWISE = frozenset({Check.DRIFT, Check.REFUSED})  # BaselineDrifted, ConfigRefused
_ORDER = {severity: rank for rank, severity in enumerate(Severity)}


def findings_changed(
    before: Findings, judged: Iterable[Finding], at: Instant, *, settled: bool
) -> tuple[Findings, tuple[Event, ...]]:
    """Take over what was found now; an event for each finding that is new and in force.

    `settled`: we look long enough to have seen all that the run before had told; what is not there then is gone.
    """
    ordered = sorted(judged, key=lambda finding: (_ORDER[finding.severity], finding.id))
    current: dict[str, Finding] = {}
    events: list[Event] = []
    for finding in ordered[:MOST_FINDINGS]:
        earlier = before.current.get(finding.id)
        if earlier is None and finding.id in before.reported:
            earlier = replace(finding, since=before.reported[finding.id])
        dated = replace(finding, since=at if earlier is None else earlier.since)
        if not dated.dry_run and (earlier is None or earlier.dry_run) and dated.check not in _REPORTED_OTHERWISE:
            events.append(violated_event(dated, at))
        current[dated.id] = earlier if earlier == dated else dated
    same = len(before.current) == len(current) and all(
        before.current.get(name) is finding for name, finding in current.items()
    )
    after = replace(
        before,
        current=before.current if same else MappingProxyType(current),
        dropped=max(0, len(ordered) - MOST_FINDINGS),
        reported=MappingProxyType(
            {name: since for name, since in before.reported.items() if name not in current and not settled}
        ),
        judged=True,
    )
    return (before if after == before else after), tuple(events)


def violated_event(finding: Finding, at: Instant) -> Event:
    """A rule is violated."""
    details = PolicyViolated(
        rule=finding.rule,
        check=finding.check.value,
        finding=finding.id,
        subject=finding.subject,
        reason=finding.reason,
    )
    return Event(details=details, at=at, severity=finding.severity, module=finding.module, evidence=finding.evidence)


def findings_to_json(findings: Findings) -> JsonObject:
    """Give the ids of reported findings with the time of their appearance; what is wrong is found anew."""
    current = {finding.id: finding.since for finding in findings.current.values() if not finding.dry_run}
    return {name: json_value(since) for name, since in sorted({**findings.reported, **current}.items())}


def findings_from_json(document: JsonObject) -> Findings:
    """Give the findings that the earlier run reported."""
    return replace(NO_FINDINGS, reported=members_from_json(Instant, document))
