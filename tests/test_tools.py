"""What `make test` makes ready is there and works."""

import subprocess

import pytest

from tests.tools import INSTALLED, UNPACKED, ToolError, tool

VERSION_FLAG = {"openssl": "version"}


@pytest.mark.parametrize("name", [*INSTALLED, *UNPACKED])
def test_tool_when_made_ready_then_it_runs(name: str) -> None:
    done = subprocess.run((tool(name), VERSION_FLAG.get(name, "--version")), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tool_when_unknown_then_the_error_says_what_to_do() -> None:
    with pytest.raises(ToolError, match=r"tests/tools\.py"):
        tool("kmodmon-no-such-program")
