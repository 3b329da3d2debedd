"""The wheel: whoever builds it, wherever and whenever, gets the same bytes, and nothing but the package is in it."""

import hashlib
import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.supply.lock import ROOT
from tests.supply.wheel import build

SOURCES = ("kmodmon", "grafana", "systemd", "pyproject.toml", "README.md", "LICENSE", ".gitignore")
LITTER = ("kmodmon/__pycache__/x.cpython-311.pyc", "kmodmon/kernel/x.pyc", "build/lib/x.py", "tests/test_x.py", "x.py")


def copy(target: Path, *, seconds: int, mode: int) -> Path:
    """A copy of the tree with files of this time and mode, and with what lies about in a tree where one works."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(exist_ok=True, parents=True)
            shutil.copy(source, target / name)
    for name in LITTER:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text("litter")
    for path in target.rglob("*"):
        if path.is_file():
            path.chmod(mode)
            os.utime(path, (seconds, seconds))
    return target


def environment(**changes: str) -> Mapping[str, str]:
    plain = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    return {**plain, **changes}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("trees")
    before = os.umask(0o022)
    try:
        first = copy(base / "a", seconds=1_600_000_000, mode=0o644)
        one = build(first, base / "one", environment(TZ="UTC", PYTHONHASHSEED="1"))
        os.umask(0o077)
        second = copy(base / "a much longer name" / "b", seconds=1_700_000_001, mode=0o600)
        two = build(second, base / "two", environment(TZ="Asia/Tokyo", PYTHONHASHSEED="2", LC_ALL="C"))
    finally:
        os.umask(before)
    return one, two


def test_wheel_when_built_elsewhere_at_another_time_by_another_user_then_it_is_the_same(
    built: tuple[Path, Path],
) -> None:
    one, two = built
    assert one.name == two.name
    assert hashlib.sha256(one.read_bytes()).hexdigest() == hashlib.sha256(two.read_bytes()).hexdigest()


def test_wheel_when_listed_then_it_holds_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included: Mapping[str, str] = document["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    expected = {path.relative_to(ROOT).as_posix() for path in files(ROOT / "kmodmon")}
    for source, target in included.items():
        path = ROOT / source
        expected |= {target} if path.is_file() else {f"{target}/{each.relative_to(path)}" for each in files(path)}
    with ZipFile(built[0]) as archive:
        names = archive.namelist()
    info = {name for name in names if name.startswith("kmodmon-")}
    assert set(names) - info == expected
    assert {name.partition("/")[2] for name in info} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
