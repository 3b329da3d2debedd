"""From a request to its response: checks, rate limit, authentication, routing, a handler, headers that protect.

Nothing that a client sent is repeated in an error. A handler that raises costs its client a 500, is counted, and is
logged once per kind; the server goes on.
"""

from collections.abc import Sequence
from dataclasses import replace
from email.utils import formatdate

from kmodmon.subjects.self_stats import SelfCounters, SelfMetric
from kmodmon.system.clock import Clock
from kmodmon.types.error import KmodmonError
from kmodmon.web.auth import Authenticator, AuthVerdict
from kmodmon.web.faults import FaultLog
from kmodmon.web.message import BadRequest, Headers, Request, Response, Route, Routes, json_response, text_response
from kmodmon.web.web_config_reload import WebConfigWatch

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


class Responder:
    """Answers requests from a routing table."""

    def __init__(
        self, routes: Sequence[Route], watch: WebConfigWatch, counters: SelfCounters, faults: FaultLog, clock: Clock
    ) -> None:
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
        try:
            return self._refuse(request) or await self._authenticate(request) or await self._route(request)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever fails before a handler, the server goes on
            self._faults.record("checking a request", error)
            return _error(request, 500, "this page failed; the log says why")

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
        if request.method not in ("GET", "HEAD"):
            return _error(request, 405, "only GET and HEAD are served", _ALLOW + _CLOSE)
        if _has_body(request):
            self._counters.add(SelfMetric.HTTP_BAD_REQUESTS)
            return _error(request, 413, "a request has no body here", _CLOSE)
        if not self._watch.within_rate():
            self._counters.add(SelfMetric.HTTP_RATE_LIMITED)
            return _error(request, 429, "too many requests")
        return None

    async def _authenticate(self, request: Request) -> Response | None:
        authorization = request.header("authorization")
        match await self._authenticator.check(authorization, self._watch.current().config.users):
            case AuthVerdict.ALLOWED:
                return None
            case AuthVerdict.REFUSED:
                self._counters.add(SelfMetric.HTTP_AUTH_FAILURES, bool(authorization))
                challenge = (("www-authenticate", 'Basic realm="kmodmon", charset="UTF-8"'),)
                return _error(request, 401, "user and password are needed", challenge)
            case AuthVerdict.BUSY:
                return _error(request, 503, "too many passwords to check", (("retry-after", "5"),))

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


def _has_body(request: Request) -> bool:
    return request.header("content-length") not in ("", "0") or bool(request.header("transfer-encoding"))


def _error(request: Request, status: int, why: str, headers: Headers = ()) -> Response:
    if request.path.startswith("/api/"):
        return replace(json_response({"error": why}, status), headers=headers)
    return text_response(why, status, headers)
