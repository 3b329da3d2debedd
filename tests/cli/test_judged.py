"""`status`, `check` and `baseline` on recorded hosts: what they print, and the exit codes that scripts go by."""

import json
from pathlib import Path

import pytest

from kmodmon.__main__ import main

TREES = Path(__file__).parent.parent / "trees"
TAINTED = TREES / "debian13-6.12-x86_64"


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """A host without settings, history or rules of its own."""
    places = {"history.directory": "state", "policy.file": "policy.toml", "baseline.file": "baseline.toml"}
    return [word for name, file in places.items() for word in (f"--{name}", str(tmp_path / file))]


def clean(tmp_path: Path) -> list[str]:
    """A host of one signed module."""
    for path, text in {
        "proc/modules": "loop 45056 0 - Live 0x0000000000000000\n",
        "proc/version": "Linux version 6.1.0-1-amd64 (a@b) (gcc) #1 SMP\n",
        "proc/sys/kernel/tainted": "0\n",
        "sys/module/loop/initstate": "live\n",
    }.items():
        file = tmp_path / "host" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return ["--root", str(tmp_path / "host")]


def test_status_when_the_host_is_clean_then_exits_0(
    tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", *clean(tmp_path), *flags]) == 0
    shown = capsys.readouterr().out
    assert "Taint        none" in shown and "Findings     none by the shipped policy" in shown


def test_status_when_there_are_findings_then_exits_1_and_names_them(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--root", str(TAINTED), *flags]) == 1
    shown = capsys.readouterr().out
    assert "PCOEKN (308225)" in shown and "error unsigned-module: hello_unsigned" in shown
    assert "\x1b" not in shown  # no colour where there is no terminal
    assert main(["status", "--json", "--root", str(TAINTED), *flags]) == 1
    status = json.loads(capsys.readouterr().out)
    assert status["taint"]["value"] == 308225 and status["events"] == []


@pytest.mark.parametrize(
    ("severity", "word", "code"), [("info", "OK", 0), ("warning", "WARNING", 1), ("critical", "CRITICAL", 2)]
)
def test_check_when_a_rule_finds_something_then_the_code_is_its_severity(
    severity: str, word: str, code: int, tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rule = f'[[rule]]\nname = "no-loop"\naction = "deny"\nseverity = "{severity}"\n[rule.match]\nmodule = "loop"\n'
    (tmp_path / "policy.toml").write_text(rule)
    assert main(["check", *clean(tmp_path), *flags]) == code
    first, finding = capsys.readouterr().out.splitlines()
    assert first == f"{word}: 1 finding" and "no-loop: loop" in finding
    assert main(["check", "--json", *clean(tmp_path), *flags]) == code
    assert json.loads(capsys.readouterr().out)["status"] == word


def test_check_when_nothing_is_found_then_says_ok(
    tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *clean(tmp_path), *flags]) == 0
    assert capsys.readouterr().out == "OK: 0 findings\n"


def test_check_when_verbose_then_says_what_to_do(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--verbose", "--root", str(TAINTED), *flags]) == 2
    assert "    -> Sign it with a key of yours" in capsys.readouterr().out


def test_baseline_when_learnt_changed_and_accepted_then_each_step_says_so(
    tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--root", str(TAINTED), "--baseline.file", flags[-1], "--history.directory", flags[1]]
    file = tmp_path / "baseline.toml"
    assert main(["baseline", "diff", *flags]) == 3  # there is none
    assert main(["baseline", "learn", *flags]) == 0
    assert main(["baseline", "diff", *flags]) == 0
    assert main(["baseline", "learn", *flags]) == 3  # it is there already
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("loop =")))
    capsys.readouterr()
    assert main(["baseline", "diff", "--json", *flags]) == 1
    assert [module["name"] for module in json.loads(capsys.readouterr().out)] == ["loop"]
    assert main(["baseline", "accept", *flags]) == 2  # by whom, and why?
    assert main(["baseline", "accept", "--reason", "it is wanted", "--author", "me", *flags]) == 0
    assert main(["baseline", "diff", *flags]) == 0
    assert 'author = "me"' in file.read_text()
