"""One home for each fact: what has a public name is spelt in one place of the product, whoever uses it elsewhere."""

import ast
import inspect
import pkgutil
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import kmodmon.events.kinds
from kmodmon.events.event import EventDetails, EventType
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.metrics import METRICS

PACKAGE = Path(__file__).parent.parent / "kmodmon"


def literals() -> Counter[str]:
    """How often each text is a whole string literal of the product; the name of a type in an annotation is none."""
    counts: Counter[str] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        types = {id(node.annotation) for node in nodes if isinstance(node, ast.AnnAssign)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in types:
                counts[node.value] += 1
    return counts


LITERALS = literals()


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_metric_when_it_is_declared_then_its_name_is_spelt_nowhere_else(name: str) -> None:
    assert LITERALS[name] <= 1  # 0: put together from a prefix and the names of a table


@pytest.mark.parametrize("kind", list(EVENT_KINDS))
def test_event_type_when_it_is_declared_then_its_name_is_spelt_nowhere_else(kind: EventType) -> None:
    assert LITERALS[kind] == 1
    assert EVENT_KINDS[kind].type == kind
    assert LITERALS[EVENT_KINDS[kind].message_id] == 1


def test_event_kinds_when_a_class_declares_one_then_it_is_listed() -> None:
    declared = {
        details.kind.type
        for info in pkgutil.iter_modules(kmodmon.events.kinds.__path__)
        for _, details in inspect.getmembers(import_module(f"kmodmon.events.kinds.{info.name}"), inspect.isclass)
        if issubclass(details, EventDetails) and "kind" in vars(details)
    }
    assert declared == set(EVENT_KINDS)
