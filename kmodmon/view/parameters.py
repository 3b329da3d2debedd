"""Module parameters; one that cannot be read is listed with the reason."""

from collections.abc import Sequence

from kmodmon.state.state import State
from kmodmon.subjects.parameters import Parameter
from kmodmon.types.units import JsonObject


def parameters_view(state: State, module: str | None = None) -> Sequence[JsonObject]:
    """The parameters of one module, or of all modules (`module` None)."""
    return [
        parameter_view(name, parameter_name, parameter)
        for name, parameters in state.parameters.parameters.items()
        if module is None or name == module
        for parameter_name, parameter in parameters.items()
    ]


def parameter_view(module: str, name: str, parameter: Parameter) -> JsonObject:
    """One parameter; when it cannot be read, `value` is null and `why` is the reason. `mode` is octal."""
    value = parameter.value
    return {
        "module": module,
        "parameter": name,
        "value": None if value is None else value.text,
        "number": None if value is None else value.number,
        "kind": None if value is None else value.kind.value,
        "redacted": parameter.redacted,
        "mode": None if parameter.mode is None else f"{parameter.mode:04o}",
        "why": parameter.why or None,
    }
