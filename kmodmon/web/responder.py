"""From a request to its response: checks, rate limit, authentication, routing, a handler, headers that protect.

Nothing that a client sent is repeated in an error. A handler that raises costs its client a 500, is counted, and is
logged once per kind; the server goes on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.utils import formatdate

from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.system.clock import Clock
from kmodmon.types.detail import Detail
from kmodmon.types.error import KmodmonError
from kmodmon.web.access import Access
from kmodmon.web.auth import Authenticator, AuthVerdict
from kmodmon.web.faults import FaultLog
from kmodmon.web.limits import HttpLimits
from kmodmon.web.message import (
    BadRequest,
    Busy,
    Headers,
    Request,
    Response,
    Route,
    Routes,
    json_response,
    text_response,
)
from kmodmon.web.web_config_reload import WebConfigWatch

_ALLOW = (("allow", "GET, HEAD"),)
_CLOSE = (("connection", "close"),)
REFUSE_SECONDS = 0.5
"""Until a client is told that there is no place: one that comes back at once costs more than one that waits."""
_RETRY = (("retry-after", "5"),)
_NO_USERS: Mapping[str, str] = {}
DEFAULT_HEADERS = (
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
)
_DEFAULT = {name.encode(): value.encode() for name, value in DEFAULT_HEADERS}


class Responder:
    """Answers requests from a routing table.

    `access` and `most` (`HttpLimits.unreserved`) may be set at any time.
    """

    def __init__(
        self, routes: Sequence[Route], watch: WebConfigWatch, counters: SelfCounters, faults: FaultLog, clock: Clock
    ) -> None:
        self.access = Access()
        self.most = HttpLimits().unreserved
        self._answering = 0  # requests that are in handlers, or wait for the check of a password
        self._routes = Routes(tuple(routes))
        self._watch = watch
        self._faults = faults
        self._counters = counters
        self._clock = clock
        self._authenticator = Authenticator()
        self._date = (0, b"")

    async def answer(self, request: Request) -> Response:
        """The answer to `request`; raises CancelledError and nothing else."""
        self._counters.add(SelfMetric.HTTP_REQUESTS)
        # Read once: the file may change while a password is checked, and a client that nobody asked who it is would
        # then count as one who said so.
        users = _NO_USERS if request.client.admitted else self._watch.current().config.users
        try:
            return self._refuse(request) or await self._answer(request, users)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever fails before a handler, the server goes on
            self._faults.record("checking a request", error)
            return _error(request, 500, "this page failed; the log says why")

    async def _answer(self, request: Request, users: Mapping[str, str]) -> Response:
        """Authenticate and route; without a free place only what is kept free for metrics and health."""
        verdict = self._authenticator.known(request.header("authorization"), users)
        if verdict is not None and is_reserved(request.path):
            return self._judged(request, verdict) or await self._route(self._with_detail(request, users))
        if self._answering >= self.most:
            self._counters.add(SelfMetric.HTTP_BUSY)
            await asyncio.sleep(REFUSE_SECONDS)
            return _error(request, 503, "too many requests are being answered", _RETRY + _CLOSE)
        self._answering += 1
        try:
            verdict = verdict or await self._authenticator.check(request.header("authorization"), users)
            return self._judged(request, verdict) or await self._route(self._with_detail(request, users))
        finally:
            self._answering -= 1

    def _with_detail(self, request: Request, users: Mapping[str, str]) -> Request:
        """The request of a client that was let in, with the detail that it may read."""
        proved = bool(users) or request.client.verified or request.client.admitted
        return replace(request, detail=Detail.FULL if proved else self.access.detail)

    def header_fields(self, response: Response) -> list[tuple[bytes, bytes]]:
        """All headers of `response`: the handler's replace the defaults, the configured ones both, empty ones go."""
        fields = dict(_DEFAULT)
        fields[b"content-type"] = response.content_type.encode("latin-1")
        for name, value in (*response.headers, *self._watch.current().config.headers):
            fields[name.lower().encode("latin-1")] = value.encode("latin-1")
        # A 304 has no body, and a length would be taken for that of the body that the client has.
        length = [(b"content-length", b"%d" % response.length)] if response.status != 304 else []
        return [*length, (b"date", self._now()), *(field for field in fields.items() if field[1])]

    def close(self) -> None:
        """End the thread that checks passwords."""
        self._authenticator.close()

    def _refuse(self, request: Request) -> Response | None:
        if request.client.admitted is False:
            self._counters.add(SelfMetric.HTTP_AUTH_FAILURES)
            return _error(request, 403, "only root, kmodmon's own user and web.group may use this socket", _CLOSE)
        if not request.client.local and not all(map(self.access.names, request.authorities)):
            self._counters.add(SelfMetric.HTTP_MISDIRECTED)
            return _error(request, 421, "this host has no such name; web.hosts lists further names", _CLOSE)
        if request.method not in ("GET", "HEAD"):
            return _error(request, 405, "only GET and HEAD are served", _ALLOW + _CLOSE)
        if _has_body(request):
            self._counters.add(SelfMetric.HTTP_BAD_REQUESTS)
            return _error(request, 413, "a request has no body here", _CLOSE)
        if not request.client.admitted and not self._watch.within_rate():
            self._counters.add(SelfMetric.HTTP_RATE_LIMITED)
            return _error(request, 429, "too many requests")
        return None

    def _judged(self, request: Request, verdict: AuthVerdict) -> Response | None:
        match verdict:
            case AuthVerdict.ALLOWED:
                return None
            case AuthVerdict.REFUSED:
                self._counters.add(SelfMetric.HTTP_AUTH_FAILURES, bool(request.header("authorization")))
                challenge = (("www-authenticate", 'Basic realm="kmodmon", charset="UTF-8"'),)
                return _error(request, 401, "user and password are needed", challenge)
            case AuthVerdict.BUSY:
                return _error(request, 503, "too many passwords to check", _RETRY)

    async def _route(self, request: Request) -> Response:
        match = self._routes.find(request.path)
        if match is None:
            return _error(request, 404, "there is no such page")
        route, tail = match
        try:
            answer = route.handler(replace(request, tail=tail) if tail else request)
            return answer if isinstance(answer, Response) else await answer
        except BadRequest as error:
            return _error(request, 400, str(error))
        except Busy as error:
            self._counters.add(SelfMetric.HTTP_BUSY)
            return _error(request, 503, str(error), _RETRY + _CLOSE)
        except KmodmonError as error:  # a history that cannot be read, and what to do about it
            return _error(request, 503, str(error))
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a handler does, the server goes on
            self._faults.record(route.path, error)
            return _error(request, 500, "this page failed; the log says why")

    def _now(self) -> bytes:
        second = self._clock.now().realtime_usec // 1_000_000
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]


def is_reserved(path: str) -> bool:
    """Whether there are connections kept for the path: a scrape, a probe."""
    return path == "/metrics" or path.startswith("/-/")


def _has_body(request: Request) -> bool:
    return request.header("content-length") not in ("", "0") or bool(request.header("transfer-encoding"))


def _error(request: Request, status: int, why: str, headers: Headers = ()) -> Response:
    if request.path.startswith("/api/"):
        return replace(json_response({"error": why}, status), headers=headers)
    return text_response(why, status, headers)
