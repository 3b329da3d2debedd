"""Parameters: values as printed, secrets hidden, unreadable ones with the reason."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from kmodmon.kernel.parameter import ParameterKind, ParameterValue
from kmodmon.subjects.parameters import Parameter
from kmodmon.types.units import JsonObject
from kmodmon.view.parameters import parameter_view, parameters_view
from tests.view.recorded import TREES, in_order, recorded

PARAMETERS = TREES / "debian13-6.12-x86_64/sys/module/params_mod/parameters"


def test_parameter_when_shown_then_each_key_has_its_own_value() -> None:
    value = ParameterValue(kind=ParameterKind.BOOLEAN, text="Y", number=1)
    assert in_order(parameter_view("bridge", "stp", Parameter(value=value, mode=0o444))) == in_order({
        "module": "bridge", "parameter": "stp", "value": "Y", "number": 1, "kind": "boolean", "redacted": False,
        "mode": "0444", "why": None,
    })  # fmt: skip


def test_parameter_when_it_cannot_be_read_then_is_null_with_the_reason() -> None:
    parameter = Parameter(value=None, mode=None, why="Permission denied")
    assert in_order(parameter_view("bridge", "stp", parameter)) == in_order({
        "module": "bridge", "parameter": "stp", "value": None, "number": None, "kind": None, "redacted": False,
        "mode": None, "why": "Permission denied",
    })  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hex", {"value": "0xdeadbeef", "number": 0xDEADBEEF, "kind": "number", "redacted": False}),
        ("bool_no", {"value": "N", "number": 0, "kind": "boolean", "redacted": False}),
        ("words", {"value": "one,two,(null)", "number": None, "kind": "array", "redacted": False}),
        ("text_empty", {"value": "", "number": None, "kind": "empty", "redacted": False}),
        ("password", {"value": "<redacted>", "number": None, "kind": "text", "redacted": True}),
        ("api_token", {"value": "<redacted>", "number": None, "kind": "text", "redacted": True}),
    ],
)
def test_parameters_when_a_tree_is_read_then_values_are_as_printed_and_secrets_are_not(
    name: str, expected: JsonObject
) -> None:
    (shown,) = (entry for entry in parameters_view(recorded(), "params_mod") if entry["parameter"] == name)
    assert {key: shown[key] for key in expected} == expected
    mode = f"{(PARAMETERS / name).stat().st_mode & 0o7777:04o}"
    assert (shown["module"], shown["mode"], shown["why"]) == ("params_mod", mode, None)


def test_parameters_when_no_module_is_named_then_all_are_shown_by_module() -> None:
    shown = [(entry["module"], entry["parameter"]) for entry in parameters_view(recorded())]
    table = recorded().parameters.parameters
    assert shown == [(module, name) for module, parameters in table.items() for name in parameters]
    assert len(set(shown)) == len(shown) > 300


def test_parameters_when_one_module_is_named_then_only_its_own_are_shown() -> None:
    assert [entry["parameter"] for entry in parameters_view(recorded(), "params_mod")] == sorted(
        path.name for path in PARAMETERS.iterdir()
    )
    assert parameters_view(recorded(), "not_loaded") == []
    unread = replace(recorded().parameters, parameters=MappingProxyType({}))
    assert parameters_view(replace(recorded(), parameters=unread)) == []
