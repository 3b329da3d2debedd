"""pstore and systemd's archive of it, as directories of files."""

import os
from pathlib import Path

from kmodmon.config.settings import Settings
from kmodmon.events.kinds.log import KernelReported
from kmodmon.sources.pstore import MONTH_USEC, PstoreReader
from kmodmon.sources.source import Reading, SourceContext
from kmodmon.subjects.log import PstoreRead
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Read
from tests.fake_clock import FakeClock
from tests.kmsg_maker import WARNING
from tests.reports.test_live_log import OOPS
from tests.states import Story

HOUR = 3600 * 1_000_000
UPTIME = 500  # seconds


def lines(texts: tuple[bytes, ...], begin: float = 100.0, priority: int = 4) -> bytes:
    return b"".join(b"<%d>[%12.6f] %b\n" % (priority, begin + at / 1000, text) for at, text in enumerate(texts))


PANIC = (
    *OOPS[:-1],
    b"Kernel panic - not syncing: Fatal exception",
    b"---[ end Kernel panic - not syncing: Fatal exception ]---",
)
PANIC_DUMP = b"Panic#1 Part1\n" + lines(PANIC)


class Host:
    """A host with a pstore, an archive and a clock."""

    def __init__(self, base: Path) -> None:
        self.clock = FakeClock()
        self.pstore, self.archive = base / "pstore", base / "root/var/lib/systemd/pstore"
        for directory in (self.pstore, self.archive, base / "proc"):
            directory.mkdir(parents=True)
        (base / "proc/uptime").write_text(f"{UPTIME}.25 900.00\n")
        root = Root(procfs=_b(base / "proc"), pstore=_b(self.pstore), rootfs=_b(base / "root"))
        self.context = SourceContext(root=root, settings=Settings(), clock=self.clock)
        self.reader = PstoreReader(self.context)
        self.story = Story()

    def put(self, directory: Path, name: str, data: bytes, ago_usec: int = HOUR) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / name
        path.write_bytes(data)
        written = (self.clock.realtime_usec - ago_usec) * 1000
        os.utime(path, ns=(written, written))
        return path

    def read(self) -> PstoreRead:
        look = self.look()
        assert isinstance(look.outcome, Read) and isinstance(look.outcome.value, PstoreRead)
        return look.outcome.value

    def look(self) -> Reading:
        return self.reader()

    def told(self) -> list[tuple[object, ...]]:
        """What the pipeline tells after a look."""
        events = self.story.see("pstore", self.read())
        return [
            (one.fields["class"], one.module, one.fields["panic"], one.fields["dump"], one.fields["previous_boot"])
            for one in events
            if one.type == KernelReported.kind.type
        ]


def _b(path: Path) -> bytes:
    return os.fsencode(path)


def test_pstore_when_the_last_boot_panicked_then_it_is_told_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "dmesg-ramoops-0", PANIC_DUMP)
    assert host.told() == [("oops", "oops_mod", True, "dmesg-ramoops", True)]
    assert host.told() == []
    # systemd moves it into its archive; another process of ours looks anew.
    (host.pstore / "dmesg-ramoops-0").unlink()
    host.put(host.archive / "1700000000", "dmesg-ramoops-0", PANIC_DUMP, ago_usec=0)
    host.put(host.archive / "1700000000", "dmesg.txt", PANIC_DUMP, ago_usec=0)
    host.reader = PstoreReader(host.context)
    assert host.told() == []


def test_pstore_when_a_report_was_told_while_the_machine_was_up_then_it_is_no_news(tmp_path: Path) -> None:
    host = Host(tmp_path)
    text = b"Panic#1 Part1\n" + lines(WARNING, begin=50) + lines(WARNING, begin=60) + lines(PANIC)
    host.put(host.pstore, "dmesg-ramoops-0", text)
    told = host.told()
    assert [report_class for report_class, *_ in told] == ["oops", "warning"]
    fresh = Host(tmp_path / "again")
    fresh.put(fresh.pstore, "dmesg-ramoops-0", text)
    # The warning, and what repeated it, were told in the boot that died.
    fresh.story.state = host.story.state
    assert fresh.told() == []


def test_pstore_when_the_oops_was_told_but_not_the_panic_it_ended_in_then_that_is_news(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "dmesg-ramoops-0", b"Oops#1 Part1\n" + lines(PANIC[:-2]))
    assert host.told() == [("oops", "oops_mod", False, "dmesg-ramoops", True)]
    host.put(host.pstore, "dmesg-ramoops-1", b"Panic#2 Part1\n" + lines(PANIC))
    assert host.told() == [("oops", "oops_mod", True, "dmesg-ramoops", True)]
    assert host.told() == []


def test_pstore_when_both_dumps_are_found_then_the_panic_is_told_alone(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "dmesg-ramoops-0", b"Oops#1 Part1\n" + lines(PANIC[:-2]))
    host.put(host.pstore, "dmesg-ramoops-1", b"Panic#2 Part1\n" + lines(PANIC))
    assert host.told() == [("oops", "oops_mod", True, "dmesg-ramoops", True)]


def test_pstore_when_the_console_has_the_same_then_it_is_told_once_from_the_dump(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "console-ramoops-0", lines(PANIC).replace(b"<4>", b""), ago_usec=0)
    host.put(host.pstore, "dmesg-ramoops-0", PANIC_DUMP)
    os.utime(host.pstore / "console-ramoops-0", ns=(0, 0))  # the console has no time
    assert host.told() == [("oops", "oops_mod", True, "dmesg-ramoops", True)]


def test_pstore_when_only_the_console_is_left_then_it_is_told_and_its_origin_said(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "console-ramoops-0", lines(PANIC).replace(b"<4>", b""))
    events = host.story.see("pstore", host.read())
    assert [(e.fields["class"], e.fields["kernel_only"]) for e in events] == [("oops", False)]


def test_pstore_when_user_space_wrote_the_lines_then_there_is_no_report(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "dmesg-ramoops-0", b"Panic#1 Part1\n" + lines(PANIC, priority=12))
    assert host.told() == []


def test_pstore_when_the_record_is_of_this_boot_then_the_log_tells_it(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "dmesg-ramoops-0", PANIC_DUMP, ago_usec=(UPTIME - 100) * 1_000_000)
    assert host.told() == []


def test_pstore_when_the_record_is_old_then_it_stays_where_it_is(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.archive / "1", "dmesg-ramoops-0", PANIC_DUMP, ago_usec=MONTH_USEC + HOUR)
    assert host.told() == []


def test_pstore_when_told_then_it_explains_no_taint_and_counts_for_the_earlier_boot(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.story.taint(0)
    host.put(host.pstore, "dmesg-ramoops-0", PANIC_DUMP)
    host.told()
    counts = host.story.state.counts
    assert counts["kmodmon_previous_boot_reports_total"] == {("null_pointer",): 1}
    assert "kmodmon_kernel_reports_total" not in counts
    assert host.story.state.taint.clues == ()


def test_pstore_when_files_are_no_records_or_unreadable_then_that_is_counted(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(host.pstore, "pmsg-ramoops-0", b"what apps wrote")
    host.put(host.pstore, "README", b"text")
    host.put(host.pstore, "dmesg-ramoops-1.enc.z", b"\x28\xb5\x2f\xfd")
    host.put(host.pstore, "dmesg-ramoops-0", PANIC_DUMP)
    look = host.look()
    assert look.unreadable == 1
    assert len(host.told()) == 0  # the look before took it
    host.reader = PstoreReader(host.context)
    assert len(host.told()) == 1


def test_pstore_when_a_line_shows_a_secret_then_it_is_hidden(tmp_path: Path) -> None:
    host = Host(tmp_path)
    text = b"x: `topsecret' invalid for parameter `psk'"
    host.put(host.pstore, "dmesg-efi_pstore-1", b"Panic#1 Part1\n" + lines((text, *PANIC)))
    [dump] = host.read().dumps
    assert b"topsecret" not in dump.text and text.replace(b"topsecret", b"<redacted>") in dump.text


def test_pstore_when_there_is_none_then_it_is_absent(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.pstore.rmdir()
    assert isinstance(host.look().outcome, Absent)


def test_pstore_when_it_is_empty_then_it_was_read(tmp_path: Path) -> None:
    assert Host(tmp_path).read() == PstoreRead(dumps=())


def test_pstore_when_the_archive_is_deep_and_full_then_the_look_is_bounded(tmp_path: Path) -> None:
    host = Host(tmp_path)
    deep = host.archive
    for level in range(6):
        deep /= f"{level}"
        for at in range(60):
            host.put(deep, f"dmesg-ramoops-{at}", PANIC_DUMP)
    assert len(host.told()) == 1
