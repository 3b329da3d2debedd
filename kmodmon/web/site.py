"""The handlers for metrics, health and the JSON API; each reads one immutable state, in the detail of its client."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from kmodmon.events.event import EventType, StoredEvent
from kmodmon.events.kinds import EVENT_KINDS, event_type
from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.query import EventQuery
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.state.state import State
from kmodmon.types.detail import Detail
from kmodmon.view.findings import findings_view
from kmodmon.view.modules import module_detail, modules_view
from kmodmon.view.parameters import parameters_view
from kmodmon.view.public import PublicState, public_event_json
from kmodmon.view.sources import sources_view
from kmodmon.view.status import status_view
from kmodmon.web.message import BadRequest, Headers, Request, Response, Route, json_response, text_response
from kmodmon.web.negotiate import choose_format, gzip_wanted
from kmodmon.web.page.serve import PageHost, PageSite
from kmodmon.web.query_gate import QueryGate

MAX_EVENTS = 1000
_NUMBER = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_MAX_SECONDS = 253_402_300_800  # the year 10000, which datetime cannot hold, in seconds since the epoch


class Host(PageHost, Protocol):
    """What the site needs of the daemon."""

    @property
    def ready(self) -> bool:
        """Whether the first full read is published."""
        ...

    @property
    def cycling(self) -> bool:
        """Whether the loop has completed a cycle recently enough not to count as stuck."""
        ...


RenderingKey: TypeAlias = tuple[Detail, ExpositionFormat, bool]


class Renderings:
    """Bounds how often the exposition is made: each costs some milliseconds, and any client may ask again at once.

    A second has MOST of them; who asks for more in that second gets the newest, which is younger than a second.
    """

    MOST = 20

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._newest: dict[RenderingKey, tuple[bytes, ...]] = {}

    def get(self, key: RenderingKey, render: Callable[[], tuple[bytes, ...]]) -> tuple[bytes, ...]:
        """What `render` gives, now or less than a second ago for the same `key`."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
            self._newest.clear()
        body = self._newest.get(key) if self._count >= self.MOST else None
        if body is None:
            self._count += 1
            body = render()
            if self._count >= self.MOST:  # before, nobody is given an older one: it need not be kept
                self._newest[key] = body
        return body


class Site:
    """The handlers, one object for the life of the daemon."""

    def __init__(self, host: Host, exposition: Exposition) -> None:
        self._host = host
        self._exposition = exposition
        self._public = PublicState()
        self._gate = QueryGate()
        self._renderings = Renderings()
        self._page = PageSite(host, self._public, self._gate)

    def routes(self) -> tuple[Route, ...]:
        """Every path that is served, those of the status page included."""
        return (
            *self._page.routes(),
            Route(path="/metrics", handler=self.metrics),
            Route(path="/-/healthy", handler=self.healthy),
            Route(path="/-/ready", handler=self.ready),
            Route(path="/api/v1/status", handler=self.status),
            Route(path="/api/v1/modules", handler=self.modules),
            Route(path="/api/v1/modules/", handler=self.module, prefix=True),
            Route(path="/api/v1/parameters", handler=self.parameters),
            Route(path="/api/v1/sources", handler=self.sources),
            Route(path="/api/v1/findings", handler=self.findings),
            Route(path="/api/v1/events", handler=self.events),
            Route(path="/api/v1/reports", handler=self.reports),
        )

    def _state(self, request: Request) -> State:
        """The state as the client of `request` may see it."""
        return self._public.of(self._host.state) if request.detail is Detail.PUBLIC else self._host.state

    async def metrics(self, request: Request) -> Response:
        """The exposition, in the format and encoding that the scraper asks for."""
        await self._host.refresh()
        choice = choose_format(request.header("accept"))
        form = ExpositionFormat.OPENMETRICS if choice.openmetrics else ExpositionFormat.TEXT
        gzip = gzip_wanted(request.header("accept-encoding"))
        state = self._state(request)  # the exposition caches by the parts of it, so the two details do not mix
        render = self._exposition.gzipped if gzip else self._exposition.blocks
        body = self._renderings.get((request.detail, form, gzip), lambda: render(state, form))
        headers: Headers = (("Vary", "Accept, Accept-Encoding"), *((("Content-Encoding", "gzip"),) if gzip else ()))
        return Response(content_type=choice.value, body=body, headers=headers)

    def healthy(self, request: Request) -> Response:
        """200 while the loop completes cycles, whatever the state of the sources."""
        return text_response("ok") if self._host.cycling else text_response("the loop does not cycle", 503)

    def ready(self, request: Request) -> Response:
        """200 once every source was read for the first time."""
        return text_response("ok") if self._host.ready else text_response("the first read is under way", 503)

    async def status(self, request: Request) -> Response:
        """A summary of the host."""
        await self._host.refresh()
        return json_response(status_view(self._state(request)))

    async def modules(self, request: Request) -> Response:
        """Every loaded module."""
        await self._host.refresh()
        return json_response(modules_view(self._state(request)))

    async def module(self, request: Request) -> Response:
        """One loaded module, by its name."""
        await self._host.refresh()
        state = self._state(request)
        module = state.inventory.modules.get(request.tail)
        if module is None:
            return json_response({"error": "no module of this name is loaded"}, 404)
        return json_response(module_detail(state, module))

    def parameters(self, request: Request) -> Response:
        """Every parameter, or those of one `module`."""
        module = request.query().get("module")
        return json_response(parameters_view(self._state(request), module[-1] if module else None))

    def sources(self, request: Request) -> Response:
        """The state of every source."""
        return json_response(sources_view(self._state(request).sources))

    async def findings(self, request: Request) -> Response:
        """The findings, and the policy and baseline that they come from."""
        await self._host.refresh()
        return json_response(findings_view(self._state(request)))

    async def events(self, request: Request) -> Response:
        """The history, by `since`, `type`, `module`, `limit` and `after`."""
        return await self._stored(event_query(request), request.detail)

    async def reports(self, request: Request) -> Response:
        """The kernel's reports, newest first."""
        query = EventQuery(types=(KernelReported.kind.type,), limit=100, newest_first=True)
        return await self._stored(query, request.detail)

    async def _stored(self, query: EventQuery, detail: Detail) -> Response:
        parameters = self._host.state.parameters.parameters

        def response(events: Sequence[StoredEvent]) -> Response:
            if detail is Detail.PUBLIC:
                return json_response([public_event_json(event, parameters) for event in events])
            return json_response([event.to_json() for event in events])

        async def work() -> Response:
            events = await self._host.events(query)
            # in a thread: a thousand events take tens of milliseconds
            return await asyncio.get_running_loop().run_in_executor(None, response, events)

        return await self._gate.run(work)


def event_query(request: Request) -> EventQuery:
    """The query string as a query to the history; raises BadRequest for an unknown argument or a bad value."""
    arguments = request.query()
    unknown = sorted(set(arguments) - {"since", "until", "type", "module", "limit", "after", "order"})
    if unknown:
        raise BadRequest(f"unknown argument {unknown[0]}")
    return EventQuery(
        since_usec=_moment(arguments.get("since"), "since"),
        until_usec=_moment(arguments.get("until"), "until"),
        types=tuple(dict.fromkeys(_type(name) for value in arguments.get("type", ()) for name in value.split(","))),
        module=arguments["module"][-1] if "module" in arguments else None,
        after_id=_number(arguments.get("after"), "after") or 0,
        limit=min(_number(arguments.get("limit"), "limit") or 100, MAX_EVENTS),
        newest_first=_newest_first(arguments.get("order")),
    )


def _newest_first(values: tuple[str, ...] | None) -> bool:
    order = values[-1] if values else "oldest"
    if order not in ("newest", "oldest"):
        raise BadRequest("order wants newest or oldest, which comes first")
    return order == "newest"


def _number(values: tuple[str, ...] | None, name: str) -> int | None:
    if not values:
        return None
    if not _NUMBER.fullmatch(values[-1]):
        raise BadRequest(f"{name} wants a number")
    return int(values[-1])


def _moment(values: tuple[str, ...] | None, name: str) -> int | None:
    """Microseconds of a time in the notation of Prometheus' API: seconds since the epoch, or RFC 3339."""
    if not values:
        return None
    if _SECONDS.fullmatch(values[-1]):
        seconds = float(values[-1])
    else:
        seconds = _seconds(values[-1].replace(" ", "+"))  # a plus sign that was not escaped arrives as a blank
    if not 0 <= seconds < _MAX_SECONDS:
        raise BadRequest(f"{name} wants seconds since the epoch, or a time such as 2026-11-23T12:00:00Z")
    return int(seconds * 1_000_000)


def _seconds(text: str) -> float:
    if not text.isascii():
        return -1.0
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return -1.0
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()


def _type(name: str) -> EventType:
    try:
        return event_type(name)
    except ValueError:
        raise BadRequest(f"unknown event type; there are {', '.join(EVENT_KINDS)}") from None
