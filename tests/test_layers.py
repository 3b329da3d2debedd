"""The layers: imports point one way only, and the pure rooms do no I/O. Read from the source, not from a diagram."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kmodmon"

# A room is the first path element below kmodmon/. Which rooms each may import.
KERNEL = {"kernel"}
MODEL = KERNEL | {"model"}
SHARED = MODEL | {"root", "clock", "settings", "values"}
MAY_IMPORT: dict[str, set[str]] = {
    "kernel": KERNEL,
    "model": MODEL,
    "signatures": MODEL | {"signatures"},
    "policy": MODEL | {"policy"},
    "preflight": MODEL | {"preflight"},
    "metrics": MODEL | {"metrics", "signatures", "policy", "__init__"},
    "view": MODEL | {"view", "signatures", "policy", "__init__"},
    "alerts": MODEL | {"alerts", "metrics", "signatures", "policy"},
    "dashboards": MODEL | {"dashboards", "alerts", "metrics", "signatures", "policy"},
    "pipeline": MODEL | {"signatures", "policy"},
    "root": MODEL,
    "clock": MODEL,
    "values": KERNEL,
    "settings": KERNEL | {"values"},
    "config": KERNEL | {"values", "settings"},
    # of the examiner only what talks to its process, and how paths of a mounted host are followed
    "sources": SHARED | {"sources", "examiner", "watching", "lean_import"},
    "examiner": SHARED | {"examiner", "preflight"},
    "store": MODEL | {"store", "clock"},
    "web": MODEL | {"web", "metrics", "view", "clock", "policy", "signatures", "__init__"},
    "lean_import": set(),
    "frugal": set(),
    "journal": MODEL,
    "sdnotify": MODEL | {"clock"},
}
IMPURE = {"os", "socket", "time", "logging", "asyncio", "sqlite3", "pathlib", "subprocess", "threading", "psutil"}
PURE_ROOMS = {"kernel", "model", "signatures", "policy", "preflight", "view", "alerts", "dashboards"}


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
    wrong = [module for module in imported(path) if (into := target(module)) is not None and into not in allowed]
    assert not wrong, f"{path.name} of room {room} must not import {wrong}"


WIRING = {
    "cli",
    "recorder",
    "watching",
    "daemon",
    "host",
    "engine",
    "packaged",
    "config_writer",
    "__main__",
    "__init__",
    "_data",
}


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=str(p.relative_to(PACKAGE))) for r, p in files() if r in PURE_ROOMS]
)
def test_pure_rooms_when_a_file_is_read_then_it_does_no_io(path: Path) -> None:
    wrong = {module.split(".")[0] for module in imported(path)} & IMPURE
    assert not wrong, f"{path.name} must stay pure and imports {sorted(wrong)}"


LISTINGS = {"sources": ("polled.py", "followed.py")}


@pytest.mark.parametrize(
    ("room", "table"), [("metrics", "METRICS"), ("sources", "SOURCE"), ("alerts", "GROUP"), ("dashboards", "DASHBOARD")]
)
def test_rooms_when_a_file_has_a_table_then_the_room_lists_it(room: str, table: str) -> None:
    listing = "".join((PACKAGE / room / name).read_text() for name in LISTINGS.get(room, ("__init__.py",)))
    for path in sorted((PACKAGE / room).glob("*.py")):
        declares = any(
            isinstance(node, ast.Assign | ast.AnnAssign) and table in ast.unparse(node).split("=")[0].split(":")[0]
            for node in ast.parse(path.read_text()).body
        )
        if declares and path.name != "__init__.py":
            assert f"{path.stem}.{table}" in listing, f"room {room} does not list {path.stem}.{table}"
