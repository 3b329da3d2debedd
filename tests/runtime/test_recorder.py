"""`kmodmon record`: what is read from the copy is what is read from the host, and secrets stay behind."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.__main__ import main
from kmodmon.config.sections import ParameterSettings
from kmodmon.runtime.recorder import Recorder
from kmodmon.system.root import MANIFEST, Root, recorded_failures
from kmodmon.types.error import KmodmonError
from tests.blocked import make_host

TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"
DEADLINE = 1.0  # seconds
MOMENTS = "_timestamp_seconds"  # of the looking, not of the host


def root_of(tree: Path) -> Root:
    base = str(tree).encode()
    return Root(
        procfs=base + b"/proc", sysfs=base + b"/sys", rootfs=base, securityfs=base + b"/sys/kernel/security",
        modules=base + b"/lib/modules",
    )  # fmt: skip


def told(tree: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["metrics", "--root", str(tree)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if MOMENTS not in line]


def test_copy_when_read_then_it_tells_what_the_original_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", str(tmp_path / "copy"), "--root", str(TREE)]) == 0
    capsys.readouterr()
    assert told(tmp_path / "copy", capsys) == told(TREE, capsys)


def test_record_when_the_directory_holds_something_then_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("keep")
    assert main(["record", str(tmp_path), "--root", str(TREE)]) == 3
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_record_when_a_file_does_not_answer_then_the_rest_is_copied_and_the_manifest_says_so(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    with host.without_answer(host.tree / "proc/modules"):
        Recorder(
            root=host.root, target=tmp_path / "copy", settings=host.settings.parameters, deadline=DEADLINE
        ).record()
    manifest = json.loads((tmp_path / "copy" / MANIFEST).read_text())
    assert manifest["failures"] == {"proc/modules": "ETIMEDOUT"}
    assert (tmp_path / "copy/proc/sys/kernel/tainted").read_text() == "308225\n"


def test_record_when_parameters_are_secret_by_any_pattern_then_their_values_stay_behind(tmp_path: Path) -> None:
    directory = tmp_path / "host/sys/module/m/parameters"
    directory.mkdir(parents=True)
    for name in ("password", "opaque", "token", "plain"):
        (directory / name).write_text(f"value of {name}\n")
    settings = replace(ParameterSettings(), redact=("pass*", "token", "m.opaque"), redact_allow=("token",))
    Recorder(root=root_of(tmp_path / "host"), target=tmp_path / "copy", settings=settings).record()
    copied = {path.name: path.read_text() for path in (tmp_path / "copy/sys/module/m/parameters").iterdir()}
    assert copied == {
        "password": "<redacted>\n", "opaque": "<redacted>\n", "token": "value of token\n", "plain": "value of plain\n",
    }  # fmt: skip


def test_record_when_something_cannot_be_read_then_it_fails_the_same_way_in_the_copy(tmp_path: Path) -> None:
    name = b"odd\xff\n"
    (tmp_path / "host/proc/sys/kernel").mkdir(parents=True)
    module = Path(str(tmp_path / "host/sys/module/x")).parent
    module.mkdir(parents=True)
    (module / name.decode("utf-8", "surrogateescape") / "parameters/p").mkdir(parents=True)
    host = root_of(tmp_path / "host")
    denied = host.failing({host.proc(b"sys/kernel/tainted"): errno.EACCES})
    recorder = Recorder(root=denied, target=tmp_path / "copy", settings=ParameterSettings())
    recorder.record()
    assert recorder.failures["proc/sys/kernel/tainted"] == "EACCES"
    failures = recorded_failures(tmp_path / "copy")
    copy = root_of(tmp_path / "copy")
    assert failures[copy.proc(b"sys/kernel/tainted")] == errno.EACCES
    assert failures[copy.sys(b"module", name, b"parameters/p")] == errno.EISDIR


def test_record_when_the_target_cannot_be_made_then_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KmodmonError, match="cannot be written"):
        Recorder(root=root_of(TREE), target=tmp_path / "file/below", settings=ParameterSettings()).record()


@pytest.mark.parametrize("text", ["{", "[]", '{"failures": 3}', '{"failures": {"a": "ENOSUCH"}}'])
def test_manifest_when_it_is_odd_then_refused_or_taken_for_an_input_error(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text)
    try:
        found = recorded_failures(tmp_path)
    except KmodmonError as error:
        assert "manifest" in str(error)
    else:
        assert set(found.values()) <= {errno.EIO}
        assert len(found) == len(json.loads(text).get("failures", {})) if "ENOSUCH" in text else not found
