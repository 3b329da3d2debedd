"""What all tests share.

Properties are judged by what they find, not by how busy the machine is; a run finds what the run before it found.
New inputs are looked for with `make fuzz`.

A test that starts a process or opens a socket to anywhere is marked ``process``, and `make check` leaves it out; the
files are listed here. In every other test an audit hook refuses both, so the list cannot be forgotten.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

settings.register_profile("kmodmon", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None)
settings.load_profile("kmodmon")

HERE = Path(__file__).parent
# Files and directories whose tests start processes, listen, or connect.
PROCESSES = (
    "alerts/test_alertmanager.py",
    "alerts/test_prometheus_examples.py",
    "alerts/test_recordings.py",
    "alerts/test_rules.py",
    "browser",
    "cli/test_child.py",
    "cli/test_events.py",
    "cli/test_frame.py",
    "cli/test_handover.py",
    "cli/test_imports.py",
    "dashboards/test_dashboards.py",
    "dashboards/test_queries.py",
    "examiner/test_client.py",
    "examiner/test_image.py",
    "examiner/test_loader_host.py",
    "examiner/test_sandbox.py",
    "examiner/test_verify.py",
    "modfile/test_module_signature.py",
    "runtime/test_hung_daemon.py",
    "runtime/test_killed.py",
    "runtime/test_reload.py",
    "sources/test_files.py",
    "store/test_check_by_hand.py",
    "store/test_faults.py",
    "supply/test_sbom.py",
    "supply/test_wheel.py",
    "system/test_journal.py",
    "system/test_memory_footprint.py",
    "system/test_partial_import.py",
    "system/test_sd_notify.py",
    "test_demo.py",
    "test_fleet.py",
    "test_quality.py",
    "test_recipes.py",
    "test_tools.py",
    "test_unit.py",
    "vm",
    "web",
)
_AUDITED = frozenset({"subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "socket.bind", "socket.connect"})
_PURE: list[str] = []  # the test that runs now, if it must do none of these


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _PURE and event in _AUDITED:
        raise RuntimeError(f"{_PURE[-1]}: {event}{arguments[:2]}: its file belongs into PROCESSES in tests/conftest.py")


sys.addaudithook(_audit)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden files are rewritten on request, never by themselves."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of :data:`PROCESSES`, before markers choose what runs."""
    for item in items:
        if item.path.is_relative_to(HERE):
            path = item.path.relative_to(HERE)
            if str(path) in PROCESSES or path.parts[0] in PROCESSES:
                item.add_marker("process")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def _own_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The actors of a synthetic host point psutil, as a whole, at that host's /proc, and the next test has its own."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/proc")


@pytest.fixture(autouse=True)
def _no_pauses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads a recorded host several times, some time apart, need not wait: it does not change."""
    crossview = sys.modules.get("kmodmon.sources.crossview")
    if crossview is not None and "/sources/" not in request.node.nodeid:
        monkeypatch.setattr(crossview, "_PAUSES", (0.0,) * 5, raising=False)


@pytest.fixture(autouse=True)
def _pure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the audit hook watch over a test that is not marked."""
    if request.node.get_closest_marker("process") is not None:
        yield
        return
    _PURE.append(request.node.nodeid)
    yield
    _PURE.clear()
