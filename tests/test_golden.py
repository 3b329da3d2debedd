"""The whole of kmodmon on recorded kernels: metrics, API and commands, compared with what was reviewed and committed.

`pytest tests/test_golden.py --update-golden` writes them anew; the difference is reviewed in the commit.
"""

import contextlib
import io
import json
import re
from argparse import Namespace
from pathlib import Path

import pytest

from kmodmon.cli import VERBS
from kmodmon.cli.frame import dispatch
from kmodmon.cli.options import located
from kmodmon.config.load import flags_of, load
from kmodmon.metrics import EVENT_METRICS, METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.runtime.one_shot import look_once
from kmodmon.sources.source import SourceContext
from kmodmon.state.state import State
from kmodmon.system.root import recorded_failures
from kmodmon.view.modules import modules_view
from kmodmon.view.parameters import parameters_view
from kmodmon.view.sources import sources_view
from kmodmon.view.status import status_view
from tests.fake_clock import FakeClock

HERE = Path(__file__).parent
TREES = sorted(path for path in (HERE / "trees").iterdir() if path.is_dir())
OWN = ("kmodmon_build_info",)  # says which Python runs the tests
COMMANDS = (("modules",), ("taint",), ("check",), ("doctor", "--json"))  # no table is as wide as a path is long


def look(tree: Path) -> State:
    settings = load(None, flags_of(Namespace(root=tree)), {})
    root = located(settings.path).failing(recorded_failures(tree))
    return look_once(SourceContext(root=root, settings=settings, clock=FakeClock()), event_metrics=EVENT_METRICS)


def metrics(tree: Path) -> str:
    text = Exposition(METRICS).body(look(tree), ExpositionFormat.TEXT).decode()
    return "".join(line for line in text.splitlines(keepends=True) if not any(name in line for name in OWN))


def api(tree: Path) -> str:
    state = look(tree)
    pages = {
        "status": {**status_view(state), "kmodmon": "any"},
        "modules": modules_view(state),
        "parameters": parameters_view(state),
        "sources": sources_view(state.sources),
    }
    return json.dumps(pages, indent=1, default=list).replace(str(tree), "TREE") + "\n"


def commands(tree: Path) -> str:
    lines = []
    for command in COMMANDS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = dispatch([*command, "--root", str(tree), "--history.directory", str(tree / "none")])
        lines.append(f"$ kmodmon {' '.join(command)}\n{out.getvalue()}exit {code}\n")
    return re.sub(r'"last_read": \d+', '"last_read": 0', "\n".join(lines).replace(str(tree), "TREE"))


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.name)
@pytest.mark.parametrize("make", [metrics, api, commands], ids=["metrics", "api", "commands"])
def test_tree_when_read_then_everything_is_as_reviewed(tree: Path, make: object, update_golden: bool) -> None:
    assert callable(make)
    found = make(tree)
    golden = HERE / "golden" / tree.name / f"{getattr(make, '__name__', '')}.txt"
    if update_golden:
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(found)
    assert golden.read_text() == found, "differs from what was reviewed; see the head of this file"


def test_trees_when_counted_then_old_and_new_kernels_are_among_them() -> None:
    assert len(TREES) >= 4
    assert {verb.name for verb in VERBS} >= {command[0] for command in COMMANDS}
