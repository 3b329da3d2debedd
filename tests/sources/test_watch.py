"""Directories watched by a real inotify: bursts, what they wake, storms, directories that come and go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from kmodmon.config.sections import BaselineSettings, CertificateSettings, FilesSettings, PolicyFileSettings
from kmodmon.config.settings import Settings
from kmodmon.config.values import Seconds
from kmodmon.sources import watch
from kmodmon.sources.source import Reading, SourceContext
from kmodmon.subjects.file_changes import FileChangesRead, TreeChanges
from kmodmon.system.file_watch import DirectoryWatch, Watched
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Read
from tests.fake_clock import FakeClock

RELEASE = "6.1.0-56-amd64"
PATIENCE = 20


@dataclass
class Readings:
    """The readings that the source emitted."""

    items: list[Reading] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, reading: Reading) -> None:
        self.items.append(reading)
        self.arrived.set()

    async def until(self, count: int) -> Reading:
        async with asyncio.timeout(PATIENCE):
            while len(self.items) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.items[count - 1]


def context_of(host: Path) -> SourceContext:
    base = str(host).encode()
    return SourceContext(
        root=Root(procfs=base + b"/proc", rootfs=base, modules=base + b"/lib/modules"),
        settings=Settings(
            files=FilesSettings(settle=Seconds(0.3)),
            policy=PolicyFileSettings(file=host / "etc/kmodmon/policy.toml"),
            baseline=BaselineSettings(file=host / "etc/kmodmon/baseline.toml"),
            certificates=CertificateSettings(directory=host / "keys", revoked=host / "revoked"),
        ),
        clock=FakeClock(),
    )


def make_host(host: Path) -> Path:
    for name in ("proc/sys/kernel", f"lib/modules/{RELEASE}/kernel/fs", "etc/kmodmon", "etc/modprobe.d"):
        (host / name).mkdir(parents=True)
    (host / "proc/sys/kernel/osrelease").write_text(RELEASE + "\n")
    return host


@asynccontextmanager
async def following(context: SourceContext) -> AsyncIterator[Readings]:
    readings = Readings()
    task = asyncio.create_task(watch.follow(context, readings.emit))
    try:
        first = await readings.until(1)
        assert first.quiet or first.wakes == ("policy", "baseline", "modprobe")
        yield readings
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def trees(reading: Reading) -> dict[str, TreeChanges]:
    assert isinstance(reading.outcome, Read) and isinstance(reading.outcome.value, FileChangesRead)
    return {tree.tree: tree for tree in reading.outcome.value.trees}


def test_policy_when_edited_then_only_the_policy_is_read_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with following(context_of(make_host(tmp_path))) as readings:
            (tmp_path / "etc/kmodmon/other").write_text("x")
            (tmp_path / "etc/kmodmon/.new").write_text("x")
            (tmp_path / "etc/kmodmon/.new").rename(tmp_path / "etc/kmodmon/policy.toml")
            reading = await readings.until(2)
            assert reading.wakes == ("policy",)
            assert (trees(reading)["policy"].moved, trees(reading)["policy"].total) == (1, 1)
            assert trees(reading)["policy"].path == str(tmp_path / "etc/kmodmon/policy.toml")

    asyncio.run(work())


def test_policy_and_baseline_when_they_appear_later_then_each_is_read(tmp_path: Path) -> None:
    async def work() -> None:
        async with following(context_of(make_host(tmp_path))) as readings:
            for number, name in enumerate(("policy", "baseline"), 2):
                (tmp_path / f"etc/kmodmon/{name}.toml").write_text("")
                assert (await readings.until(number)).wakes == (name,)

    asyncio.run(work())


def test_policy_when_kubernetes_swaps_the_link_that_it_lies_behind_then_it_is_read_again(tmp_path: Path) -> None:
    async def work() -> None:
        home = make_host(tmp_path) / "etc/kmodmon"
        (home / "..1").mkdir()
        (home / "..data").symlink_to("..1")
        (home / "policy.toml").symlink_to("..data/policy.toml")
        async with following(context_of(tmp_path)) as readings:
            (home / "..2").mkdir()
            (home / "..data_tmp").symlink_to("..2")
            (home / "..data_tmp").rename(home / "..data")
            assert "policy" in (await readings.until(2)).wakes

    asyncio.run(work())


def test_module_tree_when_a_storm_goes_over_it_then_it_is_one_look(tmp_path: Path) -> None:
    async def work() -> None:
        async with following(context_of(make_host(tmp_path))) as readings:
            for number in range(1500):
                (tmp_path / f"lib/modules/{RELEASE}/kernel/fs/m{number}.ko").write_text("x")
            reading = await readings.until(2)
            assert reading.wakes == ("files",)
            assert trees(reading)["modules"].created == 1500
            assert trees(reading)["modules"].words == "1500 created"

    asyncio.run(work())


def test_directories_when_they_appear_later_then_they_are_watched(tmp_path: Path) -> None:
    async def work() -> None:
        async with following(context_of(make_host(tmp_path))) as readings:
            new = tmp_path / "lib/modules/6.1.0-60-amd64"
            new.mkdir()
            assert "kernels" in trees(await readings.until(2))
            await readings.until(3)  # it is watched now
            (new / "modules.dep").write_text("")
            reading = await readings.until(4)
            assert (
                reading.wakes == ("files",)
                and trees(reading)["kernels"].path == "/lib/modules/6.1.0-60-amd64/modules.dep"
            )

    asyncio.run(work())


def test_modprobe_d_when_it_changes_then_it_is_read_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with following(context_of(make_host(tmp_path))) as readings:
            (tmp_path / "etc/modprobe.d/x.conf").write_text("blacklist x\n")
            assert (await readings.until(2)).wakes == ("modprobe",)

    asyncio.run(work())


def test_recorded_machine_when_followed_then_absent(tmp_path: Path) -> None:
    async def work() -> None:
        context = context_of(make_host(tmp_path))
        async with following(replace(context, root=context.root.failing({}))) as readings:
            assert isinstance(readings.items[0].outcome, Absent)

    asyncio.run(work())


def test_watch_when_a_directory_is_replaced_then_the_new_one_is_watched(tmp_path: Path) -> None:
    async def work() -> None:
        directory = tmp_path / "d"
        directory.mkdir()
        watched = DirectoryWatch(lambda: [Watched(key="d", path=str(directory), settle=0.1)])
        watched.start()
        try:
            directory.rename(tmp_path / "old")
            directory.mkdir()
            watched.renew()
            (burst,) = await watched.bursts(PATIENCE)
            assert burst.watched.key == "d"
            (directory / "x").write_text("")
            (burst,) = await watched.bursts(PATIENCE)
            assert burst.created == 1
            assert await watched.bursts(0.2) == ()
        finally:
            watched.stop()

    asyncio.run(work())
