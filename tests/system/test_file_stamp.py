"""Stamps of files: replaced, renamed, led elsewhere by a symbolic link, gone and back."""

import os
from pathlib import Path

from kmodmon.system.file_stamp import FileStamps


def test_file_when_nothing_happens_then_it_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    stamps = FileStamps(file, tmp_path / "missing")
    file.read_text()
    assert not stamps.changed()


def test_file_when_it_appears_is_written_and_vanishes_then_each_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a"
    stamps = FileStamps(file)
    file.write_text("x")
    assert stamps.changed()
    stamps = FileStamps(file)
    file.write_text("xy")
    assert stamps.changed()
    stamps = FileStamps(file)
    file.unlink()
    assert stamps.changed()


def test_file_when_replaced_by_one_of_the_same_size_and_time_then_it_is_another(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_text("x")
    other.write_text("y")
    stamps = FileStamps()
    stamps.add(file)
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.rename(file)
    assert stamps.changed()


def test_link_when_a_directory_link_in_its_path_is_swapped_then_it_is_another(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a").write_text(version)
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "a").symlink_to("..data/a")
    stamps = FileStamps(tmp_path / "a")
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert stamps.changed()
