"""`kmodmon metrics`: one reading, printed or written for the textfile collector."""

import stat
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from kmodmon.__main__ import main

TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"


def test_metrics_when_printed_then_what_is_found_did_not_happen_just_now(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--root", str(TREE)]) == 0
    families = {family.name: family.samples for family in text_string_to_metric_families(capsys.readouterr().out)}
    assert {sample.labels["module"] for sample in families["kmodmon_policy_finding"]} >= {"hello_unsigned"}
    assert "kmodmon_policy_violation_timestamp_seconds" not in families


def test_metrics_when_openmetrics_is_asked_for_then_it_is_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--root", str(TREE), "--openmetrics"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("# EOF\n") and len(list(openmetrics(out))) > 50  # type: ignore[no-untyped-call]


def test_textfile_when_written_then_whole_readable_and_alone(tmp_path: Path) -> None:
    file = tmp_path / "kmodmon.prom"
    file.write_text("old")
    assert main(["metrics", "--root", str(TREE), "--textfile", str(file)]) == 0
    assert list(text_string_to_metric_families(file.read_text()))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644 and list(tmp_path.iterdir()) == [file]


def test_textfile_when_a_directory_is_in_its_place_then_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "kmodmon.prom").mkdir()
    assert main(["metrics", "--root", str(TREE), "--textfile", str(tmp_path / "kmodmon.prom")]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["kmodmon.prom"]


@pytest.mark.parametrize("name", ["kmodmon.txt", "none/kmodmon.prom"])
def test_textfile_when_it_cannot_be_written_then_exits_3_with_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", "--root", str(TREE), "--textfile", str(tmp_path / name)]) == 3
    assert capsys.readouterr().err.count("\n") == 1 and list(tmp_path.iterdir()) == []
