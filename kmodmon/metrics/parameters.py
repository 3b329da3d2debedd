"""Metrics of module parameters: numbers are values, texts are labels, redacted and bounded."""

from collections.abc import Iterator
from itertools import islice

from kmodmon.events.kinds.posture import ParameterChanged
from kmodmon.kernel.parameter import ParameterKind
from kmodmon.metrics.metric import CountOf, LatestOf, Metric, MetricType, Sample, single
from kmodmon.state.state import State
from kmodmon.subjects.parameters import Parameter

_FILES = "/sys/module/<module>/parameters/<parameter>"


def _parameters(state: State) -> Iterator[tuple[str, str, Parameter]]:
    for module, parameters in state.parameters.parameters.items():
        for name, parameter in parameters.items():
            yield module, name, parameter


def _all_numbers(state: State) -> Iterator[Sample]:
    for module, name, parameter in _parameters(state):
        if parameter.value is not None and parameter.value.number is not None:
            yield (module, name), float(parameter.value.number)


def _all_texts(state: State) -> Iterator[Sample]:
    for module, name, parameter in _parameters(state):
        value = parameter.value
        if value is not None and value.number is None and value.kind is not ParameterKind.EMPTY:
            yield (module, name, value.text), 1.0


def _numbers(state: State) -> Iterator[Sample]:
    return islice(_all_numbers(state), state.parameters.most_series)


def _texts(state: State) -> Iterator[Sample]:
    return islice(_all_texts(state), state.parameters.most_series if state.parameters.text_series else 0)


def _dropped(state: State) -> Iterator[Sample]:
    most = state.parameters.most_series
    over = sum(max(0, sum(1 for _ in series) - most) for series in (_all_numbers(state), _all_texts(state)))
    yield (), float(over)


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_module_parameter",
        help="Value of a numeric or boolean module parameter.",
        labels=("module", "parameter"),
        interface=_FILES,
        absent="not readable, its value is text, or only root may read it and the scrape is public (web.detail)",
        bound="parameters.max_series",
        of=("parameters",),
        samples=_numbers,
    ),
    Metric(
        name="kmodmon_module_parameter_info",
        help="Value of a module parameter that is text or an array, redacted by name and bounded.",
        labels=("module", "parameter", "value"),
        interface=_FILES,
        absent="not readable, empty, a number, or only root may read it and the scrape is public (web.detail)",
        bound="parameters.max_series",
        of=("parameters",),
        samples=_texts,
    ),
    Metric(
        name="kmodmon_module_parameter_series_dropped",
        help="Parameter series over parameters.max_series that are not exposed.",
        interface="none",
        of=("parameters",),
        samples=_dropped,
    ),
    Metric(
        name="kmodmon_module_parameters_unreadable",
        help="Module parameters that could not be read in the last sweep (write-only, root-only, failing, hanging).",
        interface=_FILES,
        absent="not read yet",
        of=("parameters",),
        samples=lambda state: single(state.parameters.unreadable if state.parameters.read else None),
    ),
    Metric(
        name="kmodmon_module_parameters_hidden",
        help="Module parameters whose value this scrape leaves out, because not every user may read it (web.detail).",
        interface=_FILES,
        absent="not read yet",
        of=("parameters",),
        samples=lambda state: single(state.parameters.hidden if state.parameters.read else None),
    ),
    Metric(
        name="kmodmon_module_parameter_changes_total",
        kind=MetricType.COUNTER,
        help="Changes of module parameters seen in this boot.",
        interface=_FILES,
        of=("counts",),
        events=CountOf(kinds=(ParameterChanged,)),
    ),
    Metric(
        name="kmodmon_module_parameter_change_timestamp_seconds",
        help="When a module parameter last changed, kept for retention.recent.",
        labels=("module", "parameter"),
        interface=_FILES,
        absent="no change within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(ParameterChanged,)),
    ),
)
