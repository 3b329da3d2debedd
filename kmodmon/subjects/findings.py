"""Findings of the policy, kept from the judgement at which they appear until the one at which they are absent.

The id of a finding consists of its rule and its subject, so the same problem has the same id on every host and after
every restart. A finding is reported once, by the event PolicyViolated when it appears. The checkpoint has the ids of
reported findings, so that a restart within the boot does not report them again.
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
    """One subject that a rule denies."""

    rule: str  # its name
    check: Check
    severity: Severity
    subject: str  # name of a module, module.parameter, setting or taint flag
    module: str | None = None  # None: it is about no module
    reason: str = ""
    evidence: tuple[str, ...] = ()
    advice: str = ""
    dry_run: bool = False  # shown, but neither an event nor counted among the findings
    since: Instant | None = None  # when it appeared; None: `findings_changed` has not set it yet

    @property
    def id(self) -> str:
        """Rule and subject, with the check where the rule is not about modules. Stable over restarts and hosts."""
        return (
            f"{self.rule}/{self.subject}" if self.check is Check.MODULE else f"{self.rule}/{self.check}/{self.subject}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The findings of the latest judgement, and what the next one needs of it.

    `reported` has the findings that the run before reported, with the time of their appearance: an id leaves it when
    the finding is present again, or when this run is old enough to know that it is not.
    """

    current: Mapping[str, Finding] = field(default_factory=lambda: MappingProxyType({}))  # by id, the worst first
    dropped: int = 0  # findings over MOST_FINDINGS, which are not kept
    waits: bool = False  # something can be judged only when more time has passed
    expected: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))  # module -> loaded or built in
    absent_since: Mapping[str, Instant] = field(default_factory=lambda: MappingProxyType({}))  # expected, not present
    decided: frozenset[str] = frozenset()  # modules that were judged with the facts of their files
    reported: Mapping[str, Instant] = field(default_factory=lambda: MappingProxyType({}))
    judged: bool = False  # there was a judgement


NO_FINDINGS = Findings()
_REPORTED_OTHERWISE = frozenset({Check.DRIFT, Check.REFUSED})  # BaselineDrifted, ConfigRefused
_ORDER = {severity: rank for rank, severity in enumerate(Severity)}


def findings_changed(
    before: Findings, judged: Iterable[Finding], at: Instant, *, settled: bool
) -> tuple[Findings, tuple[Event, ...]]:
    """Replace the findings by those of a new judgement; give an event for each new one that is no dry run.

    `settled`: this run is old enough that a finding which the run before reported, and which is not present, is over.
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
    """Give the event that reports a finding."""
    details = PolicyViolated(
        rule=finding.rule,
        check=finding.check.value,
        finding=finding.id,
        subject=finding.subject,
        reason=finding.reason,
    )
    return Event(details=details, at=at, severity=finding.severity, module=finding.module, evidence=finding.evidence)


def findings_to_json(findings: Findings) -> JsonObject:
    """Write the ids of reported findings with the time of their appearance; a restart judges the host again."""
    current = {finding.id: finding.since for finding in findings.current.values() if not finding.dry_run}
    return {name: json_value(since) for name, since in sorted({**findings.reported, **current}.items())}


def findings_from_json(document: JsonObject) -> Findings:
    """Give the findings that the earlier run reported."""
    return replace(NO_FINDINGS, reported=members_from_json(Instant, document))
