"""Module parameters from one sweep to the next. Values are redacted and bounded before they come here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from kmodmon.events.event import Event, Severity
from kmodmon.events.kinds.posture import ParameterChanged
from kmodmon.kernel.parameter import REDACTED, ParameterValue, is_same, redact
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of one module. `value` is None when it could not be read; `why` says what it said then."""

    value: ParameterValue | None
    mode: int | None  # permission bits; None: the file could not be looked at
    why: str = ""
    mark: int | None = None  # keyed digest of a redacted value, so that its change shows; of this process only

    @property
    def redacted(self) -> bool:
        """Whether the value was hidden because of the parameter's name."""
        return self.value is not None and self.value.text == REDACTED


Parameters: TypeAlias = Mapping[str, Mapping[str, Parameter]]  # module -> parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTable:
    """The last sweep over /sys/module/*/parameters."""

    parameters: Parameters = field(default_factory=lambda: MappingProxyType({}))
    read: bool = False
    unreadable: int = 0
    text_series: bool = True  # parameters.info_series
    most_series: int = 50_000  # parameters.max_series


UNREAD_PARAMETERS = ParameterTable()


def parameters_changed(before: Parameters, after: Parameters, at: Instant) -> tuple[Event, ...]:
    """An event for each parameter that both sweeps could read and that has another value."""
    if before is after:
        return ()
    events: list[Event] = []
    for module, now in after.items():
        was = before.get(module)
        if was is None or was is now:
            continue
        events += (
            _event(module, name, was[name], parameter, at)
            for name, parameter in now.items()
            if name in was and _differs(was[name], parameter)
        )
    return tuple(events)


def _differs(was: Parameter, now: Parameter) -> bool:
    if was.value is None or now.value is None:
        return False
    if was.redacted and now.redacted:
        return was.mark is not None and now.mark is not None and was.mark != now.mark
    if was.redacted or now.redacted:
        # Values that hide nothing (empty, Y, N) are shown, so the value changed; else the patterns of what is secret
        # did, and an event would tell the value that is no longer to be told.
        shown = now.value if was.redacted else was.value
        return redact(shown) is shown
    return not is_same(was.value, now.value)


def _event(module: str, name: str, was: Parameter, now: Parameter, at: Instant) -> Event:
    assert was.value is not None and now.value is not None  # _differs() says so
    return Event(
        details=ParameterChanged(parameter=name, old=was.value.text, new=now.value.text, redacted=now.redacted),
        at=at,
        severity=Severity.NOTICE,
        module=module,
        evidence=(f"/sys/module/{module}/parameters/{name}",),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParametersRead(Observation):
    """A sweep over /sys/module/*/parameters. The same object again means that nothing changed."""

    table: ParameterTable
