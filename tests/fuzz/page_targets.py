"""A target of kmodmon/web/page: the status page of any state and any event that a file can give."""

import functools
from html.parser import HTMLParser

from kmodmon.events.codec import ShapeError, parse_json
from kmodmon.events.event import StoredEvent
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.state.state import State
from kmodmon.store.row import NO_HASH, HistoryRow, read_back
from kmodmon.web.page.asset import packaged_asset
from kmodmon.web.page.document import StatusPage
from kmodmon.web.page.page_data import PageData
from tests.fake_clock import EPOCH
from tests.fuzz.inputs import pieces, tried

_ADDRESSES = ("#", "api/", "?", "https://", "data:image/svg+xml,%3Csvg xmlns=")  # the last: icons, by the verdict
EMPTY = State(boot_id="b", started=EPOCH)


class _Reader(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts = 0
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]


@functools.cache
def _page() -> StatusPage:
    return StatusPage(packaged_asset("status.css"), packaged_asset("status.js"))


def _read(data: PageData) -> _Reader:
    return _Reader(b"".join(_page().render(data).blocks).decode())


@functools.cache
def _empty() -> _Reader:
    return _read(PageData(state=EMPTY))


def loaded(data: bytes) -> State:
    """The state that checkpoints give; raises ShapeError."""
    document = parse_json(data, "checkpoint")
    state = EMPTY
    for checkpoint in CHECKPOINTS:
        saved = document.get(checkpoint.section) if isinstance(document, dict) else None
        if isinstance(saved, dict):
            state = checkpoint.load(state, saved)
    return state


def _event(kind: bytes, module: bytes, body: bytes) -> StoredEvent:
    row = HistoryRow(
        id=1, boot_id="b", realtime_usec=1, monotonic_usec=1, type=kind.decode("utf-8", "replace"),
        severity="warning", module=module.decode("utf-8", "replace") or None, body=body, prev_hash=NO_HASH,
        hash=NO_HASH,
    )  # fmt: skip
    return read_back(row)


def status_page(data: bytes) -> object:
    """An event (type, module, body) and checkpoints: nothing of them becomes a script or an address."""
    kind, module, body, checkpoints = pieces(data, 4)
    state = tried(ShapeError, loaded, checkpoints) or EMPTY
    event = tried(ShapeError, _event, kind, module, body)
    events = () if event is None else (event,)
    shown, empty = _read(PageData(state=state, events=events, reports=events)), _empty()
    assert shown.scripts == empty.scripts and shown.handlers == empty.handlers == []
    further = set(shown.addresses) - set(empty.addresses)
    assert all(address.startswith(_ADDRESSES) for address in further), further
    return len(shown.addresses)
