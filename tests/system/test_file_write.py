"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from kmodmon.system.file_write import write_file


@pytest.mark.parametrize("sync", [True, False])
def test_file_when_written_then_it_is_whole_and_everybody_may_read_it(tmp_path: Path, sync: bool) -> None:
    file = tmp_path / "x"
    file.write_text("a longer text that was there before")
    file.chmod(0o600)
    write_file(file, b"new", sync=sync)
    assert (file.read_bytes(), file.stat().st_mode & 0o7777, os.listdir(tmp_path)) == (b"new", 0o644, ["x"])


def test_file_when_one_appeared_meanwhile_then_it_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "x"
    write_file(file, b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_file(file, b"second", replace=False)
    assert (file.read_bytes(), os.listdir(tmp_path)) == (b"first", ["x"])


def test_file_when_it_cannot_be_put_in_its_place_then_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path / "x", b"new")
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "none" / "x", b"new")
    assert os.listdir(tmp_path) == ["x"]
