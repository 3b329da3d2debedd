"""The example configurations for Prometheus: what promtool says of them."""

import re
import subprocess

import pytest
import yaml

from grafana.src.alerts import GROUPS
from grafana.src.generate import ROOT
from tests.tools import tool

ROOM = ROOT / "grafana/prometheus"
FLAGS = {"agent.yml": ("--agent",)}
# Debian builds Prometheus without these, so promtool takes them for misspelt.
LEFT_OUT = {"clusters.yml": ("kubernetes_sd_configs", "consul_sd_configs")}


@pytest.mark.parametrize("name", sorted(path.name for path in ROOM.glob("*.yml")))
def test_example_when_checked_then_promtool_takes_it(name: str) -> None:
    command = (str(tool("promtool")), "check", "config", "--syntax-only", *FLAGS.get(name, ()), str(ROOM / name))
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    complaints = [line for line in process.stdout.splitlines() if re.match(r"\s+line \d+:", line)]
    missed = LEFT_OUT.get(name, ())
    assert [re.sub(r".*field (\w+) not found.*", r"\1", line) for line in complaints] == list(missed), process.stdout
    assert (process.returncode == 0) == (not missed), process.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in ROOM.glob("*.yml")))
def test_example_when_read_then_every_job_bounds_what_a_host_may_send(name: str) -> None:
    for job in yaml.safe_load((ROOM / name).read_text())["scrape_configs"]:
        if job["job_name"] != "federate-kmodmon":
            assert job["sample_limit"] == 20000, job["job_name"]


def test_federation_when_it_selects_then_every_recording_of_the_fleet_passes() -> None:
    (job,) = yaml.safe_load((ROOM / "federation.yml").read_text())["scrape_configs"]
    pattern = re.search(r'__name__=~"([^"]+)"', job["params"]["match[]"][0])
    assert pattern is not None
    fleet = next(group for group in GROUPS if group.name == "kmodmon.fleet")
    for recording in fleet.recordings:
        assert re.fullmatch(pattern[1], recording.name), recording.name
