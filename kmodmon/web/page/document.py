"""The status page as a whole: readable without scripts, put together from blocks that are rendered when they change.

A block is rendered when one of the parts of the state that it shows is another one than last time, so a page that
nobody changed costs a comparison. The ETag names the blocks; the line that says when the page was true is not in it.
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
from kmodmon.web.page.look import PageData


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of the page that lives: `parts` is all of the look that `render` shows."""

    parts: Callable[[PageData], object]
    render: Callable[[PageData], Markup]
    tagged: bool = True  # a change of it makes the page another one


@dataclass(slots=True)
class _Kept:
    parts: object
    body: bytes
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The page in blocks, and what tells it from another one."""

    blocks: tuple[bytes, ...]
    tag: str


class StatusPage:
    """Renders looks and keeps the blocks of the last one. One for the life of the daemon."""

    def __init__(self, style: Asset, script: Asset) -> None:
        self._pieces = pieces(style, script)
        self._kept: dict[int, _Kept] = {}

    def render(self, look: PageData) -> Rendered:
        """The page for `look`."""
        blocks: list[bytes] = []
        digest = hashlib.blake2b(digest_size=12)
        for place, piece in enumerate(self._pieces):
            if isinstance(piece, bytes):
                blocks.append(piece)
                continue
            kept = self._rendered(place, piece, look)
            blocks.append(kept.body)
            if piece.tagged:
                digest.update(kept.digest)
        return Rendered(blocks=tuple(blocks), tag=f'W/"{digest.hexdigest()}"')

    def _rendered(self, place: int, block: Block, look: PageData) -> _Kept:
        parts = block.parts(look)
        kept = self._kept.get(place)
        if kept is None or kept.parts != parts:
            body = block.render(look).encode()
            kept = self._kept[place] = _Kept(parts, body, hashlib.blake2b(body, digest_size=12).digest())
        return kept


Piece: TypeAlias = bytes | Block
_PLACE = "\0"


def pieces(style: Asset, script: Asset) -> tuple[Piece, ...]:
    """The document in order: what stays the same, and the blocks in between."""
    whole, known = _document(style, script).split(_PLACE), blocks()
    return tuple(known[piece] if odd % 2 else piece.encode() for odd, piece in enumerate(whole))


def _block(name: str) -> Markup:
    """The place of a block in the document."""
    return Markup(f"{_PLACE}{name}{_PLACE}")


def _live(name: str, tag: str = "div") -> Markup:
    """A block that the script replaces when it changes."""
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
    links = (element("a", name, href=f"#{place}") for place, name in _SECTIONS)
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
    sections = {place: _section(place, name) for place, name in _SECTIONS[:-1]}
    yield _live("verdict")
    yield from (sections[place] for place in ("posture", "findings", "taint"))
    side = element("div", sections["reports"], sections["sources"])
    yield element("div", sections["timeline"], side, class_="columns")
    table = element("table", modules.head(), _live("rows", "tbody"), id="module-table")
    yield _section("modules", "Modules", _tools(), table)


def _section(place: str, heading: str, *further: Markup) -> Markup:
    return element(
        "section", element("h2", heading, id=f"h-{place}"), _live(place), *further,
        id=place, aria_labelledby=f"h-{place}",
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


def _title(look: PageData) -> Markup:
    icon = "data:image/svg+xml," + quote(_ICON.format(_ICON_TONES[look.tone]), safe=" =:/'")
    return joined((element("title", summary.title(look)), element("link", rel="icon", href=icon)))


def _tools() -> Markup:
    """What the script makes work; without it, it is not there."""
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


def _verdict_parts(look: PageData) -> object:
    return (look.state.taint.value, look.state.sources.get(SourceName.TAINT), look.violations)


def _posture_parts(look: PageData) -> object:
    told = tuple((source.name, source.why) for source in look.state.sources.values())
    return (look.state.posture, look.state.inventory.modules, look.state.inventory.support, _trusted(look), told)


def _taint_parts(look: PageData) -> object:
    return (look.state.taint.value, look.state.taint.ledger, look.state.inventory.modules)


def _history_parts(look: PageData, events: Sequence[StoredEvent]) -> object:
    return (look.trouble, tuple(stored.hash for stored in events))


def _rows_parts(look: PageData) -> object:
    return (look.state.inventory.modules, look.state.inventory.loaded, look.state.inventory.support, _trusted(look))


def _trusted(look: PageData) -> object:
    return (look.state.files.records, kernel_verifies(look.state))


def blocks() -> Mapping[str, Block]:
    """Every block by its name in the document."""
    return {
        "title": Block(parts=lambda look: (_verdict_parts(look), look.state.kernel), render=_title),
        "kernel": Block(parts=lambda look: (look.state.kernel, look.as_of), render=summary.identity),
        "asof": Block(parts=lambda look: look.as_of, render=summary.as_of, tagged=False),
        "verdict": Block(parts=_verdict_parts, render=summary.verdict),
        "posture": Block(parts=_posture_parts, render=posture.posture),
        "findings": Block(parts=lambda look: look.state.findings, render=findings.findings),
        "taint": Block(parts=_taint_parts, render=taint.ledger),
        "timeline": Block(parts=lambda look: _history_parts(look, look.events), render=history.timeline),
        "reports": Block(parts=lambda look: _history_parts(look, look.reports), render=history.reports),
        "sources": Block(parts=lambda look: (look.state.sources, look.state.own), render=history.sources),
        "modules": Block(parts=lambda look: len(look.state.inventory.modules), render=modules.count),
        "rows": Block(parts=_rows_parts, render=modules.ModuleRows().render),
    }
