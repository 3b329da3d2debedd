"""What all tests share: properties are judged by what they find, not by how busy the machine is."""

import pytest
from hypothesis import settings

settings.register_profile("kmodmon", deadline=None)
settings.load_profile("kmodmon")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden files are rewritten on request, never by themselves."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written."""
    return bool(request.config.getoption("--update-golden"))
