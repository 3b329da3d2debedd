"""The ASGI callable: checks, rate limit, authentication, routing, a handler, and an answer with headers that protect.

Nothing that a client sent is repeated in an error. A handler that raises costs its client a 500, is counted, and is
logged once per kind; the server goes on.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING

from kmodmon.system.clock import Clock
from kmodmon.types.error import KmodmonError
from kmodmon.web.auth import AuthVerdict, Gate
from kmodmon.web.message import BadRequest, Request, Response, Route, Routes, json_response, text_response
from kmodmon.web.stats import HttpFaults
from kmodmon.web.web_config_reload import Watch

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

ROOM_BYTES = 2 << 20
SMALLEST_PIECE, LARGEST_PIECE = 32768, 262144
_ALLOW = (("allow", "GET, HEAD"),)
_CLOSE = (("connection", "close"),)
DEFAULT_HEADERS = (
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)
_DEFAULT = {name.encode(): value.encode() for name, value in DEFAULT_HEADERS}


class App:
    """Answers requests from a routing table."""

    def __init__(self, routes: Sequence[Route], watch: Watch, tally: HttpFaults, clock: Clock) -> None:
        self._routes = Routes(tuple(routes))
        self._watch = watch
        self._tally = tally
        self._clock = clock
        self._gate = Gate()
        self._date = (0, b"")

    async def __call__(self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Serve one request (ASGI 3); other kinds of scope do not occur: no lifespan, no websockets."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        self._tally.requests += 1
        request = read_request(scope)
        response = await self._answer(request)
        try:
            await self._deliver(request, response, send)
        except Exception as error:
            self._tally.fault("sending an answer", error)  # a header that is none: our fault, and too late for a 500
            raise

    def close(self) -> None:
        """End the thread that checks passwords."""
        self._gate.close()

    async def _answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            return _error(request, 405, "only GET and HEAD are served", _ALLOW + _CLOSE)
        if _has_body(request):
            self._tally.bad_requests += 1
            return _error(request, 413, "a request has no body here", _CLOSE)
        if not self._watch.within_rate():
            self._tally.rate_limited += 1
            return _error(request, 429, "too many requests")
        refused = await self._refuse(request)
        return refused if refused is not None else await self._route(request)

    async def _refuse(self, request: Request) -> Response | None:
        authorization = request.header("authorization")
        match await self._gate.judge(authorization, self._watch.current().config.users):
            case AuthVerdict.ALLOWED:
                return None
            case AuthVerdict.REFUSED:
                self._tally.auth_failures += bool(authorization)
                challenge = (("www-authenticate", 'Basic realm="kmodmon", charset="UTF-8"'),)
                return _error(request, 401, "user and password are needed", challenge)
            case AuthVerdict.BUSY:
                return _error(request, 503, "too many passwords to check", (("retry-after", "5"),))

    async def _route(self, request: Request) -> Response:
        found = self._routes.find(request.path)
        if found is None:
            return _error(request, 404, "there is no such page")
        route, tail = found
        try:
            answer = route.handler(replace(request, tail=tail) if tail else request)
            return answer if isinstance(answer, Response) else await answer
        except BadRequest as error:
            return _error(request, 400, str(error))
        except KmodmonError as error:  # a history that cannot be read, and what to do about it
            return _error(request, 503, str(error))
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a handler does, the server goes on
            self._tally.fault(route.path, error)
            return _error(request, 500, "this page failed; the log says why")

    async def _deliver(self, request: Request, response: Response, send: "ASGISendCallable") -> None:
        length = sum(map(len, response.blocks))
        # A 304 has no body, and a length would be taken for that of the body that the client has.
        headers = [(b"content-length", str(length).encode())] if response.status != 304 else []
        headers.append((b"date", self._now()))
        headers += _head(response, self._watch.current().config.headers)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        left = 0 if request.method == "HEAD" else length
        for piece in pieces(response.blocks, self._piece_bytes()) if left else (b"",):
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
            if left > 0:
                await asyncio.sleep(0)  # others have their turn, and asyncio learns here that the client is gone

    def _piece_bytes(self) -> int:
        """How much one connection may hold of what its client does not take: the more there are, the less."""
        return min(max(ROOM_BYTES // (self._tally.open_connections + 1), SMALLEST_PIECE), LARGEST_PIECE)

    def _now(self) -> bytes:
        second = self._clock.now().realtime_usec // 1_000_000
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]


def read_request(scope: "HTTPScope") -> Request:
    """The request in an ASGI scope; an absolute target (``GET http://host/path``) loses its scheme and host."""
    target = scope["raw_path"].decode("latin-1")
    if not target.startswith("/"):
        _, scheme, rest = target.partition("://")
        target = "/" + rest.partition("/")[2] if scheme else target
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    client = scope["client"]
    return Request(
        method=scope["method"],
        path=target,
        query_string=scope["query_string"],
        headers=headers,
        peer=client[0] if client else "",
    )


def _has_body(request: Request) -> bool:
    return request.header("content-length") not in ("", "0") or bool(request.header("transfer-encoding"))


def _error(request: Request, status: int, why: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    if request.path.startswith("/api/"):
        made = json_response({"error": why}, status)
        return Response(status=status, content_type=made.content_type, body=made.body, headers=headers)
    return text_response(why, status, headers)


def _head(response: Response, configured: tuple[tuple[str, str], ...]) -> Iterator[tuple[bytes, bytes]]:
    """Headers of an answer: the handler's replace the defaults, the configured ones both; an empty one is left out."""
    fields = dict(_DEFAULT)
    fields[b"content-type"] = response.content_type.encode("latin-1")
    for name, value in (*response.headers, *configured):
        fields[name.lower().encode("latin-1")] = value.encode("latin-1")
    return (field for field in fields.items() if field[1])


def pieces(blocks: Sequence[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces shorter than twice `size`: small ones joined for fewer writes, large ones cut."""
    if sum(map(len, blocks)) < 2 * size:
        if joined := b"".join(blocks):
            yield joined
        return
    gathered: list[bytes] = []
    held = 0
    for block in blocks:
        gathered.append(block)
        held += len(block)
        if held >= size:
            yield from _cut(b"".join(gathered), size)
            gathered, held = [], 0
    if held:
        yield b"".join(gathered)


def _cut(joined: bytes, size: int) -> Iterator[bytes]:
    if len(joined) < 2 * size:
        yield joined
        return
    for start in range(0, len(joined), size):
        yield joined[start : start + size]
