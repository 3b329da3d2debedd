"""The status page as a whole: readable without scripts, put together from blocks that are rendered when they change.

A block is rendered again when a part of the state that it shows has changed; an unchanged page costs a comparison. The
ETag is a digest of the blocks without the line that says when the sources were read.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from kmodmon import __version__
from kmodmon.events.event import StoredEvent
from kmodmon.state.trust import kernel_verifies
from kmodmon.types.source_name import SourceName
from kmodmon.web.page import findings, history, modules, posture, summary, taint
from kmodmon.web.page.asset import Asset
from kmodmon.web.page.html import Markup, element, joined
from kmodmon.web.page.page_data import PageData


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of the page that changes with the state."""

    parts: Callable[[PageData], object]
    """All that `render` shows; equal parts give an equal block."""
    render: Callable[[PageData], Markup]
    tagged: bool = True
    """Whether a change of this block changes the ETag of the page."""


@dataclass(slots=True)
class _RenderedBlock:
    """A block as it was last rendered."""

    parts: object
    body: bytes
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The page in blocks, and its ETag."""

    blocks: tuple[bytes, ...]
    tag: str


class StatusPage:
    """Renders the page and keeps the blocks of the last rendering. One for the life of the daemon."""

    def __init__(self, style: Asset, script: Asset) -> None:
        self._pieces = pieces(style, script)
        self._last: dict[int, _RenderedBlock] = {}

    def render(self, data: PageData) -> Rendered:
        """The page for `data`."""
        blocks: list[bytes] = []
        digest = hashlib.blake2b(digest_size=12)
        for index, piece in enumerate(self._pieces):
            if isinstance(piece, bytes):
                blocks.append(piece)
                continue
            rendered = self._rendered(index, piece, data)
            blocks.append(rendered.body)
            if piece.tagged:
                digest.update(rendered.digest)
        return Rendered(blocks=tuple(blocks), tag=f'W/"{digest.hexdigest()}"')

    def _rendered(self, index: int, block: Block, data: PageData) -> _RenderedBlock:
        parts = block.parts(data)
        last = self._last.get(index)
        if last is None or last.parts != parts:
            body = block.render(data).encode()
            last = self._last[index] = _RenderedBlock(parts, body, hashlib.blake2b(body, digest_size=12).digest())
        return last


Piece: TypeAlias = bytes | Block
_MARK = "\0"


def pieces(style: Asset, script: Asset) -> tuple[Piece, ...]:
    """The document in order: constant bytes, and the blocks between them."""
    parts, by_name = _document(style, script).split(_MARK), blocks()
    return tuple(by_name[part] if index % 2 else part.encode() for index, part in enumerate(parts))


def _block(name: str) -> Markup:
    """Marks where a block goes in the document."""
    return Markup(f"{_MARK}{name}{_MARK}")


def _live(name: str, tag: str = "div") -> Markup:
    """An element with a block that the script replaces when it changes."""
    return element(tag, _block(name), data_live=name)


def _document(style: Asset, script: Asset) -> Markup:
    html = element("html", _LINE, _head(style, script), _LINE, element("body", *_body()), _LINE, lang="en")
    return Markup(f"<!doctype html>\n{html}\n")


_LINE = Markup("\n")


def _head(style: Asset, script: Asset) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("link", rel="stylesheet", href=style.address),
        element("script", src=script.address, type="module"),
        _block("title"),
    )


def _body() -> Iterator[Markup]:
    yield element("a", "Skip to content", href="#main", class_="skip")
    yield element(
        "header",
        element("p", element("a", "kmodmon", href="./"), class_="brand"),
        _live("kernel"),
        element("div", element("p", id="live", hidden=True), _live("asof"), class_="now"),
        class_="top",
    )
    links = (element("a", name, href=f"#{section_id}") for section_id, name in _SECTIONS)
    yield element("nav", *links, aria_label="Sections")
    yield element("main", *_main(), id="main", tabindex=-1)
    yield _footer()


_SECTIONS = (
    ("posture", "Posture"),
    ("findings", "Findings"),
    ("taint", "Taint"),
    ("timeline", "Timeline"),
    ("reports", "Kernel reports"),
    ("sources", "Sources"),
    ("modules", "Modules"),
)


def _main() -> Iterator[Markup]:
    sections = {section_id: _section(section_id, name) for section_id, name in _SECTIONS[:-1]}
    yield _live("verdict")
    yield from (sections[section_id] for section_id in ("posture", "findings", "taint"))
    side = element("div", sections["reports"], sections["sources"])
    yield element("div", sections["timeline"], side, class_="columns")
    table = element("table", modules.head(), _live("rows", "tbody"), id="module-table")
    yield _section("modules", "Modules", _tools(), table)


def _section(section_id: str, heading: str, *further: Markup) -> Markup:
    return element(
        "section", element("h2", heading, id=f"h-{section_id}"), _live(section_id), *further,
        id=section_id, aria_labelledby=f"h-{section_id}",
    )  # fmt: skip


_ICON_TONES = {
    "good": "#14804a",
    "notice": "#2456c9",
    "warn": "#b86e00",
    "bad": "#c4232a",
    "critical": "#c4232a",
    "unknown": "#5b6573",
}
_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><path fill='{}' d='M16 2l12 4v9c0 8-5 13-12 15"
    "C9 28 4 23 4 15V6z'/><path fill='none' stroke='#fff' stroke-width='3' d='M10 12h12M10 17h12M10 22h12'/></svg>"
)


def _title(data: PageData) -> Markup:
    icon = "data:image/svg+xml," + quote(_ICON.format(_ICON_TONES[data.tone]), safe=" =:/'")
    return joined((element("title", summary.title(data)), element("link", rel="icon", href=icon)))


def _tools() -> Markup:
    """The filter of the module table; hidden until the script shows it."""
    return element(
        "div",
        element("label", "Filter", for_="filter"),
        element("input", type="search", id="filter", placeholder="name, taint, signature, user…", autocomplete="off"),
        element("label", element("input", type="checkbox", id="suspicious"), " only tainting or not signed"),
        element("p", id="matches", role="status"),
        id="tools",
        hidden=True,
    )


def _footer() -> Markup:
    links = (
        ("Metrics", "metrics"),
        ("Status", "api/v1/status"),
        ("Modules", "api/v1/modules"),
        ("Findings", "api/v1/findings"),
        ("Parameters", "api/v1/parameters"),
        ("Events", "api/v1/events?order=newest"),
        ("Reports", "api/v1/reports"),
        ("Sources", "api/v1/sources"),
    )
    documents = element(
        "p",
        element("a", "What taint means", href=_TAINT_DOCUMENT, rel="noreferrer"),
        " in the kernel's documentation. On this host: ",
        element("code", "kmodmon status"),
        ", ",
        element("code", "kmodmon explain LETTER"),
        ", ",
        element("code", "kmodmon doctor"),
        ".",
    )
    return element(
        "footer",
        element(
            "p",
            "As data: ",
            joined((element("a", name, href=href) for name, href in links), " · "),
        ),
        documents,
        element("p", f"kmodmon {__version__} · ", element("span", "times are UTC", id="zone")),
    )


_TAINT_DOCUMENT = "https://docs.kernel.org/admin-guide/tainted-kernels.html"


def _verdict_parts(data: PageData) -> object:
    return (data.state.taint.value, data.state.sources.get(SourceName.TAINT), data.violations)


def _posture_parts(data: PageData) -> object:
    reasons = tuple((source.name, source.why) for source in data.state.sources.values())
    return (data.state.posture, data.state.inventory.modules, data.state.inventory.support, _trusted(data), reasons)


def _taint_parts(data: PageData) -> object:
    return (data.state.taint.value, data.state.taint.ledger, data.state.inventory.modules)


def _history_parts(data: PageData, events: Sequence[StoredEvent]) -> object:
    # What is left out of an event depends on the parameters as they are now (`kmodmon.view.public`).
    return (data.history_error, tuple(stored.hash for stored in events), data.state.parameters.parameters)


def _rows_parts(data: PageData) -> object:
    return (data.state.inventory.modules, data.state.inventory.loaded, data.state.inventory.support, _trusted(data))


def _trusted(data: PageData) -> object:
    return (data.state.files.records, kernel_verifies(data.state))


def blocks() -> Mapping[str, Block]:
    """Every block by its name in the document."""
    return {
        "title": Block(parts=lambda data: (_verdict_parts(data), data.state.kernel), render=_title),
        "kernel": Block(parts=lambda data: (data.state.kernel, data.as_of), render=summary.identity),
        "asof": Block(parts=lambda data: data.as_of, render=summary.as_of, tagged=False),
        "verdict": Block(parts=_verdict_parts, render=summary.verdict),
        "posture": Block(parts=_posture_parts, render=posture.posture),
        "findings": Block(parts=lambda data: data.state.findings, render=findings.findings),
        "taint": Block(parts=_taint_parts, render=taint.ledger),
        "timeline": Block(parts=lambda data: _history_parts(data, data.events), render=history.timeline),
        "reports": Block(parts=lambda data: _history_parts(data, data.reports), render=history.reports),
        "sources": Block(parts=lambda data: (data.state.sources, data.state.own), render=history.sources),
        "modules": Block(parts=lambda data: len(data.state.inventory.modules), render=modules.count),
        "rows": Block(parts=_rows_parts, render=modules.ModuleRows().render),
    }
