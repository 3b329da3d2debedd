"""New settings in a running engine and daemon: what is in force at once, what is refused, what is not disturbed."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from kmodmon.cli.options import located
from kmodmon.config.load import load
from kmodmon.config.settings import Settings, build_settings
from kmodmon.config.values import Seconds
from kmodmon.events.kinds.daemon import Started, Stopped
from kmodmon.metrics import EVENT_METRICS
from kmodmon.pipeline import Rules
from kmodmon.runtime.daemon import Daemon, Options
from kmodmon.runtime.engine import Engine
from kmodmon.sources.source import Emit, EventSource, PollSource, Reading, SourceContext
from kmodmon.state.state import State
from kmodmon.store import open_reader
from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.subjects.taint import TaintRead
from kmodmon.system import file_watch as watching
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root, recorded_failures
from kmodmon.system.sd_notify import Notifier
from kmodmon.types.outcome import Read
from kmodmon.types.source_name import SourceName
from kmodmon.web.limits import HttpLimits
from kmodmon.web.server import WebServer
from tests.blocked import release
from tests.runtime.test_engine_log import Kept, until

TREE = Path(__file__).parent.parent / "trees/debian13-6.12-x86_64"
PATIENCE = 20
STARTED, STOPPED = Started.kind.type, Stopped.kind.type
LONGER = build_settings({"parameters.max_value_length": 100})


@pytest.fixture(autouse=True)
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changed is read at once."""
    monkeypatch.setattr(watching, "SETTLE", 0.01)


@dataclass
class Made:
    """Counts how often a reader was made and used; `gate` closed: a look takes until it is opened."""

    settings: list[Settings] = field(default_factory=list)
    used: list[Settings] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def make(self, context: SourceContext) -> Callable[[], Reading]:
        self.settings.append(context.settings)

        def read() -> Reading:
            self.begun.set()
            self.gate.wait(PATIENCE)
            self.used.append(context.settings)
            return Reading(outcome=Read(TaintRead(value=0)))

        return read

    def source(self, *, threaded: bool) -> PollSource:
        return PollSource(
            name=SourceName.TAINT, make=self.make, every=lambda settings: 0, interfaces=(), threaded=threaded
        )


def engine_of(*polled: PollSource, followed: tuple[EventSource, ...] = ()) -> Engine:
    clock = SystemClock()
    return Engine(
        context=SourceContext(root=Root(), settings=Settings(), clock=clock),
        state=State(boot_id="test", started=clock.now()),
        sink=Kept(),
        rules=Rules(event_metrics=EVENT_METRICS),
        polled_sources=polled,
        event_sources=followed,
    )


@pytest.mark.parametrize("threaded", [False, True])
def test_settings_when_they_change_then_the_reader_is_made_and_used_anew(threaded: bool) -> None:
    made = Made()
    made.gate.set()

    async def work() -> None:
        engine = engine_of(made.source(threaded=threaded))
        await engine.start()
        await until(engine, lambda state: len(made.used) == 1)
        await asyncio.sleep(0)  # the first look's task ends
        engine.reconfigure(replace(engine.context, settings=LONGER), Rules(event_metrics=EVENT_METRICS))
        await until(engine, lambda state: len(made.used) == 2)
        engine.reconfigure(replace(engine.context, settings=LONGER), Rules(event_metrics=EVENT_METRICS))
        await engine.stop()

    asyncio.run(work())
    assert made.settings == made.used == [Settings(), LONGER]


def test_settings_when_they_change_while_a_source_is_read_then_it_is_read_again_with_them() -> None:
    made = Made()

    async def work() -> None:
        engine = engine_of(made.source(threaded=True))
        await engine.start()
        await asyncio.to_thread(made.begun.wait, PATIENCE)
        engine.reconfigure(replace(engine.context, settings=LONGER), Rules(event_metrics=EVENT_METRICS))
        made.gate.set()
        await until(engine, lambda state: len(made.used) == 2)
        await engine.stop()

    asyncio.run(work())
    assert made.used[-1] == LONGER


def test_event_source_when_what_it_heeds_changes_then_it_is_run_anew_after_the_old_one_ended() -> None:
    story: list[str] = []

    async def run(context: SourceContext, emit: Emit) -> None:
        story.append(f"begins {context.settings.files.settle:g}")
        emit(Reading(outcome=Read(TaintRead(value=0)), quiet=True))
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            story.append("ends")

    async def work() -> None:
        heeding = EventSource(name=SourceName.TAINT, run=run, interfaces=(), depends_on=lambda settings: settings.files)
        engine = engine_of(followed=(heeding,))
        await engine.start()
        await until(engine, lambda state: len(story) == 1)
        engine.reconfigure(replace(engine.context, settings=LONGER), Rules(event_metrics=EVENT_METRICS))
        other = build_settings({"files.settle": Seconds(9)})
        engine.reconfigure(replace(engine.context, settings=other), Rules(event_metrics=EVENT_METRICS))
        await until(engine, lambda state: len(story) == 3)
        await engine.stop()

    asyncio.run(work())
    assert story == ["begins 2", "ends", "begins 9", "ends"]


async def eventually(told: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `told` says so; what is waited for is in another thread or process, which tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not await told():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Running:
    """A daemon on a recorded host, whose settings are in a file."""

    def __init__(self, home: Path) -> None:
        self.file = home / "kmodmon.toml"
        self.home = home
        self.write()
        options = Options(
            load=lambda: load(self.file),
            root_of=lambda settings: located(settings.path).failing(recorded_failures(TREE)),
            config_file=self.file,
        )
        self.daemon = Daemon(options, options.load(), SystemClock(), Notifier({}))

    def write(self, more: str = "") -> None:
        """Replace the file, as editors and configuration tools do."""
        paths = {"procfs": TREE / "proc", "sysfs": TREE / "sys", "rootfs": TREE, "dev": TREE / "dev"}
        web = "" if more.startswith("[web]") else '[web]\nlisten = ["127.0.0.1:0"]\nmax_connections = 8'
        lines = [
            web,
            f'[history]\ndirectory = "{self.home}/state"',
            "[path]",
            *(f'{name} = "{path}"' for name, path in paths.items()),
            more,
        ]
        fresh = self.file.with_suffix(".new")
        fresh.write_text("\n".join(lines))
        fresh.replace(self.file)

    async def get(self, path: str) -> str:
        def ask() -> str:
            with urlopen(f"http://{self.daemon.addresses[0]}{path}", timeout=PATIENCE) as answer:
                return str(answer.read(), "utf-8")

        return await asyncio.to_thread(ask)

    async def shows(self, path: str, text: str, *, gone: bool = False) -> None:
        async def told() -> bool:
            return (text in await self.get(path)) is not gone

        await eventually(told)

    async def is_ready(self) -> bool:
        return self.daemon.ready


def run(home: Path, work: Callable[[Running], Awaitable[None]]) -> None:
    async def main() -> None:
        running = Running(home)
        task = asyncio.create_task(running.daemon.run())
        await eventually(running.is_ready)
        await work(running)
        running.daemon.stop()
        await task

    asyncio.run(main())


def test_daemon_when_its_file_changes_then_the_settings_are_in_force_without_a_signal(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        await running.shows("/metrics", 'kmodmon_module_parameter_info{module="params_mod"')
        running.write('[parameters]\nredact = ["text_*"]\ninfo_series = false\n[expected]\nmodules = ["nosuch"]')
        await running.shows("/metrics", "kmodmon_module_parameter_info{", gone=True)
        await running.shows("/api/v1/findings", "nosuch")
        events = await running.get("/api/v1/events?type=ParameterChanged,ConfigRefused")
        assert json.loads(events) == []

    run(tmp_path, work)


def test_daemon_when_a_source_is_switched_off_then_what_it_read_is_not_shown_any_more(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        await running.shows("/metrics", 'kmodmon_module_parameter{module="loop"')
        running.write("[parameters]\nenabled = false")
        await running.shows("/metrics", 'kmodmon_source_present{source="parameters"} 0.0')
        assert "kmodmon_module_parameter{" not in await running.get("/metrics")
        assert json.loads(await running.get("/api/v1/events?type=SourceLost")) == []
        running.write("")
        await running.shows("/metrics", 'kmodmon_module_parameter{module="loop"')
        assert json.loads(await running.get("/api/v1/events?type=ParameterChanged")) == []

    run(tmp_path, work)


def test_daemon_when_its_file_does_not_answer_then_that_is_reported_and_all_goes_on(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        running.daemon._engine.context.calls.deadline = 0.1
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        pipe.rename(running.file)
        try:
            await running.shows("/metrics", "kmodmon_config_last_reload_successful 0.0")
            await running.shows("/api/v1/events?type=ConfigRefused", "kmodmon.toml: no answer within 0.1 s")
        finally:
            release(running.file)

    run(tmp_path, work)


def test_daemon_when_only_the_expected_modules_change_then_they_are_judged_anew(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        await running.shows("/api/v1/findings", "unsigned-module")
        running.write('[expected]\nmodules = ["nosuch"]')
        await running.shows("/metrics", 'kmodmon_module_expected{module="nosuch"} 0.0')
        running.write("")
        await running.shows("/metrics", 'kmodmon_module_expected{module="nosuch"}', gone=True)

    run(tmp_path, work)


def test_daemon_when_the_new_file_is_bad_then_it_says_so_and_keeps_the_old_settings(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        await running.shows("/metrics", "kmodmon_config_last_reload_successful 1")
        running.write("[expected]\nmodules = 7")
        await running.shows("/metrics", "kmodmon_config_last_reload_successful 0")
        await running.shows("/api/v1/events?type=ConfigRefused", "expected.modules")  # the history is a moment later
        [event] = json.loads(await running.get("/api/v1/events?type=ConfigRefused"))
        assert "expected.modules" in event["evidence"][0] and "nosuch" not in await running.get("/api/v1/findings")
        running.write("[expected]\nmodules = ['nosuch']")
        await running.shows("/metrics", "kmodmon_config_last_reload_successful 1")

    run(tmp_path, work)


def test_daemon_when_stopped_and_started_then_the_chain_goes_on(tmp_path: Path) -> None:
    async def ready(running: Running) -> None:
        assert running.daemon.ready and running.daemon.cycling

    run(tmp_path, ready)
    run(tmp_path, ready)
    reader = open_reader(tmp_path / "state")
    try:
        kinds = [stored.event.type for stored in reader.events() if stored.event.type in (STARTED, STOPPED)]
        assert kinds == [STARTED, STOPPED] * 2
        assert list(reader.verify()) == []
    finally:
        reader.close()


def test_watch_when_the_kernel_allows_no_more_then_it_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[str] = []
    ended: list[str] = []

    class Refusing:
        def schedule(self, *args: object, **kwargs: object) -> None:
            tries.append("refused")
            raise OSError(errno.ENOSPC, "inotify watch limit reached")

        def stop(self) -> None:
            ended.append("its inotify instance is closed")

        def is_alive(self) -> bool:
            return False

    monkeypatch.setattr(watching, "Observer", Refusing)
    monkeypatch.setattr(watching, "RETRY", 0.01)

    async def often() -> bool:
        return len(tries) >= 3

    async def work() -> None:
        task = asyncio.create_task(watching.watch_file(tmp_path / "kmodmon.toml", lambda: None))
        await eventually(often)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SIGHUP" in caplog.text
    assert len(ended) == len(tries)


def test_limits_when_they_change_then_new_connections_have_them() -> None:
    async def work() -> None:
        counters = SelfCounters()
        server = WebServer(routes=(), listen=["127.0.0.1:0"], limits=HttpLimits(connections=64), counters=counters)
        await server.start()
        server.set_limits(HttpLimits(connections=1))
        host, _, port = server.addresses[0].rpartition(":")
        most = HttpLimits(connections=1).waiting
        clients = [await asyncio.open_connection(host, int(port)) for _ in range(most + 1)]
        async with asyncio.timeout(PATIENCE):
            assert await clients[0][0].read() == b""  # it made room
        for _, writer in clients:
            writer.close()
        await server.stop()
        assert counters.snapshot()[SelfMetric.HTTP_REJECTED] == 1

    asyncio.run(work())
