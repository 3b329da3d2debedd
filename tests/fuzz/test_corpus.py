"""Every committed input of the fuzz targets, and whether a target reaches each function that is given foreign bytes."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.fuzz.target import CORPUS, HERE, Target, attempt
from tests.fuzz.targets import TARGETS

PACKAGE = HERE.parents[1] / "kmodmon"
ROOMS = ("kernel", "modfile", "examiner", "savedlog", "reports", "events", "store", "config", "policy", "web")
FOREIGN = ("bytes", "Reader")  # in the type of an argument
TEXT_ROOMS = ("kernel", "savedlog", "reports")  # where text, too, is what the kernel or a user wrote
_DIGITS = re.compile(rb"[0-9]+")
MOST_BYTES = 1_500_000
# What takes them and is reached by no target, and why that is right.
EXCEPTIONS = {
    "reports/signatures/warning.py:warning_at": "names of files in the table of signatures",
    "store/row.py:chained": "what it is given is the hash of a row, made by kmodmon",
    "web/auth.py:matches": "bcrypt does the work, and each input would take a tenth of a second",
}


def corpus(target: Target) -> list[Path]:
    return sorted((CORPUS / target.name).glob("*"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target_when_given_its_corpus_then_each_input_is_parsed_or_refused(target: Target) -> None:
    assert corpus(target), f"run `python -m tests.fuzz --minimise --target {target.name}`"
    for path in corpus(target):
        try:
            attempt(target, path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{target.name} fails on {path.relative_to(HERE)}") from error


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target_when_a_number_of_its_corpus_is_made_long_then_it_is_parsed_or_refused(target: Target) -> None:
    # Python refuses to convert more than 4300 digits, and libFuzzer rarely makes inputs that long.
    for path in corpus(target):
        data = path.read_bytes()
        found = list(_DIGITS.finditer(data)) if len(data) < 2000 else []
        for number in {match.span(): match for match in [*found[:2], *found[-1:]]}.values():
            for longer in (b"9" * 5000, b"0x" + b"f" * 5000, "\u0661\u00b2".encode()):
                attempt(target, data[: number.start()] + longer + data[number.end() :])


def test_targets_when_listed_then_each_has_a_name_of_its_own_and_no_corpus_is_left_over() -> None:
    names = [target.name for target in TARGETS]
    assert len(names) == len(set(names))
    assert {path.name for path in CORPUS.iterdir()} == set(names)


def test_corpus_when_measured_then_it_stays_small() -> None:
    sizes = {path: path.stat().st_size for target in TARGETS for path in corpus(target)}
    assert sum(sizes.values()) < MOST_BYTES
    largest = {target.name: target.max_bytes for target in TARGETS}
    assert [path for path, size in sizes.items() if size > largest[path.parent.name]] == []


def test_corpus_when_read_then_no_input_names_a_directory_of_the_machine_it_was_found_on() -> None:
    inputs = [path for target in TARGETS for path in corpus(target)]
    assert [path for path in inputs if re.search(rb"/\w+/tests/(trees|fuzz)/", path.read_bytes())] == []


def test_functions_of_foreign_bytes_when_all_targets_run_then_each_is_called() -> None:
    wanted = dict(foreign())
    assert wanted
    called: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    inputs = [(target, path) for target in TARGETS for path in corpus(target)]
    for target, path in sorted(inputs, key=lambda each: (each[1].stat().st_size, each[1].name)):
        data = path.read_bytes()
        sys.setprofile(note)
        try:
            attempt(target, data)
        finally:
            sys.setprofile(None)
        if called.issuperset(wanted.values()):
            return
    missing = sorted(name for name, place in wanted.items() if place not in called)
    assert missing == [], "no fuzz target reaches these; add a line to tests/fuzz/targets.py"


def foreign() -> Iterator[tuple[str, tuple[str, int]]]:
    """Public functions of the rooms that take bytes, or text: their name, and where their code begins."""
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            shown = path.relative_to(PACKAGE).as_posix()
            for node in ast.parse(path.read_text()).body:
                name = f"{shown}:{node.name}" if isinstance(node, ast.FunctionDef) else ""
                if shown in EXCEPTIONS or name in EXCEPTIONS or not isinstance(node, ast.FunctionDef):
                    continue
                first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
                foreign_types = (*FOREIGN, "str") if room in TEXT_ROOMS else FOREIGN
                if not node.name.startswith("_") and any(_has(each, foreign_types) for each in node.args.args):
                    yield name, (str(path), first)


def _has(argument: ast.arg, types: tuple[str, ...]) -> bool:
    names = {node.id for node in ast.walk(argument.annotation or argument) if isinstance(node, ast.Name)}
    return not names.isdisjoint(types)
