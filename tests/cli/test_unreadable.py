"""Verbs on a host of which nothing can be read: an exit code and a sentence, never a number that nobody gave."""

import json
from pathlib import Path

import pytest

from kmodmon.__main__ import main

TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"


def on_nothing(tmp_path: Path, *words: str) -> int:
    nothing = str(tmp_path / "nothing")
    return main([*words, "--path.procfs", nothing, "--path.sysfs", nothing, "--path.rootfs", nothing])


@pytest.mark.parametrize("verb", ["status", "modules", "taint"])
def test_verb_when_there_is_no_procfs_then_exits_3_with_one_sentence(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_nothing(tmp_path, verb) == 3
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("kmodmon: ") and shown.err.count("\n") == 1


def test_check_when_there_is_no_procfs_then_unknown_and_where_to_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_nothing(tmp_path, "check", "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "UNKNOWN" and [text.partition(":")[0] for text in document["unknown"]] == [
        "taint", "modules",
    ]  # fmt: skip
    assert all("kmodmon doctor" in text for text in document["unknown"])


def test_metrics_when_there_is_no_procfs_then_module_support_is_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_nothing(tmp_path, "metrics") == 0
    shown = capsys.readouterr().out
    assert "\nkmodmon_module_support" not in shown and "\nkmodmon_kernel_tainted" not in shown
    assert 'kmodmon_source_present{source="modules"} 0.0' in shown


def test_preflight_when_there_is_no_file_then_says_so_in_the_words_of_the_tools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preflight", str(tmp_path / "none.ko"), "--json", "--root", str(TREE)]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)
    assert (verdict["errno"], verdict["message"]) == ("ENOENT", "No such file or directory")


def test_preflight_when_the_named_kernel_is_not_installed_then_exits_3_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["preflight", __file__, "--kernel", "9.9.9", "--root", str(TREE)]) == 3
    shown = capsys.readouterr()
    assert shown.out == "" and "kernel 9.9.9 is not installed" in shown.err
