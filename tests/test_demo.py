"""`make demo`, played once."""

import subprocess
import sys

import pytest

from grafana.src.generate import ROOT
from tests.demo import ALERT, MODULE


@pytest.mark.chain
def test_demo_when_played_once_then_the_alert_reaches_whoever_is_on_call() -> None:
    command = (sys.executable, "-m", "tests.demo", "--once")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = (
        f"on-call: [critical] {ALERT} firing: Module {MODULE} carries no signature that this kernel trusts (taints OE)"
    )
    assert told in done.stdout, done.stdout
    assert "/alerts" in done.stdout and done.stderr == ""
