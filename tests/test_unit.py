"""The systemd unit and its drop-ins: clean to systemd, well sandboxed, and in step with the settings they pass."""

import argparse
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kmodmon.config.load import add_flags, flags_of, load
from kmodmon.config.sections import CONFIGURATION, STATE
from kmodmon.system.packaged import packaged
from kmodmon.system.passed import HANDED
from tests.tools import tool

SYSTEMD = packaged("systemd")
UNIT = SYSTEMD / "kmodmon.service"
SOCKET = SYSTEMD / "kmodmon.socket"
SOCKET_DROP_IN = SYSTEMD / "kmodmon.service.d/socket.conf.example"
DROP_INS = sorted((SYSTEMD / "kmodmon.service.d").glob("*.conf.example"))
MOST_EXPOSURE = 16  # tenths: 1.6 is "OK", node_exporter's unit in Debian has 9.2
MOST_EXPOSURE_OF_SOCKET = 8


def analyze(directory: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [tool("systemd-analyze"), "--no-pager", *argv],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def installed(directory: Path, *drop_ins: Path) -> Path:
    """Lay the unit out as on a host, with a program that is there."""
    (directory / "kmodmon.service").write_text(UNIT.read_text().replace("/usr/bin/kmodmon", "/bin/true"))
    (directory / "kmodmon.socket").write_text(SOCKET.read_text())
    (directory / "kmodmon.service.d").mkdir()
    for drop_in in drop_ins:
        text = drop_in.read_text().replace("/usr/bin/kmodmon", "/bin/true")
        (directory / "kmodmon.service.d" / drop_in.stem).write_text(text)
    return directory / "kmodmon.service"


def command_line(*drop_ins: Path) -> list[str]:
    """The words of ExecStart with the options that the unit and its drop-ins put into the environment."""
    texts = [path.read_text() for path in (UNIT, *drop_ins)]
    given = " ".join(word for text in texts for word in re.findall(r"^Environment=(KMODMON_.*)$", text, re.M))
    options = dict(word.split("=", 1) for word in given.split())
    assert not any("\nExecStart=" in text for text in texts[1:]), "two drop-ins could not be used together"
    (command,) = re.findall(r"^ExecStart=((?:.*\\\n)*.*)$", texts[0], re.M)
    words = shlex.split(command.replace("\\\n", " "))
    return [word for each in words for word in (options[each[1:]].split() if each.startswith("$") else [each])]


@pytest.mark.parametrize("drop_ins", [(), *((drop_in,) for drop_in in DROP_INS)], ids=str)
def test_unit_with_and_without_drop_ins_is_clean_to_systemd(drop_ins: tuple[Path, ...], tmp_path: Path) -> None:
    done = analyze(tmp_path, "verify", str(installed(tmp_path, *drop_ins)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("drop_ins", "most"), [((), MOST_EXPOSURE), ((SOCKET_DROP_IN,), MOST_EXPOSURE_OF_SOCKET)], ids=str
)
def test_unit_when_scored_by_systemd_is_well_sandboxed(drop_ins: tuple[Path, ...], most: int, tmp_path: Path) -> None:
    unit = installed(tmp_path, *drop_ins)
    done = analyze(tmp_path, "security", "--offline=true", f"--threshold={most}", str(unit))
    assert done.returncode == 0, done.stdout[-200:]


def test_socket_unit_and_settings_mean_the_same_address_and_name(tmp_path: Path) -> None:
    settings = load(None, {}, {"CONFIGURATION_DIRECTORY": "/nowhere"})
    assert re.findall(r"^ListenStream=(.+)$", SOCKET.read_text(), re.M) == [*map(str, settings.web.listen)]
    (name,) = re.findall(r"^FileDescriptorName=(.+)$", SOCKET.read_text(), re.M)
    assert f"--listen=systemd:{name}" in command_line(SOCKET_DROP_IN)
    done = analyze(tmp_path, "verify", str(installed(tmp_path, SOCKET_DROP_IN)), str(tmp_path / "kmodmon.socket"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_unit_names_a_source_for_every_capability_it_grants() -> None:
    text = UNIT.read_text()
    granted = re.findall(r"CAP_[A-Z_]+", " ".join(re.findall(r"^AmbientCapabilities=(.*)$", text, re.M)))
    assert granted
    assert all(re.search(rf"^# {name}: \w+", text, re.M) for name in granted)
    assert re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.M) == [" ".join(granted)]


def test_unit_keeps_room_for_all_that_is_handed_over() -> None:
    room = re.findall(r"^FileDescriptorStoreMax=(\d+)$", UNIT.read_text(), re.M)
    assert [int(number) >= len(HANDED) for number in room] == [True]


@pytest.mark.parametrize("drop_ins", [(), *((drop_in,) for drop_in in DROP_INS), DROP_INS], ids=str)
def test_unit_passes_only_flags_that_kmodmon_takes(drop_ins: Sequence[Path]) -> None:
    program, verb, *flags = command_line(*drop_ins)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_flags(parser)
    settings = load(None, flags_of(parser.parse_args(flags)), {"CONFIGURATION_DIRECTORY": "/nowhere"})
    assert (program, verb) == ("/usr/bin/kmodmon", "run")
    path = settings.path
    assert [str(place) for place in (path.dev, path.kallsyms)] == ["/run/kmodmon", "/run/kmodmon/kallsyms"]
    assert str(path.modules) == "/run/kmodmon/modules"


def test_unit_and_settings_mean_the_same_directories_and_instance() -> None:
    text = UNIT.read_text()
    instance = load(None, {}, {"CONFIGURATION_DIRECTORY": "/nowhere"}).trace.instance
    assert f"\nStateDirectory={STATE.removeprefix('/var/lib/')}\n" in text
    assert f"\nConfigurationDirectory={CONFIGURATION.removeprefix('/etc/')}\n" in text
    assert set(re.findall(r"instances/([\w.-]+)[;' ]", text)) == {instance}


def test_every_drop_in_says_what_it_costs_and_how_to_install_it() -> None:
    assert DROP_INS
    for drop_in in DROP_INS:
        head = "".join(line for line in drop_in.read_text().splitlines(keepends=True) if line.startswith("#"))
        name = drop_in.name.removesuffix(".example")
        assert f"# Install: copy to /etc/systemd/system/kmodmon.service.d/{name}, systemctl daemon-reload" in head
