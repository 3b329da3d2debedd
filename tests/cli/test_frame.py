"""The command's frame: finding a verb, exit codes, one sentence on stderr, shared options."""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest

import kmodmon.cli.export
from kmodmon import __version__
from kmodmon.__main__ import main
from kmodmon.cli import VERBS, Verb, VerbModule, frame, options
from kmodmon.types.error import ConfigError, KmodmonError

CLI = Path(kmodmon.cli.__file__).parent
NOT_VERBS = {"__init__", "child", "frame", "gather", "options", "output", "verify", "when"}  # what verbs share


class FakeVerb:
    """A verb that does what the test wants."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.args = argparse.Namespace()

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        parser.add_argument("--number", type=int, default=0)

    def run(self, args: argparse.Namespace, /) -> int:
        self.args = args
        if self.error is not None:
            raise self.error
        print("done")
        return int(args.number)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeVerb:
    verb = FakeVerb()
    monkeypatch.setattr(frame, "VERBS", (Verb(name="fake", help="do as told"), *VERBS))
    monkeypatch.setitem(sys.modules, "kmodmon.cli.fake", cast(ModuleType, verb))
    return verb


def test_every_file_of_the_room_is_a_listed_verb_or_named_as_none() -> None:
    files = {path.stem for path in CLI.glob("*.py")} - NOT_VERBS
    assert files == {verb.name for verb in VERBS}


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_its_two_functions_and_a_help_text(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    module = cast(VerbModule, importlib.import_module(verb.module))
    assert callable(module.add_arguments) and callable(module.run)
    assert main([verb.name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"usage: kmodmon {verb.name}" in shown
    assert verb.help[1:] in shown and not verb.help.endswith(".")


def test_a_verb_module_is_checked_by_type_too() -> None:
    module: VerbModule = kmodmon.cli.export
    assert module.run is kmodmon.cli.export.run


def test_overview_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb.name} " in out for verb in VERBS)


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"kmodmon {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ((), "kmodmon: what shall it do? `kmodmon --help` lists the commands\n"),
        (("fakee",), "kmodmon: there is no command 'fakee'; did you mean `kmodmon fake`?\n"),
        (("\x1b[31m",), "kmodmon: there is no command '\\x1b[31m'; `kmodmon --help` lists the commands\n"),
        (("--json", "fake"), "kmodmon: --json comes after a command; `kmodmon --help` lists the commands\n"),
        (
            ("fake", "--numb", "1"),
            "kmodmon fake: unrecognized arguments: --numb 1; `kmodmon fake --help` shows what it takes\n",
        ),
        (("fake", "--number", "x"), None),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(
    argv: tuple[str, ...], sentence: str | None, fake: FakeVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert sentence in (None, shown.err)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (
            ConfigError("f", "k", "is wrong", "write it right", line=3),
            2,
            "kmodmon: f, line 3: k: is wrong; write it right\n",
        ),
        (KmodmonError("cannot\nread"), 3, "kmodmon: cannot\\x0aread\n"),
        (PermissionError(13, "Permission denied", "/dev/kmsg"), 3, "kmodmon: /dev/kmsg: Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_error_is_one_sentence_and_its_exit_code(
    error: BaseException, code: int, sentence: str, fake: FakeVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.error = error
    assert main(["fake"]) == code
    assert capsys.readouterr().err == sentence


def test_bug_when_it_happens_shows_the_place_and_is_no_finding(
    fake: FakeVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.error = ZeroDivisionError("oh")
    assert main(["fake"]) == 3
    err = capsys.readouterr().err
    assert "ZeroDivisionError: oh" in err and "this is a bug in kmodmon" in err


def test_exit_code_is_the_verbs(fake: FakeVerb) -> None:
    assert [main(["fake", "--number", number]) for number in ("0", "1", "2")] == [0, 1, 2]


def test_shared_options_reach_the_verb_as_settings_and_root(fake: FakeVerb, tmp_path: Path) -> None:
    file = tmp_path / "k.toml"
    file.write_text('[poll]\nmodules = "3s"\n[path]\ndev = "/d"\n')
    argv = ["fake", "--json", "--no-color", "--config", str(file), "--root", str(tmp_path), "--path.sysfs", "/s"]
    assert main(argv) == 0
    assert (fake.args.json, fake.args.no_color) == (True, True)
    settings = options.settings_of(fake.args)
    root = options.root_of(fake.args, settings)
    assert str(settings.poll.modules) == "3s"
    assert (root.sysfs, root.tracefs, root.procfs) == (b"/s", b"/s/kernel/tracing", os.fsencode(tmp_path) + b"/proc")
    assert root.dev == os.fsencode(tmp_path) + b"/dev"


def test_root_when_it_is_no_directory_is_refused(fake: FakeVerb, tmp_path: Path) -> None:
    assert main(["fake", "--root", str(tmp_path / "nowhere")]) == 0
    with pytest.raises(KmodmonError, match="no such directory"):
        options.root_of(fake.args, options.settings_of(fake.args))


def test_root_when_relative_becomes_absolute(fake: FakeVerb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fake", "--root", "."]) == 0
    assert options.root_of(fake.args, options.settings_of(fake.args)).procfs == os.fsencode(tmp_path) + b"/proc"


def test_config_when_named_and_missing_exits_2(fake: FakeVerb, capsys: pytest.CaptureFixture[str]) -> None:
    def read(args: argparse.Namespace) -> int:
        options.settings_of(args)
        return 0

    fake.run = read  # type: ignore[method-assign]
    assert main(["fake", "--config", "/nowhere/k.toml"]) == 2
    assert capsys.readouterr().err.startswith("kmodmon: /nowhere/k.toml: there is no such file; ")


def test_pipe_when_the_reader_is_gone_ends_quietly_like_any_tool() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [sys.executable, "-m", "kmodmon", "--help"], stdout=writer, stderr=subprocess.PIPE
    ) as process:
        os.close(writer)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_short_command_imports_neither_settings_nor_anything_heavy() -> None:
    code = (
        "import sys; from kmodmon.__main__ import main; main(['--version']);"
        "print(sorted({'asyncio', 'json', 'tomllib', 'sqlite3', 'ssl', 'socket', 'kmodmon.config.settings', 'psutil',"
        "'prometheus_client', 'pyroute2', 'subprocess', 'shutil', 'tempfile'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
