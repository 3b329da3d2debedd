"""The page's style sheet and script: files of the package, named by their content so that a browser may keep them.

`static/status.css?v=HASH` never changes, so a browser may keep it; without the hash, or with another one (a page of an
earlier version of kmodmon), the browser asks each time and the ETag saves the transfer.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmodmon.web.message import Request, Response

_TYPES: Mapping[str, str] = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_IMMUTABLE = "max-age=31536000, immutable"
_REVALIDATE = "no-cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of `kmodmon/web/static/`, read once at start."""

    name: str
    body: bytes
    digest: str
    """The start of the SHA-256 of `body`, hexadecimal."""
    content_type: str

    @property
    def address(self) -> str:
        """The URL relative to the page, so that a proxy may serve the page below a path of its own."""
        return f"static/{self.name}?v={self.digest}"

    def response(self, request: Request) -> Response:
        """The file, or 304 for a client that has it."""
        tag = f'"{self.digest}"'
        named = request.query().get("v", ("",))[-1] == self.digest
        headers = (("cache-control", _IMMUTABLE if named else _REVALIDATE), ("etag", tag))
        if client_has(request, tag):
            return Response(status=304, content_type=self.content_type, headers=headers)
        return Response(content_type=self.content_type, body=self.body, headers=headers)


def client_has(request: Request, tag: str) -> bool:
    """Whether If-None-Match names `tag`; that comparison is the weak one (RFC 9110, 13.1.2)."""
    opaque = tag.removeprefix("W/")
    listed = request.header("if-none-match").split(",")[:16]
    return any(item.strip().removeprefix("W/") == opaque for item in listed)


def packaged_asset(name: str) -> Asset:
    """Read a file of `kmodmon/web/static/`."""
    path = Path(__file__).parent.parent / "static" / name
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Asset(name=name, body=body, digest=digest, content_type=_TYPES[path.suffix])
