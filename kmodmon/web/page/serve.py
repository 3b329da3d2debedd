"""The routes of the status page."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from kmodmon.events.event import StoredEvent
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.query import EventQuery
from kmodmon.state.state import State
from kmodmon.types.detail import Detail
from kmodmon.types.error import KmodmonError
from kmodmon.view.public import PublicState, public_event
from kmodmon.web.message import Busy, Headers, Request, Response, Route
from kmodmon.web.negotiate import gzip_wanted
from kmodmon.web.page.asset import Asset, client_has, packaged_asset
from kmodmon.web.page.document import StatusPage
from kmodmon.web.page.history import MAX_EVENTS, MAX_REPORTS
from kmodmon.web.page.page_data import PageData
from kmodmon.web.query_gate import QueryGate

HTML = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_EVENTS = EventQuery(limit=MAX_EVENTS, newest_first=True)
_REPORTS = EventQuery(types=(KernelReported.kind.type,), limit=MAX_REPORTS, newest_first=True)
_GZIP_FORMAT = 16 + zlib.MAX_WBITS


class PageHost(Protocol):
    """What the status page needs of the daemon."""

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

    def __init__(self, host: PageHost, public: PublicState, gate: QueryGate) -> None:
        self._host = host
        self._public = public
        self._gate = gate
        self._assets = (packaged_asset("status.css"), packaged_asset("status.js"))
        # Each detail has blocks of its own: what was rendered for one is never sent to the other.
        self._pages = {detail: StatusPage(*self._assets) for detail in Detail}

    def routes(self) -> tuple[Route, ...]:
        """Every path of the page."""
        return (Route(path="/", handler=self.page), *map(_route, self._assets))

    async def page(self, request: Request) -> Response:
        """The page, or 304 for a client that has it."""
        await self._host.refresh()
        data = await (self._public_data() if request.detail is Detail.PUBLIC else self._data())
        rendered = self._pages[request.detail].render(data)
        headers: Headers = (
            ("content-security-policy", POLICY),
            ("etag", rendered.tag),
            ("vary", "accept-encoding"),
        )
        if client_has(request, rendered.tag):
            return Response(status=304, content_type=HTML, headers=headers)
        if gzip_wanted(request.header("accept-encoding")):
            headers = (*headers, ("content-encoding", "gzip"))
            return Response(content_type=HTML, body=_gzipped(rendered.blocks), headers=headers)
        return Response(content_type=HTML, body=rendered.blocks, headers=headers)

    async def _data(self) -> PageData:
        # A history that cannot be read must not hide the state of the kernel; too many visitors may have to wait.
        try:
            events, reports = await self._gate.run(self._newest)
        except Busy:
            raise
        except KmodmonError as error:
            return PageData(state=self._host.state, history_error=str(error))
        return PageData(state=self._host.state, events=tuple(events), reports=tuple(reports))

    async def _newest(self) -> tuple[Sequence[StoredEvent], Sequence[StoredEvent]]:
        return await self._host.events(_EVENTS), await self._host.events(_REPORTS)

    async def _public_data(self) -> PageData:
        data = await self._data()
        parameters = data.state.parameters.parameters
        return replace(
            data,
            state=self._public.of(data.state),
            events=tuple(public_event(stored, parameters) for stored in data.events),
            reports=tuple(public_event(stored, parameters) for stored in data.reports),
        )


def _route(asset: Asset) -> Route:
    return Route(path=f"/static/{asset.name}", handler=asset.response)


def _gzipped(blocks: Sequence[bytes]) -> bytes:
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_FORMAT)
    return b"".join([*map(compressor.compress, blocks), compressor.flush()])
