"""What all tests share.

Properties are judged by what they find, not by how busy the machine is; a run finds what the run before it found.
New inputs are looked for with `make fuzz`.
"""

import psutil
import pytest
from hypothesis import settings

settings.register_profile("kmodmon", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None)
settings.load_profile("kmodmon")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden files are rewritten on request, never by themselves."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def _own_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The actors of a synthetic host point psutil, as a whole, at that host's /proc, and the next test has its own."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/proc")
