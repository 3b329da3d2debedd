"""The recipes of CONTRIBUTING.md, executed: each is applied to a copy of the tree, and the checks run on the result.

A step is a line that begins with `Create` or `In`, names a file and what to do with it, and is followed by a fenced
block. What the steps do not name does not change, so what a recipe says it takes is what it takes.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
COPIED = ("kmodmon", "grafana", "systemd", "docs", "tests", "pyproject.toml", "ARCHITECTURE.md")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "vm", "browser", "bench")
PRODUCT = ("kmodmon/", "grafana/src/")

_STEP = re.compile(
    r"^(?:Create|In) `(?P<path>[^`]+)`(?:, (?P<action>[a-z ]+?)(?: `(?P<name>[\w.]+)`(?: of `(?P<owner>\w+)`)?)?)?:\n\n"
    r"```\w+\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One edit. `owner`: the definition whose keyword argument `name` is meant."""

    path: str
    action: str
    name: str
    owner: str
    block: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a recipe takes: at most `product` existing files, and the tests that then pass in the copy."""

    heading: str
    product: int
    tests: tuple[str, ...]


EVERY = ("tests/test_layers.py", "tests/test_declarations.py", "tests/test_folds.py", "tests/test_generated.py")
SCENARIO = "tests/dashboards/test_queries.py::test_scenario_when_read_then_every_declared_metric_is_in_it"
TRIALS = "kmodmon.self or KmodmonParametersDropped or on_trial or linted or names_only or panels_when"
RECIPES = (
    Recipe(
        heading="A polled source",
        product=5,
        tests=(
            *EVERY,
            SCENARIO,
            "tests/sources/test_crash_kernel.py",
            "tests/metrics",
            "tests/events/test_sentence.py",
            "tests/events/test_journal_catalog.py",
        ),
    ),
    Recipe(heading="A metric", product=1, tests=(*EVERY, SCENARIO, "tests/metrics")),
    Recipe(
        heading="A log signature",
        product=1,
        tests=(*EVERY, "tests/reports/test_cases.py", "tests/reports/test_signature_table.py"),
    ),
    Recipe(
        heading="An alert with its panel",
        product=2,
        tests=("tests/alerts/test_rules.py", "tests/dashboards/test_dashboards.py", *EVERY[-1:], "-k", TRIALS),
    ),
)


def steps_of(recipe: Recipe) -> tuple[Step, ...]:
    text = PAGE.read_text().partition(f"\n### {recipe.heading}\n")[2]
    text = re.split(r"^##", text, maxsplit=1, flags=re.MULTILINE)[0]
    steps = tuple(
        Step(
            path=match["path"],
            action=match["action"] or "create",
            name=match["name"] or "",
            owner=match["owner"] or "",
            block=match["block"],
        )
        for match in _STEP.finditer(text)
    )
    assert len(steps) == text.count("\n```\n"), f"{recipe.heading}: a block has no line that says where it goes"
    return steps


def definition(source: str, name: str) -> ast.stmt:
    """Return the definition of a name at the top level."""
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=str(defined)) | ast.FunctionDef(name=str(defined)) if defined == name:
                return node
            case ast.Assign(targets=[ast.Name(id=defined)]) | ast.AnnAssign(target=ast.Name(id=defined)) if (
                defined == name
            ):
                return node
    raise AssertionError(f"nothing is called {name}")


def insert(source: str, line: int, block: str) -> str:
    """Insert a block after a line, counted from one."""
    lines = source.splitlines(keepends=True)
    return "".join((*lines[:line], block, *lines[line:]))


def add_to_imports(source: str, step: Step) -> str:
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return insert(source, imports[-1].end_lineno or 0, step.block)


def add_to_class(source: str, step: Step) -> str:
    node = definition(source, step.name)
    assert isinstance(node, ast.ClassDef)
    fields = [each for each in node.body if isinstance(each, ast.Assign | ast.AnnAssign)]
    return insert(source, fields[-1].end_lineno or 0, step.block)


def add_to_literal(source: str, step: Step) -> str:
    """Add entries to a tuple or a mapping that is written over several lines."""
    node = definition(source, step.owner or step.name)
    assert isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
    value: ast.AST = node.value
    if step.owner:
        value = next(each for each in ast.walk(value) if isinstance(each, ast.keyword) and each.arg == step.name)
    literal = next(each for each in ast.walk(value) if isinstance(each, ast.Tuple | ast.Dict))
    assert literal.end_lineno is not None and literal.end_lineno > literal.lineno
    return insert(source, literal.end_lineno - 1, step.block)


def add_before(source: str, step: Step) -> str:
    return insert(source, definition(source, step.name).lineno - 1, step.block + "\n\n")


def add_at_the_end(source: str, step: Step) -> str:
    return source + ("\n\n" if step.path.endswith(".py") else "") + step.block


ACTIONS: Mapping[str, Callable[[str, Step], str]] = {
    "add to the imports": add_to_imports,
    "add to the class": add_to_class,
    "add to the tuple": add_to_literal,
    "add to the mapping": add_to_literal,
    "add before": add_before,
    "add at the end": add_at_the_end,
}


def apply(tree: Path, step: Step) -> None:
    path = tree / step.path
    if step.action == "create":
        assert not path.exists(), f"{step.path} is there already"
        path.write_text(step.block)
    else:
        path.write_text(ACTIONS[step.action](path.read_text(), step))


def run(tree: Path, *command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]


def copied(target: Path) -> Path:
    target.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=NOT_COPIED)
        else:
            shutil.copy2(ROOT / name, target / name)
    if (ROOT / ".mypy_cache").is_dir():  # a matter of time only
        shutil.copytree(ROOT / ".mypy_cache", target / ".mypy_cache")
    return target


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.heading)
def test_recipe_when_it_is_followed_then_the_checks_pass(recipe: Recipe, tmp_path: Path) -> None:
    steps = steps_of(recipe)
    changed = {step.path for step in steps}
    existing = {path for path in changed if path.startswith(PRODUCT) and (ROOT / path).exists()}
    assert 0 < len(existing) <= recipe.product
    tree = copied(tmp_path / "tree")
    for step in steps:
        apply(tree, step)
    python = sorted(path for path in changed if path.endswith(".py"))
    run(tree, "ruff", "check", "--no-cache", "--fix", "--select", "I", "--quiet", *python)
    run(tree, "ruff", "check", "--no-cache", *python)
    run(tree, "ruff", "format", "--no-cache", "--check", *python)
    run(tree, "mypy", *python)
    run(tree, "grafana.src.generate")
    run(tree, "pytest", *recipe.tests)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.heading)
def test_recipe_when_it_lists_its_files_then_they_are_those_that_it_changes(recipe: Recipe) -> None:
    text = PAGE.read_text().partition(f"\n### {recipe.heading}\n")[2].partition("\nIn `")[0].partition("\nCreate `")[0]
    named = {path for path in re.findall(r"`((?:kmodmon|grafana)/[\w/.]+\.py)`", text)}
    assert named == {step.path for step in steps_of(recipe) if step.action != "create"} - {
        step.path for step in steps_of(recipe) if step.path.startswith("tests/")
    }


SYSCTL = Step(
    path="kmodmon/kernel/sysctl.py",
    action="add to the tuple",
    name="HARDENING",
    owner="",
    block='    _kernel("example_limit", "an example"),\n',
)
SYSCTL_TEST = """
from tests.test_golden import TREES, metrics


def test_sysctl() -> None:
    (TREES[0] / "proc/sys/kernel/example_limit").write_text("7\\n")
    assert '\\nkmodmon_hardening{setting="example_limit"} 7.0\\n' in metrics(TREES[0])
"""


def test_sysctl_when_a_row_is_added_then_it_is_exposed_as_the_architecture_says(tmp_path: Path) -> None:
    assert f"`{SYSCTL.path}:" in (ROOT / "ARCHITECTURE.md").read_text()
    tree = copied(tmp_path / "tree")
    apply(tree, SYSCTL)
    (tree / "tests/test_sysctl.py").write_text(SYSCTL_TEST)
    run(tree, "pytest", "tests/test_sysctl.py")
