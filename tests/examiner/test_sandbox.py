"""The examiner process after it has shut itself in: what an attacker who runs code in it could still do."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent.parent
FILES = ("append", "update", "create", "nameless", "through_descriptor", "rename", "directory", "link", "remove", "run")
ANSWERING = """
import sys
from kmodmon.examiner import __main__ as examiner


def answer(request, problems):
    print(open("/proc/self/status").read(), *problems, file=sys.stderr)
    yield from ()


examiner.answer = answer
sys.exit(examiner.main())
"""
needs_table = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no table of system calls")


def attempts(mechanism: str, directory: Path) -> tuple[object, dict[str, int]]:
    """Give what entering gave, and the errno of each attempt."""
    (directory / "file").write_text("content")
    done = subprocess.run(
        [sys.executable, "-m", "tests.examiner.sandbox_attempts", mechanism, str(directory)],
        capture_output=True, check=True, cwd=TREE,
    )  # fmt: skip
    entered, outcomes = json.loads(done.stdout)
    return entered, outcomes


@needs_table
@pytest.mark.parametrize("mechanism", ["both", "seccomp"])
def test_confined_when_somebody_runs_code_in_it_then_it_can_only_read(mechanism: str, tmp_path: Path) -> None:
    entered, outcomes = attempts(mechanism, tmp_path)
    assert entered is True
    assert {name for name, number in outcomes.items() if number == 0} == {"read", "list"}


def test_landlock_when_there_is_no_filter_then_no_file_changes_or_runs(tmp_path: Path) -> None:
    version, outcomes = attempts("landlock", tmp_path)
    if version == 0:
        pytest.skip("this kernel has no Landlock")
    assert all(outcomes[name] != 0 for name in FILES) and outcomes["read"] == 0


def test_examiner_when_it_answers_then_it_is_confined() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ANSWERING], input=b'{"release": "6.1.0"}\n', capture_output=True, check=True, cwd=TREE
    )
    status = dict(line.split(":\t", 1) for line in done.stderr.decode().splitlines() if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert b"unconfined" not in done.stderr


def test_examiner_when_nothing_confines_it_then_its_answer_says_so(tmp_path: Path) -> None:
    without = ANSWERING.replace(
        "examiner.answer", "examiner.confine = lambda: Confinement(seccomp=False, landlock=0)\nexaminer.answer"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from kmodmon.examiner.sandbox import Confinement\n" + without],
        input=b'{"release": "6.1.0"}\n', capture_output=True, check=True, cwd=TREE,
    )  # fmt: skip
    assert b"the examiner runs unconfined" in done.stderr
