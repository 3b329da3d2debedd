"""The status page without a browser: what it shows, that nothing breaks out of it, how it is kept and served."""

import gzip
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from types import MappingProxyType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmodmon.events.event import Event, Severity, StoredEvent, recorded_event
from kmodmon.events.kinds.daemon import Started
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.module import ModuleLoadFailed
from kmodmon.events.query import EventQuery
from kmodmon.state.state import State
from kmodmon.subjects.findings import Finding, Findings
from kmodmon.subjects.rules import Check
from kmodmon.subjects.self_stats import SelfMetric, SelfStats
from kmodmon.subjects.source import SourceState, SourceStatus
from kmodmon.types.error import KmodmonError
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text
from kmodmon.types.units import Instant, Usec
from kmodmon.web.message import decode_tail
from kmodmon.web.page.asset import packaged_asset
from kmodmon.web.page.document import StatusPage
from kmodmon.web.page.html import Markup, binary_size, disclosure, element, escaped, moment, span
from kmodmon.web.page.modules import MAX_ROWS, ModuleRows
from kmodmon.web.page.page_data import PageData
from kmodmon.web.page.serve import POLICY
from tests.browser.showcase import Server
from tests.browser.shown import ShownHost
from tests.states import BOOT, Story, module
from tests.web.serving import Served

NOW = Instant(realtime_usec=Usec(1_700_000_000_000_000), monotonic_usec=Usec(5_000_000))
BLANK = State(boot_id=BOOT, started=NOW)
HOSTILE = (
    "<script>alert(1)</script>",
    "x\"onmouseover='alert(1)'",
    "\u202egpj.exe",
    "&lt;b&gt;",
    "a" * 200,
    "\x1b[31m",
)


class Reader(HTMLParser):
    """An independent reader of HTML: elements, their attributes, texts, and whether every element is closed."""

    VOID = frozenset({"meta", "link", "input"})

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def attributes(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def page() -> StatusPage:
    return StatusPage(packaged_asset("status.css"), packaged_asset("status.js"))


def rendered(data: PageData) -> bytes:
    return b"".join(page().render(data).blocks)


def stored(*events: Event) -> tuple[StoredEvent, ...]:
    host = ShownHost(BLANK, events)
    return tuple(host.history.events(EventQuery(newest_first=True)))


@pytest.fixture(scope="module")
def showcase() -> PageData:
    server = Server().days()
    events = stored(*server.events)
    reports = tuple(entry for entry in events if entry.event.type == KernelReported.kind.type)
    return PageData(state=server.state, events=events, reports=reports)


# What it shows


def test_page_when_much_has_happened_then_every_part_of_it_is_there_without_scripts(showcase: PageData) -> None:
    text = Reader(rendered(showcase)).text
    for words in (
        "6.12.57+deb13-amd64",
        "Up 1 d 11 h",
        "Tainted, 2 findings",
        "tainted = 12801",
        "E unsigned module security",
        "Cause module net_shim",
        "By insmod[51877] (uid 0)",
        "Cause kernel report warning in module i40e",
        "not enforced Unsigned modules load (and taint): sig_enforce is N and no lockdown is in force.",
        "kptr_restrict 0 0: kernel addresses are shown",
        "net_shim error Nothing that this kernel trusts vouches for the module. Rule unsigned-module",
        "Module net_shim was loaded by insmod[51877] (uid 0), signature unsigned, taints OE",
        "WARNING at drivers/net/i40e/i40e_main.c in i40e_clean [i40e] warning",
        "Task irqbalance[48213]",
        "54 modules, newest first.",
        "net_shim 24 KiB 0 OE unsigned elsewhere 2026-11-19 22:34:53 insmod[51877] (uid 0)",
        "nvidia 580.95.05 92.9 MiB 91 nvidia_modeset PO valid DKMS module signing key dkms nvidia-current",
        "History 12 events, 96 KiB",
    ):
        assert words in text, words
    assert "2026-11-19 22:34:53" in text


def test_page_when_nothing_was_read_then_it_says_what_is_not_known() -> None:
    state = replace(
        BLANK,
        sources={SourceName.TAINT: SourceState(name=SourceName.TAINT, why="/proc/sys/kernel/tainted: no such file")},
    )
    text = Reader(rendered(PageData(state=state))).text
    assert "Taint unknown The kernel's taint cannot be read: /proc/sys/kernel/tainted: no such file." in text
    assert text.count("cannot be told") == 5
    assert "The list could not be read." in text
    assert "Nothing has been read yet." in text


def test_page_when_the_kernel_is_clean_then_it_says_so() -> None:
    story = Story()
    story.modules(module("ext4"))
    story.taint(0)
    state = replace(story.state, findings=Findings(judged=True))
    text = Reader(rendered(PageData(state=state))).text
    assert "Not tainted No taint flag has been set since this kernel was booted." in text
    assert "The policy finds nothing wrong." in text and "Nothing has happened yet." in text
    assert "1 module, newest first." in text


def test_page_when_there_are_no_loadable_modules_then_it_says_so() -> None:
    state = replace(BLANK, inventory=replace(BLANK.inventory, support=False))
    assert "This kernel was built without loadable modules." in Reader(rendered(PageData(state=state))).text


def test_page_when_the_history_is_in_trouble_then_the_rest_is_shown(showcase: PageData) -> None:
    data = replace(showcase, events=(), reports=(), history_error="history.db: disk I/O error")
    text = Reader(rendered(data)).text
    assert "The history cannot be read: history.db: disk I/O error" in text and "Tainted, 2 findings" in text


def test_page_when_a_finding_is_a_dry_run_then_it_is_shown_and_not_counted() -> None:
    finding = Finding(
        rule="r", check=Check.MODULE, severity=Severity.CRITICAL, subject="m", reason="Why.", advice="Do `x -y`.",
        dry_run=True,
    )  # fmt: skip
    state = replace(BLANK, findings=Findings(current={finding.id: finding}, judged=True))
    text = Reader(rendered(PageData(state=state))).text
    assert "m dry run Why." in text and "Do x -y ." in text
    assert "1 finding" not in text


def test_page_when_a_finding_is_critical_and_nothing_taints_then_the_verdict_is_not_good() -> None:
    finding = Finding(rule="hidden", check=Check.HIDDEN, severity=Severity.CRITICAL, subject="evil")
    state = replace(BLANK, findings=Findings(current={finding.id: finding}, judged=True))
    data = PageData(state=replace(state, taint=replace(state.taint, value=0)))
    assert "Not tainted, 1 finding" in Reader(rendered(data)).text
    assert b'class="verdict critical"' in rendered(data)


def test_page_when_a_source_fails_then_the_table_says_why_and_what_was_lost() -> None:
    sources = {
        SourceName.KERNEL: SourceState(name=SourceName.KERNEL, status=SourceStatus.UP, why=""),
        SourceName.MODULES: SourceState(name=SourceName.MODULES, status=SourceStatus.FAILED, why="EIO"),
        SourceName.TAINT: SourceState(name=SourceName.TAINT, status=SourceStatus.UP, why="", lost=1200, unreadable=3),
        SourceName.LOCKDOWN: SourceState(name=SourceName.LOCKDOWN, why="not built"),
    }
    text = Reader(rendered(PageData(state=replace(BLANK, sources=sources)))).text
    assert "up kernel Source State" in text
    assert "modules failing EIO" in text and "taint up 1,200 lost; 3 unreadable" in text
    assert "lockdown absent not built" in text


# Hostile text


def test_page_when_names_and_log_lines_are_hostile_then_they_are_text() -> None:
    names = [safe_text(name.encode()) for name in HOSTILE]
    story = Story()
    story.modules()
    story.modules(*(module(name, "O<E\u202e") for name in names))
    story.taint(1 << 12)
    events = [
        recorded_event(
            type=kind, at=NOW, module=name, evidence=(name,),
            fields={"title": name, "reason": name, "comm": name, "frames": [name], "function": name, "signature": name},
        )
        for name in names
        for kind in (KernelReported.kind.type, ModuleLoadFailed.kind.type)
    ]  # fmt: skip
    finding = Finding(rule=names[0], check=Check.MODULE, severity=Severity.ERROR, subject=names[1], reason=names[2],
                      evidence=tuple(names), advice="`".join(names), module=names[0])  # fmt: skip
    findings = Findings(current={finding.id: finding}, judged=True)
    sources = {source: SourceState(name=source, why=name) for source, name in zip(SourceName, names, strict=False)}
    state = replace(story.state, findings=findings, sources=sources)
    all_stored = stored(*events)
    body = rendered(PageData(state=state, events=all_stored, reports=all_stored, history_error=""))
    read = Reader(body)
    assert [name for name, _ in read.elements if name == "script"] == ["script"]
    assert not any(name.startswith("on") or name == "style" for _, attributes in read.elements for name in attributes)
    assert "<script>alert(1)</script>" in read.text
    assert "\u202e" not in body.decode() and "\x1b" not in body.decode()
    assert "\\xe2\\x80\\xaegpj.exe" in read.text
    ids = [value for value in read.attributes("id") if value is not None]
    assert not any(re.search(r"\s", value) for value in ids)
    links = [value for value in read.attributes("href") if value is not None and value.startswith("api/v1/modules/")]
    assert sorted(decode_tail(link.removeprefix("api/v1/modules/")) for link in links) == sorted(names)


@given(st.text())
@example("\u202e<b>\ud800")
def test_element_when_given_any_text_then_one_element_with_that_text_is_read_back(text: str) -> None:
    markup = element("p", text, title=text)
    read = Reader(markup.encode())
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    assert ("".join(read.texts), read.elements) == (shown, [("p", {"title": shown})])
    assert markup.isprintable()


def test_element_when_attributes_are_flags_or_nothing_then_bare_or_left_out() -> None:
    markup = element("input", type="search", hidden=True, disabled=False, class_=None, data_key=0)
    assert markup == '<input type="search" hidden data-key="0">'


def test_markup_when_put_into_another_element_then_it_is_not_escaped_twice() -> None:
    assert element("p", element("b", "&"), "<") == "<p><b>&amp;</b>&lt;</p>"
    assert isinstance(escaped(Markup("<b>")), Markup) and escaped(Markup("<b>")) == "<b>"


def test_disclosure_when_there_are_many_lines_then_it_says_how_many_more() -> None:
    read = Reader(disclosure("Evidence", [str(number) for number in range(40)], "x", most=12).encode())
    assert "11 and 28 more lines" in read.text and len([name for name, _ in read.elements if name == "code"]) == 12
    assert disclosure("Evidence", [], "x") == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 min"), (59, "0 min"), (3700, "1 h 1 min"), (90_000, "1 d 1 h"), (1e9, "11,574 d 1 h")],
)
def test_span_gives_the_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (812, "812 B"), (16384, "16 KiB"), (1_672_000, "1.6 MiB"), (1 << 40, "1,024.0 GiB")],
)
def test_binary_size_gives_a_binary_unit(count: int, words: str) -> None:
    assert binary_size(count) == words


def test_moment_when_the_clock_is_nonsense_then_the_number_is_shown() -> None:
    assert "2023-11-14 22:13:20" in moment(NOW.realtime_usec) and "2023-11-14T22:13:20Z" in moment(NOW.realtime_usec)
    assert moment(1 << 62) == f"{1 << 62} µs" and moment(-(1 << 62)) == f"-{1 << 62} µs"


# Bounds


def state_with(number: int) -> State:
    story = Story()
    story.modules()
    story.modules(*(module(f"m{place:05}", "OE" if place >= number - 7 else "") for place in range(number)))
    return story.state


def rows_of(read: Reader) -> list[str | None]:
    return [attributes["data-name"] for name, attributes in read.elements if name == "tr" and "data-name" in attributes]


def test_page_when_there_are_thousands_of_modules_then_a_bounded_part_with_all_suspicious_ones() -> None:
    body = rendered(PageData(state=state_with(5000)))
    read = Reader(body)
    rows = rows_of(read)
    assert len(rows) == MAX_ROWS and set(rows) >= {f"m{place:05}" for place in range(4993, 5000)}
    assert rows == sorted(rows, key=str)
    assert "500 of 5,000 modules are shown here" in read.text
    assert "api/v1/modules" in read.attributes("href")
    assert len(body) < 600_000


def test_page_when_events_findings_and_evidence_are_many_then_it_stays_bounded() -> None:
    lines = tuple("x" * 200 for _ in range(500))
    events = stored(*(recorded_event(type=KernelReported.kind.type, at=NOW, evidence=lines) for _ in range(100)))
    broken = [Finding(rule="r", check=Check.MODULE, severity=Severity.ERROR, subject=f"m{n}") for n in range(5000)]
    findings = Findings(current={finding.id: finding for finding in broken}, judged=True)
    body = rendered(PageData(state=replace(BLANK, findings=findings), events=events, reports=events[:20]))
    read = Reader(body)
    assert "80 earlier events" in read.text and "and 4,960 more findings" in read.text
    assert len(body) < 800_000


# Kept and served


def test_render_when_nothing_changed_then_the_same_bytes_and_tag(showcase: PageData) -> None:
    kept = page()
    first = kept.render(showcase)
    again = kept.render(replace(showcase, state=replace(showcase.state, counts={})))
    assert again.tag == first.tag
    assert all(block is other for block, other in zip(first.blocks, again.blocks, strict=True))


def test_render_when_only_time_passed_then_the_same_tag_and_a_later_time(showcase: PageData) -> None:
    kept = page()
    first = kept.render(showcase)
    taint = showcase.state.sources[SourceName.TAINT]
    later = Instant(realtime_usec=Usec(NOW.realtime_usec * 2), monotonic_usec=Usec(0))
    kernel = replace(showcase.state.kernel, boot_time=None) if showcase.state.kernel is not None else None
    still = replace(showcase.state, kernel=kernel)
    first = kept.render(replace(showcase, state=still))
    sources = MappingProxyType({**showcase.state.sources, "taint": replace(taint, last_read=later)})
    after = kept.render(replace(showcase, state=replace(still, sources=sources)))
    assert after.tag == first.tag
    assert after.blocks != first.blocks


def test_rows_when_one_module_changes_then_the_others_are_kept() -> None:
    state = state_with(50)
    rows = ModuleRows()
    before = rows.render(PageData(state=state))
    changed = replace(state.inventory.modules["m00007"], refcnt=77)
    listed = {**state.inventory.modules, "m00007": changed}
    now = replace(state, inventory=replace(state.inventory, modules=listed))
    after = rows.render(PageData(state=now)).split("\n")
    assert after == ModuleRows().render(PageData(state=now)).split("\n")
    assert [row for row, other in zip(after, before.split("\n"), strict=True) if row != other] == [after[7]]


def changes(data: PageData) -> Iterable[State]:
    state = data.state
    less = dict(list(state.inventory.modules.items())[1:])
    yield replace(state, inventory=replace(state.inventory, modules=less))
    yield replace(state, taint=replace(state.taint, value=0))
    yield replace(state, taint=replace(state.taint, ledger={}))
    yield replace(state, findings=Findings(judged=True))
    yield replace(state, posture=replace(state.posture, lockdown=None))
    yield replace(state, files=replace(state.files, records={}))
    yield replace(state, own=SelfStats({SelfMetric.HISTORY_EVENTS: 77}))
    yield replace(state, sources={**state.sources, SourceName.KMSG: SourceState(name=SourceName.KMSG, why="gone")})


def test_render_when_any_shown_part_changes_then_another_tag_and_what_a_fresh_page_gives(showcase: PageData) -> None:
    kept = page()
    tags = {kept.render(showcase).tag}
    for state in changes(showcase):
        data = replace(showcase, state=state)
        markup = kept.render(data)
        tags.add(markup.tag)
        assert b"".join(markup.blocks) == rendered(data)
    tags.add(kept.render(replace(showcase, events=showcase.events[1:])).tag)
    tags.add(kept.render(replace(showcase, reports=())).tag)
    assert len(tags) == 11


def test_page_when_served_then_its_headers_protect_and_its_parts_are_found(showcase: PageData) -> None:
    server = Server().days()
    with Served(routes=ShownHost(server.state, server.events).routes()) as served:
        answer = served.get("/")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["cache-control"] == "no-store"
        zipped = served.get("/", headers={"accept-encoding": "gzip"})
        assert zipped.headers["content-encoding"] == "gzip" and gzip.decompress(zipped.body) == answer.body
        read = Reader(answer.body)
        for link in read.attributes("href") + read.attributes("src"):
            if link is not None and not link.startswith(("#", "data:", "https:")):
                assert served.get(f"/{link.removeprefix('./')}").status == 200, link


def test_page_when_the_client_has_it_then_304_until_it_changes() -> None:
    host = ShownHost(Server().days().state)
    with Served(routes=host.routes()) as served:
        tag = served.get("/").headers["etag"]
        same = served.get("/", headers={"if-none-match": f'"other", {tag}'})
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
        assert same.headers["content-length"] is None
        asked = f"GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: {tag}\r\n\r\nGET /-/ready HTTP/1.1\r\nHost: h\r\n"
        both = served.send(f"{asked}Connection: close\r\n\r\n".encode())
        assert re.fullmatch(rb"HTTP/1.1 304 .*?\r\n\r\nHTTP/1.1 200 .*\r\n\r\nok\n", both, re.DOTALL)
        host.history.append((recorded_event(type=Started.kind.type, at=NOW),))
        assert served.get("/", headers={"if-none-match": tag}).status == 200


@pytest.mark.parametrize(("name", "kind"), [("status.css", "text/css"), ("status.js", "text/javascript")])
def test_asset_when_named_by_its_content_then_it_is_kept_for_good(name: str, kind: str) -> None:
    asset = packaged_asset(name)
    with Served(routes=ShownHost(BLANK).routes()) as served:
        named = served.get(f"/{asset.address}")
        assert (named.status, named.body) == (200, asset.body)
        assert named.headers["content-type"] == f"{kind}; charset=utf-8"
        assert named.headers["cache-control"] == "max-age=31536000, immutable"
        assert named.headers["x-content-type-options"] == "nosniff"
        for query in ("", "?v=0123456789abcdef"):
            plain = served.get(f"/static/{name}{query}")
            assert plain.headers["cache-control"] == "no-cache"
            again = served.get(f"/static/{name}{query}", headers={"if-none-match": plain.headers["etag"]})
            assert (again.status, again.body) == (304, b"")
        assert served.get("/static/../site.py").status == 404


def test_assets_name_no_outside_resource_and_make_no_html_of_text() -> None:
    script, style = packaged_asset("status.js").body.decode(), packaged_asset("status.css").body.decode()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", style)
    assert "http:" not in script and "https:" not in script
    assert not re.search(r"innerHTML\s*=|outerHTML\s*=|insertAdjacentHTML|document\.write|\beval\b|Function\(", script)


class Broken(ShownHost):
    """A host whose history cannot be read."""

    async def events(self, query: EventQuery) -> Sequence[StoredEvent]:
        raise KmodmonError("history.db: is not a database")


def test_page_when_the_history_cannot_be_read_then_it_is_served_all_the_same() -> None:
    with Served(routes=Broken(BLANK).routes()) as served:
        answer = served.get("/")
        assert answer.status == 200 and b"history.db: is not a database" in answer.body
