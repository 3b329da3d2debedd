"""In processes of their own: what a process has imported it cannot forget."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from kmodmon.sources.lean_import import import_submodule
found = import_submodule({package!r}, {name!r})
print(len([name for name in sys.modules if name.startswith({package!r})]), found.__name__, *dir(found))
"""


def imported(package: str, name: str, path: Path | None = None) -> list[str]:
    code = (f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else "") + CODE.format(
        package=package, name=name
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_uevents_when_imported_leanly_then_the_socket_is_there_and_little_else() -> None:
    count, _, *names = imported("pyroute2", "netlink.uevent")
    assert "AsyncUeventSocket" in names
    assert int(count) < 40


def test_package_when_it_needs_its_own_start_then_it_is_imported_in_the_ordinary_way(tmp_path: Path) -> None:
    package = tmp_path / "needy"
    package.mkdir()
    (package / "__init__.py").write_text("SETTING = 7\n")
    (package / "part.py").write_text("from needy import SETTING\nFOUND = SETTING\n")
    count, name, *names = imported("needy", "part", tmp_path)
    assert (count, name) == ("2", "needy.part")
    assert "FOUND" in names
