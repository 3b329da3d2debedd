"""What anybody who can connect may read: states and events without what the kernel keeps for root.

Left out: values of parameters that not every user may read (and of settings that are such parameters), addresses and
registers of kernel log lines, and of processes the program and its command line. Names, process ids and users stay.

Metrics, API and status page are made from these states and events, so that each rule is applied in one place. A part of
the state that has nothing to hide stays the same object.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import is_
from types import MappingProxyType
from typing import TypeVar, cast

from kmodmon.events.event import Actor, Event, Process, StoredEvent, recorded_event
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.policy import BaselineDrifted, PolicyViolated
from kmodmon.events.kinds.posture import ParameterChanged, PostureChanged
from kmodmon.kernel.sysctl import HARDENING
from kmodmon.lifecycle.inventory import Loaded
from kmodmon.state.state import State
from kmodmon.subjects.baseline import BaselineState, Drift, DriftKind
from kmodmon.subjects.findings import Finding, Findings
from kmodmon.subjects.hidden import HiddenState
from kmodmon.subjects.parameters import Parameter, Parameters, ParameterTable
from kmodmon.subjects.posture import Facts, Posture
from kmodmon.subjects.rules import Check
from kmodmon.subjects.taint import TaintState
from kmodmon.types.units import JsonObject, JsonValue
from kmodmon.view.masking import masked

T = TypeVar("T")

ROOT_ONLY = "root only"
"""Why the value of a parameter is not shown."""
ROOT_ONLY_VALUE = f"<{ROOT_ONLY}>"
"""What an event has instead of such a value."""

_OTHERS_READ = 0o004
_DIGESTS = frozenset({"fingerprint"})  # hexadecimal, and no address
_PARAMETERS_OF_SETTINGS: Mapping[str, tuple[str, str]] = {
    row.name: (row.path[1], row.path[3]) for row in HARDENING if row.path[0] == "module" and row.path[2] == "parameters"
}
_VALUES: Mapping[str, tuple[str, str]] = {
    ParameterChanged.kind.type: ("old", "new"),
    PostureChanged.kind.type: ("old", "new"),
    BaselineDrifted.kind.type: ("expected", "actual"),
}


class PublicState:
    """Gives the public form of states. A part that did not change keeps its public form, the same object."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[tuple[object, ...], object]] = {}

    def of(self, state: State) -> State:
        """The public form of `state`."""
        parameters, inventory = state.parameters.parameters, state.inventory
        loaded = self._kept("loaded", lambda: _loaded(inventory.loaded), inventory.loaded)
        return replace(
            state,
            parameters=self._kept("parameters", lambda: _parameters(state.parameters), state.parameters),
            inventory=self._kept("inventory", lambda: replace(inventory, loaded=loaded), inventory, loaded),
            taint=self._kept("taint", lambda: _taint(state.taint), state.taint),
            hidden=self._kept("hidden", lambda: _hidden(state.hidden), state.hidden),
            posture=self._kept("posture", lambda: _posture(state.posture, parameters), state.posture, parameters),
            findings=self._kept("findings", lambda: _findings(state.findings, parameters), state.findings, parameters),
            baseline=self._kept("baseline", lambda: _baseline(state.baseline, parameters), state.baseline, parameters),
        )

    def _kept(self, name: str, make: Callable[[], T], *inputs: object) -> T:
        last = self._parts.get(name)
        if last is None or not all(map(is_, last[0], inputs)):
            last = self._parts[name] = (inputs, make())
        return cast(T, last[1])


def public_event(stored: StoredEvent, parameters: Parameters) -> StoredEvent:
    """The public form of an event; `parameters`: with their modes as they are now.

    The mode of a parameter that is not there any more is unknown, and its value is not shown.
    """
    event = stored.event
    fields = dict(event.fields)
    evidence = _lines(event.evidence)
    if _is_secret(event, fields, parameters):
        fields |= dict.fromkeys(_VALUES.get(event.type, ()), ROOT_ONLY_VALUE)
        evidence = () if event.type == ParameterChanged.kind.type else (_without_values(event, fields),)
    if event.type == KernelReported.kind.type:
        fields = {name: value if name in _DIGESTS else _text(value) for name, value in fields.items()}
    shown = recorded_event(
        event.type,
        event.at,
        severity=event.severity,
        module=event.module,
        actor=None if event.actor is None else public_actor(event.actor),
        evidence=evidence,
        fields=fields,
    )
    return replace(stored, event=shown)


def public_event_json(stored: StoredEvent, parameters: Parameters) -> JsonObject:
    """The JSON object of the public form. Its hashes are null: those of the whole event would confirm a guess."""
    return {**public_event(stored, parameters).to_json(), "prev_hash": None, "hash": None}


def public_actor(actor: Actor) -> Actor:
    """The actor without programs and command lines, its own and those of its parents and its requester."""
    return replace(
        actor,
        process=_process(actor.process),
        parents=tuple(map(_process, actor.parents)),
        requester=None if actor.requester is None else public_actor(actor.requester),
    )


def is_public(parameters: Parameters, module: str, name: str) -> bool:
    """Whether every user may read the parameter; False: also if its mode is unknown."""
    parameter = parameters.get(module, {}).get(name)
    return parameter is not None and parameter.mode is not None and bool(parameter.mode & _OTHERS_READ)


def _is_secret(event: Event, fields: JsonObject, parameters: Parameters) -> bool:
    """Whether the event has the value of a parameter that not every user may read."""
    match event.type:
        case ParameterChanged.kind.type:
            return not is_public(parameters, event.module or "", str(fields.get("parameter")))
        case PostureChanged.kind.type:
            return _is_secret_setting(str(fields.get("setting")), parameters)
        case BaselineDrifted.kind.type:
            return _is_secret_drift(str(fields.get("kind")), str(fields.get("name")), parameters)
        case PolicyViolated.kind.type:
            return fields.get("check") == Check.POSTURE and _is_secret_setting(str(fields.get("subject")), parameters)
        case _:
            return False


def _is_secret_setting(name: str, parameters: Parameters) -> bool:
    return name in _PARAMETERS_OF_SETTINGS and not is_public(parameters, *_PARAMETERS_OF_SETTINGS[name])


def _is_secret_drift(kind: str, name: str, parameters: Parameters) -> bool:
    if kind == DriftKind.POSTURE:
        return _is_secret_setting(name, parameters)
    if kind != DriftKind.PARAMETER:
        return False
    # A module's name may hold a dot, as the name of a parameter may: each way to read the text has to be public.
    dots = (index for index, letter in enumerate(name) if letter == ".")
    ways = [(name[:dot], name[dot + 1 :]) for dot in dots]
    there = [way for way in ways if way[1] in parameters.get(way[0], {})]
    return not there or not all(is_public(parameters, *way) for way in there)


def _without_values(event: Event, fields: JsonObject) -> str:
    name = fields.get("name") or fields.get("setting") or fields.get("subject") or event.type
    return f"{name}: {ROOT_ONLY_VALUE}"


def _text(value: JsonValue) -> JsonValue:
    match value:
        case str():
            return masked(value)
        case Mapping():
            return {masked(name): _text(item) for name, item in value.items()}
        case Sequence():
            return [_text(item) for item in value]
        case _:
            return value


def _lines(evidence: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(masked, evidence))


def _process(process: Process) -> Process:
    return replace(process, exe=None, cmdline=None)


def _parameters(table: ParameterTable) -> ParameterTable:
    shown: dict[str, Mapping[str, Parameter]] = {}
    hidden = 0
    for module, parameters in table.parameters.items():
        secret = [name for name in parameters if _hides(table.parameters, module, name)]
        hidden += len(secret)
        without = {name: Parameter(value=None, mode=parameters[name].mode, why=ROOT_ONLY) for name in secret}
        shown[module] = MappingProxyType({**parameters, **without}) if secret else parameters
    return replace(table, parameters=MappingProxyType(shown), hidden=hidden)


def _hides(parameters: Parameters, module: str, name: str) -> bool:
    return parameters[module][name].value is not None and not is_public(parameters, module, name)


def _loaded(loaded: Mapping[str, Loaded]) -> Mapping[str, Loaded]:
    return MappingProxyType(
        {
            name: how if how.actor is None else replace(how, actor=public_actor(how.actor))
            for name, how in loaded.items()
        }
    )


def _taint(taint: TaintState) -> TaintState:
    ledger = {
        bit: replace(
            entry,
            actor=None if entry.actor is None else public_actor(entry.actor),
            evidence=_lines(entry.evidence),
        )
        for bit, entry in taint.ledger.items()
    }
    return replace(taint, ledger=MappingProxyType(ledger))


def _hidden(hidden: HiddenState) -> HiddenState:
    findings = {name: replace(hiding, evidence=_lines(hiding.evidence)) for name, hiding in hidden.findings.items()}
    return replace(hidden, findings=MappingProxyType(findings))


def _posture(posture: Posture, parameters: Parameters) -> Posture:
    secret = {name for name in _PARAMETERS_OF_SETTINGS if _is_secret_setting(name, parameters)}
    switches = posture.switches
    if switches is not None and not secret.isdisjoint(switches.settings):
        settings = {name: value for name, value in switches.settings.items() if name not in secret}
        switches = replace(switches, settings=MappingProxyType(settings))
    facts: Facts = MappingProxyType({name: value for name, value in posture.facts.items() if name not in secret})
    return replace(posture, switches=switches, facts=facts)


def _findings(findings: Findings, parameters: Parameters) -> Findings:
    current = {name: _finding(finding, parameters) for name, finding in findings.current.items()}
    return replace(findings, current=MappingProxyType(current))


def _finding(finding: Finding, parameters: Parameters) -> Finding:
    secret = False
    if finding.check is Check.POSTURE:
        secret = _is_secret_setting(finding.subject, parameters)
    elif finding.check is Check.DRIFT:
        kind, _, name = finding.subject.partition("/")
        secret = _is_secret_drift(kind, name, parameters)
    evidence = (f"{finding.subject}: {ROOT_ONLY_VALUE}",) if secret else _lines(finding.evidence)
    return replace(finding, evidence=evidence)


def _baseline(baseline: BaselineState, parameters: Parameters) -> BaselineState:
    return replace(baseline, drift=tuple(_drift(drift, parameters) for drift in baseline.drift))


def _drift(drift: Drift, parameters: Parameters) -> Drift:
    if not _is_secret_drift(drift.kind, drift.name, parameters):
        return drift
    return replace(drift, expected=ROOT_ONLY_VALUE, actual=ROOT_ONLY_VALUE)
