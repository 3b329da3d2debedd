"""The hash of an event, computed as `kmodmon/store/row.py` says it can be without kmodmon."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from kmodmon.store import row
from kmodmon.store.sqlite import SqliteHistory
from tests.store.making import BOOT
from tests.store.test_retention import mixed

BY_HAND = "jq -cjS 'del(.hash)' | sha256sum"


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq")
def test_hash_when_checked_by_jq_and_sha256sum_then_it_is_that_of_the_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert row.__doc__ is not None and BY_HAND in row.__doc__
    history = SqliteHistory(tmp_path, BOOT)
    history.append(mixed("kpppk"))
    history.close()
    assert main(["events", "--state-dir", str(tmp_path), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines:
        made = subprocess.run(["sh", "-c", BY_HAND], input=line, capture_output=True, text=True, check=True).stdout
        wanted = subprocess.run(["jq", "-r", ".hash"], input=line, capture_output=True, text=True, check=True).stdout
        assert made.split() == [wanted.strip(), "-"]
    assert ["prev_kept_hash" in line for line in lines] == [False, False, True, True, True]
