"""The status page in Debian's Chromium, as a reader has it."""

import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kmodmon.events.event import Severity, recorded_event
from kmodmon.events.kinds.daemon import Started
from kmodmon.state.state import State
from kmodmon.subjects.findings import Finding, Findings
from kmodmon.subjects.posture import UNREAD_POSTURE
from kmodmon.subjects.rules import Check
from kmodmon.subjects.self_stats import SelfMetric, SelfStats
from kmodmon.subjects.source import SourceState, SourceStatus
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text
from kmodmon.types.units import JsonValue
from tests.browser.daemon import daemon
from tests.browser.play import play
from tests.browser.showcase import Server
from tests.browser.shown import ShownHost
from tests.states import Story, module
from tests.synthetic import make_host
from tests.web.serving import Served

pytestmark = pytest.mark.browser

MODULES = 200
LOAD_MILLISECONDS = 1000
LIVE_SECONDS = 10
SCREENSHOTS = Path(__file__).parent.parent.parent / "packaging" / "screenshots"
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><b onmouseover='alert(1)'>x",
    "\u202egnp.live",
    "\u05e9\u05dc\u05d5\u05dd",  # letters that run from right to left
    "a" * 200,
    "e" + "\u0301" * 40,  # one letter with forty accents
    "&lt;script&gt;",
    "a b\nc",
    "%2e%2e%2fmetrics",
)


def table(number: int) -> State:
    """Modules of many sizes, every fiftieth unsigned."""
    story = Story()
    story.modules()
    story.modules(
        *(
            module(f"module_{place:05}", "OE" if place % 50 == 0 else "", size=4096 * ((place * 37) % 997 + 1))
            for place in range(number)
        )
    )
    story.taint(1 << 12 | 1 << 13)
    return story.state


@pytest.fixture(scope="module")
def showcase() -> Iterator[str]:
    server = Server().days()
    with Served(routes=ShownHost(server.state, server.events).routes(), clock=server.clock) as served:
        yield f"http://127.0.0.1:{served.port}/"


def test_page_when_there_are_200_modules_then_it_is_there_within_a_second_sorts_and_filters() -> None:
    with Served(routes=ShownHost(table(MODULES)).routes()) as served:
        came = play("table", f"http://127.0.0.1:{served.port}/")
    every = [f"module_{place:05}" for place in range(MODULES)]
    assert came["listed"] == every
    loads = came["loads"]
    assert isinstance(loads, list)
    fastest = min(float(str(load)) for load in loads)
    print(f"load event of a page with {MODULES} modules after {fastest:.0f} ms")
    assert 0 < fastest < LOAD_MILLISECONDS, loads
    assert (came["firstStop"], came["skippedTo"]) == ("Skip to content", "main")
    by_size = sorted(every, key=lambda name: (int(name[-5:]) * 37) % 997)
    assert came["bySize"] == by_size
    assert came["order"] == ["none", "ascending", *["none"] * 7]
    assert came["bySizeFalling"] == by_size[::-1]
    assert came["orderFalling"] == ["none", "descending", *["none"] * 7]
    assert came["byName"] == every
    assert came["nothing"] == []
    assert came["filtered"] == [f"module_0001{digit}" for digit in range(10)]
    assert came["said"] == "10 of 200 shown"
    assert came["suspicious"] == []
    assert came["allSuspicious"] == ["module_00000", "module_00050", "module_00100", "module_00150"]


def test_page_when_a_module_is_loaded_then_it_appears_without_a_reload_and_polling_stops_out_of_sight(
    tmp_path: Path,
) -> None:
    make_host(tmp_path / "host", MODULES, 200)
    kernel = tmp_path / "host" / "proc" / "sys" / "kernel"
    (kernel / "kptr_restrict").write_text("1\n")
    with daemon(tmp_path / "host", tmp_path / "state") as url:
        came = play("live", url, modules=str(tmp_path / "host" / "proc" / "modules"), findings=MODULES // 50)
    assert came["sameDocument"] is True
    print(f"a module appears {came['seconds']} s after it was listed")
    assert isinstance(came["seconds"], float) and came["seconds"] < LIVE_SECONDS
    assert "module_00009_late" in str(came["said"])
    assert came["count"] == "201 modules, newest first."
    assert came["fresh"] is True
    shown = came["shown"]
    assert shown == [f"module_0000{digit}" for digit in range(10)] + ["module_00009_late"]
    assert (came["stillOpen"], came["stillFocused"]) == (True, True)
    assert came["askedWhileAway"] == 0


def test_page_when_the_server_goes_away_then_it_says_so_and_comes_back() -> None:
    with Served(routes=ShownHost(table(20)).routes()) as served:
        came = play("lost", f"http://127.0.0.1:{served.port}/")
    assert came == {"still": 20, "other": []}


def test_page_when_scripts_are_off_then_all_of_it_can_be_read(showcase: str) -> None:
    came = play("plain", showcase)
    text = str(came["text"])
    for words in (
        "Tainted, 2 findings",
        "Unsigned module security",
        "Cause module net_shim",
        "not enforced",
        "Module net_shim was loaded by insmod[51877] (uid 0), signature unsigned, taints OE",
        "WARNING at drivers/net/i40e/i40e_main.c in i40e_clean [i40e]",
        "History 12 events",
        "times are UTC",
    ):
        assert words in text, words
    assert (came["tools"], came["buttons"], came["rows"], came["wider"]) == (False, 0, 54, [])


def test_page_when_names_are_hostile_then_they_are_inert_and_break_no_layout() -> None:
    names = [safe_text(name.encode()) for name in HOSTILE]
    story = Story()
    story.modules()
    story.modules(*(module(name, "OE") for name in names))
    story.modules(*(replace(module(name, "OE"), holders=tuple(names)) for name in names))
    story.taint(1 << 12 | 1 << 13)
    with Served(routes=ShownHost(story.state, story.events).routes()) as served:
        came = play("hostile", f"http://127.0.0.1:{served.port}/")
    assert came == {"wider": [], "ran": False, "scripts": 1, "names": names, "answers": names}


def in_trouble() -> ShownHost:
    """A host with every colour that the page has."""
    server = Server().days()
    at = server.clock.now()
    events = [recorded_event(type=Started.kind.type, at=at, severity=one, evidence=("a", "b")) for one in Severity] * 6
    graver = Finding(rule="hidden", check=Check.HIDDEN, severity=Severity.CRITICAL, subject="m", advice="See `it`.")
    found = [graver, replace(graver, severity=Severity.NOTICE, subject="n"), replace(graver, subject="o", dry_run=True)]
    sources = {
        SourceName.UEVENT: SourceState(
            name=SourceName.UEVENT, status=SourceStatus.FAILED, why="Operation not permitted"
        ),
        SourceName.TRACE: SourceState(name=SourceName.TRACE, why="tracefs is not mounted"),
        SourceName.KMSG: SourceState(name=SourceName.KMSG, status=SourceStatus.UP, why="", lost=7),
    }
    state = replace(
        server.state,
        taint=replace(server.state.taint, value=(1 << 20) - 1, ledger={}),
        posture=UNREAD_POSTURE,
        findings=Findings(current={one.id: one for one in found}, judged=True),
        sources={**server.state.sources, **sources},
        own=SelfStats({SelfMetric.HISTORY_LOST: 3, SelfMetric.CONFIG_OK: False}),
    )
    return ShownHost(state, events)


def test_page_when_axe_looks_at_it_then_nothing_is_wrong_in_light_and_dark(showcase: str) -> None:
    with Served(routes=in_trouble().routes()) as served:
        trouble = f"http://127.0.0.1:{served.port}/"
        light: list[JsonValue] = [[showcase, "light", 1280], [trouble, "light", 360]]
        dark: list[JsonValue] = [[showcase, "dark", 360], [trouble, "dark", 1280]]
        came = play("axe", showcase, others=[trouble], visits=light + dark)
    assert came["found"] == []
    assert isinstance(came["rules"], int) and came["rules"] > 20
    assert came["control"] == ["color-contrast", "image-alt"]


def test_page_when_photographed_then_the_pictures_are_those_of_the_readme(showcase: str, tmp_path: Path) -> None:
    came = play("shots", showcase, directory=str(tmp_path))
    shots = came["shots"]
    assert isinstance(shots, list) and len(shots) == 5
    assert isinstance(came["pages"], int) and 1 <= came["pages"] <= 9
    for shot in map(Path, map(str, shots)):
        size = shot.stat().st_size
        assert 20_000 < size < 500_000, f"{shot.name}: {size} bytes is blank or not a picture for a README"
        if os.environ.get("KMODMON_SCREENSHOTS"):
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            shutil.copy(shot, SCREENSHOTS)
        assert dimensions(SCREENSHOTS / shot.name) == dimensions(shot)


def dimensions(path: Path) -> tuple[int, int]:
    """Width and height in the header of a PNG."""
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n"), path
    width, height = struct.unpack(">II", head[16:24])
    return int(width), int(height)
