"""The files of the operator: there, not there, unreadable, too large, unchanged."""

from pathlib import Path

from kmodmon.config.sections import PolicyFileSettings
from kmodmon.config.settings import Settings
from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.modprobe_d import DIRECTORIES, effective_files
from kmodmon.sources.modprobe import ModprobeReader
from kmodmon.sources.rules import SOURCES, RulesFileReader
from kmodmon.sources.source import SourceContext
from kmodmon.subjects.modprobe import ModprobeRead, refusals
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Read
from tests.fake_clock import FakeClock


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_policy_file_when_it_changes_then_its_bytes_and_the_same_object_while_it_does_not(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    put(tmp_path, "proc/sys/kernel/hostname", "web-1\n")
    context = SourceContext(
        root=Root(procfs=str(tmp_path / "proc").encode()),
        settings=Settings(policy=PolicyFileSettings(file=file)),
        clock=FakeClock(),
    )
    read = next(source for source in SOURCES if source.name == "policy").make(context)
    assert read().outcome == Read(RulesFileRead(what="policy", path=str(file), raw=None, host="web-1"))
    file.write_text("x = 1")
    first, second = read().outcome, read().outcome
    assert isinstance(first, Read) and isinstance(second, Read) and first.value is second.value
    assert first.value == RulesFileRead(what="policy", path=str(file), raw=b"x = 1", host="web-1")


def test_policy_file_when_it_cannot_be_read_then_failed(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "large").write_bytes(b"#" * (4 << 20 | 1))
    for name in ("directory", "large"):
        outcome = RulesFileReader("policy", tmp_path / name, Root(procfs=b"/nowhere"))().outcome
        assert isinstance(outcome, Failed) and name in outcome.why


def test_modprobe_d_when_files_hide_each_other_then_those_that_count(tmp_path: Path) -> None:
    put(tmp_path, "usr/lib/modprobe.d/a.conf", "blacklist hidden\n")
    put(tmp_path, "etc/modprobe.d/a.conf", "blacklist floppy\noptions ext4 x=1 y\ninstall usb-storage /bin/false\n")
    put(tmp_path, "etc/modprobe.d/README", "blacklist nothing\n")
    (tmp_path / "etc/modprobe.d/mask.conf").symlink_to("/dev/null")
    reader = ModprobeReader(Root(rootfs=str(tmp_path).encode()))
    outcome = reader().outcome
    assert isinstance(outcome, Read) and isinstance(outcome.value, ModprobeRead)
    config = outcome.value.config
    assert set(config.refused) == {"floppy", "usb_storage"}
    assert config.refused["floppy"][0].place == "/etc/modprobe.d/a.conf:1"
    assert config.options == {"ext4": ("x", "y")}
    again = reader().outcome
    assert isinstance(again, Read) and again.value is outcome.value


def test_modprobe_d_when_there_is_none_then_absent(tmp_path: Path) -> None:
    assert isinstance(ModprobeReader(Root(rootfs=str(tmp_path).encode()))().outcome, Absent)


def test_refusals_when_of_every_kind_then_each_says_where(tmp_path: Path) -> None:
    put(tmp_path, "etc/modprobe.d/a.conf", "blacklist x-y\ninstall x_y /bin/true\n")
    outcome = ModprobeReader(Root(rootfs=str(tmp_path).encode()))().outcome
    assert isinstance(outcome, Read) and isinstance(outcome.value, ModprobeRead)
    cmdline = CommandLineFacts(module_blacklist=("x-y",), modprobe_blacklist=("z",))
    assert refusals("x_y", outcome.value.config, cmdline) == {
        "blacklist": "/etc/modprobe.d/a.conf:1",
        "install": "/etc/modprobe.d/a.conf:2",
        "module_blacklist": "module_blacklist= on the kernel command line",
    }
    assert set(refusals("z", outcome.value.config, cmdline)) == {"blacklist"}
    assert refusals("z", outcome.value.config, None) == {}


def test_effective_files_when_directories_are_many_then_by_name() -> None:
    listing = {DIRECTORIES[0]: ("b.conf", "x"), DIRECTORIES[3]: ("a.conf", "b.conf")}
    assert effective_files(listing) == ("/usr/lib/modprobe.d/a.conf", "/etc/modprobe.d/b.conf")
