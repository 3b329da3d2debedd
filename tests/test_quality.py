"""Linter, formatter and type checker are tests: one command, the same everywhere."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_FUNCTION = 50
LONGEST_FILE = 430


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_source_when_linted_then_ruff_is_silent() -> None:
    run("ruff", "check", "--no-cache", "kmodmon", "tests", "grafana/src")


def test_source_when_formatted_then_nothing_changes() -> None:
    run("ruff", "format", "--no-cache", "--check", "kmodmon", "tests", "grafana/src")


def test_source_when_type_checked_then_mypy_strict_is_silent() -> None:
    run("mypy")


@pytest.mark.parametrize("path", sorted((ROOT / "kmodmon").rglob("*.py")), ids=lambda path: path.name)
def test_files_when_measured_then_none_is_too_long(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{path.name}:{node.lineno} {node.name} has {length} lines"
