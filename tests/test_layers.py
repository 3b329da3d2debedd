"""The layers: imports point one way only, and the pure rooms do no I/O. Read from the source, not from a diagram."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kmodmon"

# A room is the first path element below kmodmon/. Which rooms each may import beside itself.
SUBJECTS = {"types", "kernel", "modfile", "events", "lifecycle", "subjects"}
STATE = SUBJECTS | {"state"}
MAY_IMPORT: dict[str, set[str]] = {
    "types": set(),
    "kernel": {"types"},
    "modfile": {"types", "kernel"},
    "savedlog": {"types", "kernel"},
    "config": {"types", "kernel"},
    "events": {"types", "kernel"},
    "lifecycle": {"types", "kernel", "events"},
    "subjects": {"types", "kernel", "modfile", "events", "lifecycle"},
    "state": SUBJECTS,
    "reports": SUBJECTS | {"savedlog"},
    "policy": STATE | {"config"},
    "preflight": SUBJECTS,
    "folds": STATE | {"reports", "policy"},
    "pipeline": STATE | {"folds", "policy"},
    "metrics": STATE | {"reports", "policy", "__init__"},
    "view": STATE | {"reports", "policy", "__init__"},
    "system": {"types", "events"},
    # of the examiner only what talks to its process, and how paths of a mounted host are followed
    "sources": STATE | {"config", "system", "examiner"},
    "examiner": STATE | {"preflight", "system"},
    "store": {"types", "events", "system"},
    "web": STATE | {"config", "system", "metrics", "view", "reports", "policy", "__init__"},
}
IMPURE = {"os", "socket", "time", "logging", "asyncio", "sqlite3", "pathlib", "subprocess", "threading", "psutil"}
PURE_ROOMS = {
    "types", "kernel", "modfile", "savedlog", "events", "lifecycle", "subjects", "state", "reports", "policy",
    "preflight", "folds", "pipeline", "view",
}  # fmt: skip
WIRING = {"cli", "runtime", "__main__", "__init__", "_data"}


def files() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield room_of(path), path


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                if module == "kmodmon":
                    yield from (f"kmodmon.{name.name}" for name in names)
                else:
                    yield module


def target(module: str) -> str | None:
    if not module.startswith("kmodmon."):
        return None
    room = module.split(".")[1]
    return room if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists() else "__init__"


@pytest.mark.parametrize(("room", "path"), [pytest.param(r, p, id=str(p.relative_to(PACKAGE))) for r, p in files()])
def test_imports_when_a_file_is_read_then_they_point_down(room: str, path: Path) -> None:
    allowed = MAY_IMPORT.get(room)
    if allowed is None:  # wiring: may import all
        assert room in WIRING, f"room {room} has no line in MAY_IMPORT"
        return
    wrong = [
        module for module in imported(path) if (into := target(module)) is not None and into not in {room, *allowed}
    ]
    assert not wrong, f"{path.name} of room {room} must not import {wrong}"


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(PACKAGE))) for r, p in files() if r in PURE_ROOMS]
)
def test_pure_rooms_when_a_file_is_read_then_it_does_no_io(path: Path) -> None:
    wrong = {module.split(".")[0] for module in imported(path)} & IMPURE
    assert not wrong, f"{path.name} must stay pure and imports {sorted(wrong)}"


LISTINGS = {"kmodmon/sources": ("registry.py", "followed.py")}


@pytest.mark.parametrize(
    ("room", "table"),
    [
        ("kmodmon/metrics", "METRICS"),
        ("kmodmon/sources", "SOURCE"),
        ("grafana/src/alerts", "GROUP"),
        ("grafana/src/dashboards", "DASHBOARD"),
    ],
)
def test_rooms_when_a_file_has_a_table_then_the_room_lists_it(room: str, table: str) -> None:
    listing = "".join((PACKAGE.parent / room / name).read_text() for name in LISTINGS.get(room, ("__init__.py",)))
    for path in sorted((PACKAGE.parent / room).glob("*.py")):
        declares = any(
            isinstance(node, ast.Assign | ast.AnnAssign) and table in ast.unparse(node).split("=")[0].split(":")[0]
            for node in ast.parse(path.read_text()).body
        )
        if declares and path.name != "__init__.py":
            assert f"{path.stem}.{table}" in listing, f"room {room} does not list {path.stem}.{table}"
