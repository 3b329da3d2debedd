"""One dispatch: every observation has one fold, and nothing else tells one observation from another."""

import ast
from pathlib import Path

from kmodmon.folds import FOLDS
from kmodmon.types.outcome import Observation

PACKAGE = Path(__file__).parent.parent / "kmodmon"


def test_observations_when_listed_then_each_has_a_fold() -> None:
    # A slotted dataclass is a second class of the same name.
    assert {observation.__name__ for observation in FOLDS} == {each.__name__ for each in Observation.__subclasses__()}


def test_observations_when_the_product_is_read_then_none_is_matched_by_its_type() -> None:
    names = {observation.__name__ for observation in FOLDS}
    matched = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.MatchClass(cls=ast.Name(id=name)) if name in names:
                    matched.append((path.name, name))
                case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
                    matched += [(path.name, each.id) for each in ast.walk(kinds) if isinstance(each, ast.Name)]
    assert [entry for entry in matched if entry[1] in names] == []
