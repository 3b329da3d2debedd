"""The routes of the status page."""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Protocol

from kmodmon.events.event import StoredEvent
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.query import EventQuery
from kmodmon.state.state import State
from kmodmon.types.error import KmodmonError
from kmodmon.web.message import Request, Response, Route
from kmodmon.web.negotiate import gzip_wanted
from kmodmon.web.page.asset import Asset, holds, packaged_asset
from kmodmon.web.page.document import StatusPage
from kmodmon.web.page.history import MOST_EVENTS, MOST_REPORTS
from kmodmon.web.page.look import PageData

HTML = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_EVENTS = EventQuery(limit=MOST_EVENTS, newest_first=True)
_REPORTS = EventQuery(types=(KernelReported.kind.type,), limit=MOST_REPORTS, newest_first=True)
_GZIP_FORMAT = 16 + zlib.MAX_WBITS


class Shown(Protocol):
    """What the page needs of the daemon."""

    @property
    def state(self) -> State:
        """The current state."""
        ...

    async def refresh(self) -> None:
        """Read the cheap sources that are older than a second."""
        ...

    async def events(self, query: EventQuery) -> Sequence[StoredEvent]:
        """Events of the history."""
        ...


class PageSite:
    """Serves the page, its style sheet and its script."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._assets = (packaged_asset("status.css"), packaged_asset("status.js"))
        self._page = StatusPage(*self._assets)

    def routes(self) -> tuple[Route, ...]:
        """Every path of the page."""
        return (Route(path="/", handler=self.page), *map(_route, self._assets))

    async def page(self, request: Request) -> Response:
        """The page, or 304 for who has it."""
        await self._shown.refresh()
        rendered = self._page.render(await self._look())
        headers: tuple[tuple[str, str], ...] = (
            ("content-security-policy", POLICY),
            ("etag", rendered.tag),
            ("vary", "accept-encoding"),
        )
        if holds(request, rendered.tag):
            return Response(status=304, content_type=HTML, headers=headers)
        if gzip_wanted(request.header("accept-encoding")):
            headers = (*headers, ("content-encoding", "gzip"))
            return Response(content_type=HTML, body=_zipped(rendered.blocks), headers=headers)
        return Response(content_type=HTML, body=rendered.blocks, headers=headers)

    async def _look(self) -> PageData:
        # A history that cannot be read must not hide the state of the kernel.
        try:
            events, reports = await asyncio.gather(self._shown.events(_EVENTS), self._shown.events(_REPORTS))
        except KmodmonError as error:
            return PageData(state=self._shown.state, trouble=str(error))
        return PageData(state=self._shown.state, events=tuple(events), reports=tuple(reports))


def _route(asset: Asset) -> Route:
    return Route(path=f"/static/{asset.name}", handler=asset.response)


def _zipped(blocks: Sequence[bytes]) -> bytes:
    squeeze = zlib.compressobj(1, zlib.DEFLATED, _GZIP_FORMAT)
    return b"".join([*map(squeeze.compress, blocks), squeeze.flush()])
