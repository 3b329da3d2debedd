"""`kmodmon doctor`: every source, its state, and what to change to see more."""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from kmodmon.cli import doctor
from kmodmon.cli.gather import CommandInput, gather
from kmodmon.sources.followed import FOLLOWED
from kmodmon.sources.registry import POLLED
from kmodmon.sources.source import EventSource, PollSource
from kmodmon.subjects.source import SourceState, SourceStatus
from kmodmon.system.packaged import packaged
from kmodmon.types.source_name import SourceName

TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"
SOURCES: tuple[PollSource | EventSource, ...] = (*POLLED, *FOLLOWED)


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {line.split(" ")[0]: line for line in capsys.readouterr().out.splitlines()}


def test_doctor_when_something_may_not_be_mounted_then_it_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--root", str(TREE)]) == 0
    shown = rows(capsys)
    assert {source.name for source in SOURCES} <= shown.keys()
    assert "if this kernel offers it: mount efivarfs: `mount -t efivarfs" in shown["secure_boot"]
    assert shown["watch"].endswith("a recorded machine does not change")
    assert " up " in shown["taint"]


def test_doctor_when_something_fails_then_exits_1_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/tainted").write_text("many")
    flags = ["--path.procfs", str(tmp_path / "proc"), "--path.sysfs", str(tmp_path), "--path.rootfs", str(tmp_path)]
    assert main(["doctor", *flags]) == 1
    assert "failed" in (taint := rows(capsys)["taint"]) and "mount procfs with /proc/sys" in taint
    assert main(["doctor", "--json", *flags]) == 1
    sources = {source["source"]: source for source in json.loads(capsys.readouterr().out)}
    assert sources["taint"]["up"] is False and sources["taint"]["present"] and sources["taint"]["grant"]


def test_doctor_when_the_running_daemon_reads_less_then_that_is_shown_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = {
        SourceName.KMSG: SourceState(
            name=SourceName.KMSG, status=SourceStatus.FAILED, why="/run/kmodmon/kmsg: Operation not permitted"
        ),
        SourceName.PARAMETERS: SourceState(
            name=SourceName.PARAMETERS, status=SourceStatus.UP, why="", unreadable=1_000_000
        ),
        SourceName.TAINT: SourceState(name=SourceName.TAINT),  # not read yet
    }

    def gathered(args: argparse.Namespace) -> CommandInput:
        return replace(gather(args), of_daemon=theirs)

    monkeypatch.setattr(doctor, "gather", gathered)
    assert main(["doctor", "--root", str(TREE)]) == 1
    shown = rows(capsys)
    assert "failed" in shown["kmsg"]
    assert "the running daemon: /run/kmodmon/kmsg: Operation not permitted; ExecStartPre=" in shown["kmsg"]
    assert " up " in shown["parameters"]
    assert "the running daemon: 1000000 parts cannot be read; CAP_DAC_READ_SEARCH" in shown["parameters"]
    assert " up " in shown["taint"] and "daemon" not in shown["taint"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_grant_when_it_names_a_packaged_file_then_there_is_one(source: PollSource | EventSource) -> None:
    remedy = source.remedy
    shipped = {path.name.removesuffix(".example") for path in packaged("systemd").rglob("*")}
    assert remedy and set(re.findall(r"[\w-]+\.conf\b", remedy)) <= shipped
