"""The page's style sheet and script: files of the package, named by their content so that a browser may keep them.

`static/status.css?v=HASH` never changes and may be kept for good; without the hash, or with another one (a page of an
earlier version of kmodmon), the browser asks each time, and the ETag saves it the bytes.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmodmon.web.message import Request, Response

_TYPES: Mapping[str, str] = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_FOR_GOOD = "max-age=31536000, immutable"
_ASK = "no-cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file."""

    name: str
    body: bytes
    digest: str
    content_type: str

    @property
    def address(self) -> str:
        """Where it is, seen from the page; relative, so that a proxy may serve the page below a path of its own."""
        return f"static/{self.name}?v={self.digest}"

    def response(self, request: Request) -> Response:
        """The file, or 304 for who has it."""
        tag = f'"{self.digest}"'
        named = request.query().get("v", ("",))[-1] == self.digest
        headers = (("cache-control", _FOR_GOOD if named else _ASK), ("etag", tag))
        if holds(request, tag):
            return Response(status=304, content_type=self.content_type, headers=headers)
        return Response(content_type=self.content_type, body=self.body, headers=headers)


def holds(request: Request, tag: str) -> bool:
    """Whether the client says that it has what `tag` names (If-None-Match compares weakly)."""
    opaque = tag.removeprefix("W/")
    listed = request.header("if-none-match").split(",")[:16]
    return any(one.strip().removeprefix("W/") == opaque for one in listed)


def packaged_asset(name: str) -> Asset:
    """Read a file of `kmodmon/web/static/`."""
    path = Path(__file__).parent.parent / "static" / name
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Asset(name=name, body=body, digest=digest, content_type=_TYPES[path.suffix])
