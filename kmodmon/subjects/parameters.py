"""Parameters of loaded modules (/sys/module/NAME/parameters), and their changes from one reading to the next.

The source redacts and bounds the values (`kmodmon.kernel.parameter`).
"""

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
    """One parameter of one module."""

    value: ParameterValue | None  # None: it could not be read
    mode: int | None  # permission bits; None: stat(2) of the file failed
    why: str = ""  # why the value could not be read
    mark: int | None = None  # keyed digest of a redacted value, comparable within this process; None: not redacted

    @property
    def redacted(self) -> bool:
        """Whether the value was hidden because of the parameter's name."""
        return self.value is not None and self.value.text == REDACTED


Parameters: TypeAlias = Mapping[str, Mapping[str, Parameter]]  # module -> parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterTable:
    """The last reading of /sys/module/*/parameters."""

    parameters: Parameters = field(default_factory=lambda: MappingProxyType({}))
    read: bool = False  # False: not read yet, or switched off
    unreadable: int = 0  # parameters whose value could not be read
    hidden: int = 0  # parameters whose value was read and is not shown, because not every user may read it
    text_series: bool = True  # setting parameters.info_series: texts are exposed as metrics
    most_series: int = 50_000  # setting parameters.max_series


UNREAD_PARAMETERS = ParameterTable()


def parameters_changed(before: Parameters, after: Parameters, at: Instant) -> tuple[Event, ...]:
    """Give an event for each parameter that both readings have with different values."""
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
        # Values that reveal nothing (empty, Y, N) are never redacted, so then the value changed. Otherwise the setting
        # that names secret parameters changed, and an event would reveal a value that is secret now.
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
    """A reading of /sys/module/*/parameters."""

    table: ParameterTable  # the same object as in the reading before: nothing changed
