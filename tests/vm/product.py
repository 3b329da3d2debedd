"""kmodmon as a user gets it: the wheel of this tree and what it depends on, on a disk that is plugged into guests.

Nothing is installed inside a guest: pip runs here, for the guest's Python, when a digest of the sources says that it
has to. Modules are compiled by this machine's Python; where that is another version than the guest's, the guest
compiles them at each start, which is slower and no different.
"""

import shutil
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.tools import locked
from tests.vm.lab import HERE, LabError, build, directory, make_disk, run, stamp, tree_mebibytes

TREE = HERE.parent.parent
UNIT = TREE / "systemd/kmodmon.service"
_SOURCES = ("kmodmon", "grafana", "systemd", "pyproject.toml", "README.md", "LICENSE")
# Debian 12's; wheels with compiled code are for one version.
_FOR_GUEST = ("--python-version", "3.11", "--only-binary", ":all:")
_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
_RECIPE = "2c"
_KEPT_SECONDS = 24 * 3600

SITE = "/opt/kmodmon"
"""Where kmodmon lies in a guest."""

LAUNCHER = f"""#!/usr/bin/python3
import sys

sys.path.insert(0, "{SITE}")
from kmodmon.__main__ import main

sys.exit(main())
"""
"""What pip would have put at /usr/bin/kmodmon."""

FULL_DETAIL = "--web.detail full"
KMODMON_PORT = 10069
"""Where its server listens unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """kmodmon made ready for guests: `image` is a disk holding a directory for the Python path."""

    image: Path
    unit: Path

    @property
    def listening(self) -> str:
        """Drop-in for the unit, to serve every address: QEMU's forwards come from outside the guest's loopback."""
        everybody = "IPAddressDeny=\nIPAddressAllow=\n"
        patience = "TimeoutStartSec=300\n"  # emulated, on a busy machine
        # The tests ask from outside, and want to see everything; test_web_detail.py takes the flag away again.
        options = f'Environment="KMODMON_LISTEN=--listen=0.0.0.0:{KMODMON_PORT} {FULL_DETAIL}"\n'
        return f"[Service]\n{patience}{everybody}{options}"


def product() -> Product:
    """Give kmodmon as it is in the tree now, built if need be."""
    with locked("vm/product"):
        dependencies = _dependencies()
        wanted = stamp(_RECIPE, dependencies.name, *(TREE / name for name in _SOURCES))

        def make(target: Path) -> None:
            _make_site(dependencies, target)

        return Product(image=build(_made(f"site-{wanted}"), wanted, make) / "site.img", unit=UNIT)


def _dependencies() -> Path:
    # Apart, because they change seldom and take long to fetch.
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    wanted = stamp(_RECIPE, *project["dependencies"])

    def make(target: Path) -> None:
        run(*_PIP, "install", *_FOR_GUEST, "--target", target / "site", *project["dependencies"])

    return build(_made(f"dependencies-{wanted}"), wanted, make)


def _made(name: str) -> Path:
    # Each is named by what it is made from: another tree may run its tests beside this one. Those of yesterday go.
    target = directory("product") / name
    for old in directory("product").glob(f"{name.partition('-')[0]}-*"):
        if old != target and old.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(old)
    return target


def _make_site(dependencies: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        # Without isolation: the build backend is among the development dependencies, so no network is needed.
        run(*_PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", scratch, TREE)
        wheels = list(Path(scratch).glob("*.whl"))
        if len(wheels) != 1:
            raise LabError(f"one wheel was expected, and pip made {wheels}")
        tree = Path(scratch) / "site"
        shutil.copytree(dependencies / "site", tree, symlinks=True)
        run(*_PIP, "install", *_FOR_GUEST, "--no-deps", "--target", tree, wheels[0])
        make_disk(target / "site.img", tree, mebibytes=tree_mebibytes(tree) * 5 // 4 + 16, label="kmodmon")
