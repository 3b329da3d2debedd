"""`kmodmon modules`, on hosts of files: its filters, and the modules that hide."""

import json
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from tests.sources.test_crossview import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def flags(host: Host) -> list[str]:
    place = host.place
    return [
        "--path.procfs", f"{place}/proc", "--path.sysfs", f"{place}/sys", "--path.tracefs", f"{place}/tracing",
        "--path.debugfs", f"{place}/debug", "--path.rootfs", str(place), "--history.directory", f"{place}/none",
    ]  # fmt: skip


def shown(host: Host, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["modules", *words, *flags(host)])
    return code, capsys.readouterr().out


def test_hidden_when_every_view_agrees_then_says_so(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = shown(host, capsys, "--hidden")
    assert (code, out.splitlines()[0]) == (0, "No hidden module is known: what this host shows of its modules agrees.")
    assert shown(host, capsys, "--hidden", "--json") == (0, "[]\n")


def test_hidden_when_a_module_left_the_list_then_shown_with_evidence(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.forget("proc/modules", "dummy")
    host.forget("proc/kallsyms", "[dummy]")
    code, out = shown(host, capsys, "--hidden", "--json")
    (module,) = json.loads(out)
    assert (code, module["name"], module["missing_from"], module["confidence"]) == (0, "dummy", ["list"], "certain")
    assert module["seen_in"] == ["sysfs", "ftrace"] and module["actor"] is None
    assert "/sys/module/dummy has an initstate" in module["evidence"]
    code, out = shown(host, capsys, "--hidden")
    heading, row = out.splitlines()[:2]
    assert heading.split("  ")[0] == "MODULE" and "available_filter_functions lists functions of dummy" in row
    assert shown(host, capsys, "--hidden", "ext4", "--json") == (0, "[]\n")
    assert "dummy" not in shown(host, capsys)[1]


def test_hidden_when_a_view_cannot_be_had_then_says_which(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (host.place / "tracing/available_filter_functions").unlink()
    assert "not compared: ftrace:" in shown(host, capsys, "--hidden")[1]


def test_hidden_when_nothing_can_be_compared_then_an_error(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (host.place / "proc/modules").unlink()
    assert shown(host, capsys, "--hidden")[0] == 3


def test_modules_when_one_that_is_not_loaded_is_named_then_says_so(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["modules", "nosuch\x1b[2J", *flags(host)])
    output = capsys.readouterr()
    assert (code, len(output.out.splitlines())) == (0, 1)
    assert output.err == "kmodmon modules: no module nosuch\\x1b[2J is loaded\n"
