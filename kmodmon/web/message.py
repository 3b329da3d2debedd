"""Requests, responses and the routing table, as handlers use them; independent of sockets and of the HTTP library.

Only GET and HEAD reach a handler, and never a body. A handler is a function of one :class:`Request`, plain or
``async``. An ``async`` one is cancelled when its client disconnects, so it wraps work that it shares with others in
``asyncio.shield``. Names in paths and queries are arbitrary bytes; they are decoded once, by
:func:`kmodmon.types.text.safe_text`, into the text that the state uses.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

from kmodmon.types.detail import Detail
from kmodmon.types.error import KmodmonError
from kmodmon.types.text import safe_text
from kmodmon.types.units import JsonValue

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
MAX_ARGUMENTS = 64


Headers: TypeAlias = tuple[tuple[str, str], ...]


class BadRequest(KmodmonError):
    """A handler raises it for a request that is not valid; the client gets a 400 with its text."""


class Busy(KmodmonError):
    """A handler raises it when too many wait for the same; the client gets a 503 with its text and Retry-After."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks, as far as the connection tells."""

    address: str = ""
    """IP address; of a Unix socket the user, as `uid 1000`; empty: unknown."""
    local: bool = False
    """It came over a Unix socket, which no web browser can reach."""
    admitted: bool | None = None
    """Whether it may use `web.socket`; None: it came another way."""
    verified: bool = False
    """It has a client certificate, and TLS has verified it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One GET or HEAD. Header names are lower case."""

    method: str
    path: str
    """As it was sent, still percent-encoded, without query, host and scheme."""
    tail: str = ""
    """For a prefix route: what follows the prefix, percent-decoded, as safe text."""
    query_string: bytes = b""
    headers: Mapping[str, str]
    authorities: tuple[str, ...] = ()
    """The hosts that it names: in the header Host, and in an absolute target; empty: HTTP/1.0 without either."""
    client: Client = Client()
    detail: Detail = Detail.PUBLIC
    """How much the answer may show."""

    def header(self, name: str) -> str:
        """Value of the header `name` (lower case), several values joined by commas; empty: not sent."""
        return self.headers.get(name, "")

    def query(self) -> Mapping[str, tuple[str, ...]]:
        """Decode the query into names and their values in order, as safe text; raises BadRequest for too many."""
        text = self.query_string.decode("latin-1")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_ARGUMENTS)
        except ValueError as error:
            raise BadRequest(f"more than {MAX_ARGUMENTS} arguments in the query") from error
        values: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            key = _safe(name)
            values[key] = (*values.get(key, ()), _safe(value))
        return values


def _safe(text: str) -> str:
    return safe_text(text.encode("utf-8", "surrogateescape"))


def decode_tail(raw: str) -> str:
    """Percent-decode a part of a path, which may hold any bytes, into safe text."""
    return safe_text(unquote_to_bytes(raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer. The body may be a tuple of blocks, so that cached blocks are sent without a copy of the whole."""

    status: int = 200
    content_type: str = TEXT
    body: bytes | tuple[bytes, ...] = b""
    headers: Headers = ()
    """Additional headers; each replaces the default header of its name."""

    @property
    def blocks(self) -> tuple[bytes, ...]:
        """The body as blocks."""
        return (self.body,) if isinstance(self.body, bytes) else self.body

    @property
    def length(self) -> int:
        """Length of the body in bytes."""
        return sum(map(len, self.blocks))


def text_response(text: str, status: int = 200, headers: Headers = ()) -> Response:
    """One line of plain text, newline added."""
    return Response(status=status, body=f"{text}\n".encode(), headers=headers)


def json_response(value: JsonValue, status: int = 200) -> Response:
    """`value` as compact JSON in UTF-8, newline added."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate cannot be encoded as UTF-8; as \udcXX it still is JSON. Safe text has none, a defect may.
    return Response(status=status, content_type=JSON, body=f"{text}\n".encode("utf-8", "backslashreplace"))


Handler: TypeAlias = Callable[[Request], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which handler answers `path`; with `prefix`, every longer path that begins with it."""

    path: str
    handler: Handler
    prefix: bool = False


class Routes:
    """The routing table. Paths match exactly as they were sent; ``..`` and doubled slashes are not resolved."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._exact = {route.path: route for route in routes if not route.prefix}
        prefixes = (route for route in routes if route.prefix)
        self._prefixes = tuple(sorted(prefixes, key=lambda route: len(route.path), reverse=True))

    def find(self, path: str) -> tuple[Route, str] | None:
        """The route for `path` and, for a prefix route, the decoded rest; None: no route."""
        if (exact := self._exact.get(path)) is not None:
            return exact, ""
        for route in self._prefixes:
            if path.startswith(route.path) and len(path) > len(route.path):
                return route, decode_tail(path[len(route.path) :])
        return None
