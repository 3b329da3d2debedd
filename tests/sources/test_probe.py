"""Every followed source can be asked for, and each outcome is told apart."""

from pathlib import Path

from kmodmon.sources.followed import FOLLOWED
from kmodmon.sources.probe import PROBES
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Read
from kmodmon.types.source_name import SourceName


def test_probes_when_listed_then_every_followed_source_has_one() -> None:
    assert set(PROBES) == {source.name for source in FOLLOWED}


def test_probes_when_nothing_is_there_then_absent(tmp_path: Path) -> None:
    base = str(tmp_path).encode()
    root = Root(procfs=base, sysfs=base, dev=base, tracefs=base)
    for probe in PROBES.values():
        assert isinstance(probe(root), Absent)


def test_probes_when_there_then_read_and_when_refused_then_failed(tmp_path: Path) -> None:
    base = str(tmp_path).encode()
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/uevent_seqnum").write_text("1\n")
    (tmp_path / "kmsg").write_text("")
    (tmp_path / "events/module").mkdir(parents=True)
    (tmp_path / "instances").mkdir()
    (tmp_path / "sys/fs/inotify").mkdir(parents=True)
    root = Root(procfs=base, sysfs=base, dev=base, tracefs=base)
    assert {name: type(probe(root)) for name, probe in PROBES.items()} == dict.fromkeys(PROBES, Read)
    refused = root.failing({base + b"/kmsg": 1, base: 13})
    assert isinstance(PROBES[SourceName.KMSG](refused), Failed)
    assert isinstance(PROBES[SourceName.TRACE](refused), Failed)
