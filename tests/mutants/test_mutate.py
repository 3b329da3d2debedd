"""The mutants themselves: each is one change that compiles, and the table names files and tests that are there."""

import ast

import pytest

from grafana.src.generate import ROOT
from tests.mutants.__main__ import ACCEPTED, accepted
from tests.mutants.mutate import mutants
from tests.mutants.rooms import ROOMS

SOURCE = '''"""A docstring with 1 < 2."""

LIMIT = 5


class Queue:
    def full(self, size: int = 2) -> bool:
        assert size != 3
        log.info("it has %d", size + 1)
        if not self.items and size >= LIMIT:
            return size in (1, True)
        return f"{size < 7}"
'''


def test_mutants_when_made_then_each_changes_one_thing() -> None:
    made = [mutant.name.removeprefix("a.py::") for mutant in mutants("a.py", SOURCE)]
    assert made == [
        "module: 5 -> 6",
        "Queue.full: 2 -> 3",
        "Queue.full: not self.items and size >= LIMIT -> False",
        "Queue.full: not self.items and size >= LIMIT -> not self.items or size >= LIMIT",
        "Queue.full: not self.items -> self.items",
        "Queue.full: size >= LIMIT -> size > LIMIT",
        "Queue.full: return size in (1, True) -> return None",
        "Queue.full: size in (1, True) -> size not in (1, True)",
        "Queue.full: 1 -> 2",
        "Queue.full: True -> False",
        "Queue.full: return f'{size < 7}' -> return None",
    ]


def test_mutants_when_the_same_change_is_made_twice_then_their_names_differ() -> None:
    first, second = (mutant.name for mutant in mutants("a.py", "def f(a):\n    return -a if a < 1 else g(a < 1)\n")
                     if "<=" in mutant.name)  # fmt: skip
    assert second == f"{first} #2"


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_when_named_then_their_files_and_tests_are_there_and_mutants_compile(room: str) -> None:
    for pattern, tests in ROOMS[room].items():
        paths = sorted(ROOT.glob(pattern))
        assert paths, f"{pattern} names no file"
        assert [test for test in tests if not (ROOT / test).exists()] == []
        for mutant in mutants(pattern, paths[0].read_text()):
            ast.parse(mutant.source)


def test_accepted_mutants_when_listed_then_each_is_there_and_has_a_reason() -> None:
    there = {
        mutant.name
        for patterns in ROOMS.values()
        for pattern in patterns
        for path in ROOT.glob(pattern)
        for mutant in mutants(path.relative_to(ROOT).as_posix(), path.read_text())
    }
    assert set(accepted()) <= there, f"{ACCEPTED} lists what is not there: {set(accepted()) - there}"
    assert all(accepted().values())
