"""The dashboards against Grafana's own TypeScript types.

    npm install --prefix ~/.cache/kmodmon/npm @grafana/schema@13.2.3 typescript@5

Where these packages are not in the cache this is left out: a fresh machine has neither Node nor a way to npm.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kmodmon.types.units import JsonObject
from tests.dashboards.lint import ROOM, load, member, panels
from tests.tools import cache

MODULES = cache() / "npm/node_modules"
SCHEMA, COMPILER = MODULES / "@grafana/schema", MODULES / "typescript/bin/tsc"
FILES = sorted(ROOM.glob("*.json"))
# Where the package has the types of a panel's options; its own name for it, and whether `custom` has a type too.
PANELS = {
    "stat": ("stat", False),
    "timeseries": ("timeseries", True),
    "table": ("table", True),
    "state-timeline": ("statetimeline", True),
    "nodeGraph": ("nodegraph", False),
    "bargauge": ("bargauge", False),
}
HEAD = """
import type * as schema from "@grafana/schema";
// JSON has no enumerations: a member is the text or number it stands for.
type Plain<T> = unknown extends T ? T
  : T extends string ? `${T}`
  : T extends number | boolean | null | undefined ? T
  : T extends Array<infer U> ? Array<Plain<U>>
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
// What a Prometheus annotation has beside what every annotation has.
type PromAnnotation = Omit<schema.AnnotationQuery, "target"> & {
  expr: string; step: string; tagKeys: string; textFormat: string; titleFormat: string; useValueForTime: string;
  target: { expr: string; interval: string; refId: string };
};
type OurDashboard = Omit<schema.Dashboard, "annotations"> & { annotations: { list: PromAnnotation[] } };
"""

pytestmark = pytest.mark.skipif(
    not (SCHEMA.exists() and COMPILER.exists() and shutil.which("node")), reason="Grafana's types are not in the cache"
)


def source(path: Path) -> str:
    """A TypeScript program that is correct if the dashboard is."""
    dashboard = load(path)
    return HEAD + "\n".join(
        (
            *(
                f'import type * as {kind} from "{_types(kind)}";'
                for kind in sorted({PANELS[str(panel["type"])][0] for panel in panels(dashboard)})
            ),
            f"const dashboard: Plain<OurDashboard> = {json.dumps(dashboard)};",
            *_panels(dashboard),
        )
    )


def _types(kind: str) -> str:
    directory = SCHEMA / "dist/types/raw/composable" / kind / "panelcfg/x"
    assert directory.is_dir(), directory
    return str(directory / "types.gen")


def _panels(dashboard: JsonObject) -> Iterator[str]:
    for number, panel in enumerate(panels(dashboard)):
        kind, has_custom = PANELS[str(panel["type"])]
        yield f"const options{number}: Plain<{kind}.Options> = {json.dumps(panel['options'])};"
        if has_custom:
            custom = member(panel, "fieldConfig", "defaults")["custom"]
            yield f"const custom{number}: Plain<Partial<{kind}.FieldConfig>> = {json.dumps(custom)};"


def complaints(programs: Mapping[str, str], tmp_path: Path) -> str:
    """What the compiler says; all at once, because reading the types takes longest."""
    (tmp_path / "node_modules").symlink_to(MODULES)
    for name, program in programs.items():
        (tmp_path / f"{name}.ts").write_text(program)
    flags = ("--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext")
    files = (f"{name}.ts" for name in programs)
    command = ("node", str(COMPILER), *flags, "--moduleResolution", "bundler", *files)
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    return process.stdout + process.stderr


def test_dashboards_when_compiled_against_the_types_then_they_fit(tmp_path: Path) -> None:
    assert complaints({path.stem: source(path) for path in FILES}, tmp_path) == ""


MISSPELT = {
    "key": ('"gridPos"', '"gridpos"'),
    "option": ('"cellHeight": "sm"', '"cellHeight": "small"'),
    "style": ('"drawStyle": "bars"', '"drawStyle": "bar"'),
    "kind": ('"graphTooltip": 1', '"graphTooltip": "shared"'),
}


def test_compiler_when_something_is_misspelt_then_it_says_so(tmp_path: Path) -> None:
    program = source(ROOM / "kmodmon-self.json")
    assert all(right in program for right, _ in MISSPELT.values())
    output = complaints({name: program.replace(*words) for name, words in MISSPELT.items()}, tmp_path)
    assert {name for name in MISSPELT if f"{name}.ts(" in output} == set(MISSPELT), output
