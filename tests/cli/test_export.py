"""`kmodmon export`: whole files, nothing replaced unasked."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from kmodmon.config.load import load
from kmodmon.config.settings import Settings
from kmodmon.policy.document import parse_policy
from kmodmon.policy.shipped import RULES
from kmodmon.system.packaged import packaged


def test_config_when_exported_is_a_file_that_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "new" / "etc"
    assert main(["export", "config", str(directory)]) == 0
    file = directory / "kmodmon.toml"
    assert capsys.readouterr().out == f"{file}\n{file.parent}/policy.toml.example\n"
    rules = parse_policy((directory / "policy.toml.example").read_bytes(), "example").rules
    assert tuple(replace(rule, line=None) for rule in rules) == RULES
    assert load(file, {}, {}) == Settings()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert sorted(os.listdir(directory)) == ["kmodmon.toml", "policy.toml.example"]


def test_file_when_there_is_only_replaced_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "kmodmon.toml"
    file.write_text("mine")
    assert main(["export", "config", str(tmp_path)]) == 3
    assert capsys.readouterr().err == f"kmodmon: {file}: is there already; --force replaces it\n"
    assert file.read_text() == "mine"
    assert main(["export", "config", str(tmp_path), "--force"]) == 0
    assert file.read_text() != "mine"


def test_directory_when_it_is_a_file_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").write_text("")
    assert main(["export", "config", str(tmp_path / "f")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_unit_when_exported_is_the_packaged_one_with_its_drop_ins(tmp_path: Path) -> None:
    assert main(["export", "unit", str(tmp_path)]) == 0
    shipped = packaged("systemd")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert "kmodmon.service" in files
    assert all((tmp_path / name).read_bytes() == (shipped / name).read_bytes() for name in files)
