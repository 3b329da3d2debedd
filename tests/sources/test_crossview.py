"""The cross-view reader on a host of files: which views it makes, when it looks twice, what it does not read again."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from kmodmon.sources.crossview import CrossViewReader
from kmodmon.subjects.crossview import CrossViewRead, Pass, View
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Outcome, Read


class Host:
    """A host with two modules, a built-in, and every view; tests take away what hides."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in ("ext4", "dummy"):
            (place / "sys/module" / name).mkdir(parents=True)
            (place / "sys/module" / name / "initstate").write_text("live\n")
        (place / "sys/module/printk/parameters").mkdir(parents=True)
        (place / "sys/module/compression").write_text("zstd\n")
        self.write("proc/modules", "dummy 16384 0 - Live 0x0\next4 8192 0 - Live 0x0\n")
        self.write("proc/kallsyms", "0 T _text\n0 t ext4_x\t[ext4]\n0 t dummy_x\t[dummy]\n0 t p\t[bpf]\n")
        self.write("tracing/available_filter_functions", "schedule\next4_x [ext4]\ndummy_x [dummy]\n")
        self.write("tracing/dyn_ftrace_total_info", "37695 pages:178 groups: 32\n")
        self.write("debug/kprobes/list", "")
        self.write("sys/kernel/uevent_seqnum", "4711\n")
        area = "0x00000000a-0x00000000b   {} load_module+0x62f/0x1990 pages=4 vmalloc N0=4\n"
        self.write("proc/vmallocinfo", area.format(20480) + area.format(12288))

    def write(self, path: str, text: str) -> None:
        (self.place / path).parent.mkdir(parents=True, exist_ok=True)
        (self.place / path).write_text(text)

    def forget(self, path: str, line: str) -> None:
        text = (self.place / path).read_text()
        kept = [each for each in text.splitlines(keepends=True) if line not in each]
        assert len(kept) < len(text.splitlines())
        (self.place / path).write_text("".join(kept))


class CountingRoot(Root):
    """A root that counts what is opened to be read in chunks, and has something happen meanwhile."""

    __slots__ = ("meanwhile", "opened")
    opened: list[bytes]
    meanwhile: Callable[[], object]

    def chunks(self, path: bytes) -> Iterator[bytes]:
        self.opened.append(path)
        self.meanwhile()
        return Root.chunks(self, path)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def reader(
    host: Host, sleep: Callable[[float], None] = lambda seconds: None, meanwhile: Callable[[], object] = lambda: None
) -> tuple[CrossViewReader, list[bytes]]:
    place = str(host.place).encode()
    root = CountingRoot(
        procfs=place + b"/proc",
        sysfs=place + b"/sys",
        tracefs=place + b"/tracing",
        debugfs=place + b"/debug",
        kallsyms=place + b"/proc/kallsyms",
    )
    opened: list[bytes] = []
    object.__setattr__(root, "opened", opened)
    object.__setattr__(root, "meanwhile", meanwhile)
    return CrossViewReader(root, sleep), opened


def read(outcome: Outcome[object]) -> CrossViewRead:
    assert isinstance(outcome, Read) and isinstance(outcome.value, CrossViewRead)
    return outcome.value


def names(one: Pass, view: View) -> set[str]:
    found = one.views[view].names
    assert found is not None
    return set(found)


def test_crossview_when_nothing_hides_then_one_pass_with_every_view(host: Host) -> None:
    look, _ = reader(host)
    found = read(look().outcome)
    assert len(found.passes) == 1
    for view in (View.SYSFS, View.KALLSYMS, View.FTRACE):
        assert names(found.last, view) == {"ext4", "dummy"}, view
    assert found.last.strays == () and found.last.uncounted == 0


def test_crossview_when_unlisted_then_a_second_pass_a_second_later(host: Host) -> None:
    host.forget("proc/modules", "dummy")
    slept: list[float] = []
    look, _ = reader(host, slept.append)
    found = read(look().outcome)
    assert slept == [1.0] and len(found.passes) == 2
    assert found.last.absent == {"dummy"} and found.last.strays == (20480,)


def test_crossview_when_it_was_a_race_then_the_second_pass_shows_it(host: Host) -> None:
    text = (host.place / "proc/modules").read_text()
    host.forget("proc/modules", "dummy")
    look, _ = reader(host, lambda seconds: host.write("proc/modules", text))
    found = read(look().outcome)
    assert len(found.passes) == 2 and not found.last.absent


def busy(host: Host) -> Callable[[], object]:
    """A host on which a module comes or goes while the views are read."""
    numbers = count(4712)
    return lambda: host.write("sys/kernel/uevent_seqnum", f"{next(numbers)}\n")


def test_crossview_when_modules_come_and_go_all_the_while_then_many_passes_must_agree(host: Host) -> None:
    host.forget("proc/modules", "dummy")
    slept: list[float] = []
    look, _ = reader(host, slept.append, busy(host))
    found = read(look().outcome)
    assert len(found.passes) == 1 + len(slept) == 6 and found.agreed == {"dummy"}


def test_crossview_when_it_looked_wrong_twice_while_modules_came_and_went_then_a_later_pass_clears_it(
    host: Host,
) -> None:
    text = (host.place / "proc/modules").read_text()
    host.forget("proc/modules", "dummy")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            host.write("proc/modules", text)

    look, _ = reader(host, sleep, busy(host))
    found = read(look().outcome)
    assert len(found.passes) == 4 and found.agreed == frozenset()


def test_crossview_when_uevents_are_not_counted_then_many_passes_must_agree(host: Host) -> None:
    (host.place / "sys/kernel/uevent_seqnum").unlink()
    host.forget("proc/modules", "dummy")
    look, _ = reader(host)
    found = read(look().outcome)
    assert len(found.passes) == 6 and found.agreed == {"dummy"}


def test_crossview_when_its_directory_is_gone_then_sysfs_lacks_it(host: Host) -> None:
    (host.place / "sys/module/dummy/initstate").unlink()
    (host.place / "sys/module/dummy").rmdir()
    look, _ = reader(host)
    found = read(look().outcome)
    assert len(found.passes) == 2 and names(found.last, View.SYSFS) == {"ext4"}


def test_crossview_when_its_directory_came_back_empty_then_it_counts(host: Host) -> None:
    (host.place / "sys/module/dummy/initstate").unlink()
    look, _ = reader(host)
    assert names(read(look().outcome).last, View.SYSFS) == {"ext4", "dummy"}


def test_crossview_when_a_listed_module_uses_an_unlisted_one_then_it_is_named(host: Host) -> None:
    host.write("proc/modules", "ext4 8192 1 hidden_mod, Live 0x0\ndummy 16384 0 - Live 0x0\n")
    look, _ = reader(host)
    found = read(look().outcome)
    assert len(found.passes) == 2 and names(found.last, View.HOLDERS) == {"hidden_mod"}


def test_crossview_when_nothing_changed_then_the_costly_views_are_not_read_again(host: Host) -> None:
    look, opened = reader(host)
    for _ in range(10):
        read(look().outcome)
    assert len(opened) == 3  # kallsyms, the function list, the kprobe list: once each
    host.write("tracing/dyn_ftrace_total_info", "37700 pages:178 groups: 32\n")
    assert names(read(look().outcome).last, View.FTRACE) == {"ext4", "dummy"}
    assert len(opened) == 6


def test_crossview_when_nothing_changed_for_long_then_they_are_read_again_even_so(host: Host) -> None:
    look, opened = reader(host)
    for _ in range(16):
        look()
    assert len(opened) == 6


def test_crossview_when_views_cannot_be_read_then_it_says_which_and_compares_the_rest(host: Host) -> None:
    (host.place / "tracing/available_filter_functions").unlink()
    (host.place / "proc/vmallocinfo").unlink()
    host.forget("proc/modules", "dummy")
    look, _ = reader(host)
    found = read(look().outcome)
    assert len(found.passes) == 2 and found.last.absent == {"dummy"}
    ftrace = found.last.views[View.FTRACE]
    assert ftrace.names is None and "available_filter_functions: No such file" in ftrace.why
    assert found.last.strays is None and "vmallocinfo" in found.last.views[View.MEMORY].why


def test_crossview_when_names_are_odd_then_they_agree(host: Host) -> None:
    odd = host.place / "sys/module/a!b c"
    odd.mkdir()
    (odd / "initstate").write_text("live\n")
    with (host.place / "proc/modules").open("a") as file:
        file.write("a/b c 4096 0 - Live 0x0\n")
    look, _ = reader(host)
    assert len(read(look().outcome).passes) == 1


def test_crossview_when_no_modules_are_supported_then_absent(host: Host) -> None:
    (host.place / "proc/modules").unlink()
    look, _ = reader(host)
    assert isinstance(look().outcome, Absent)
