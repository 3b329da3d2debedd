"""Between h11's events and the requests and responses of :mod:`kmodmon.web.message`."""

from collections.abc import Iterator, Sequence

import h11

from kmodmon.web.message import Request


def read_request(event: h11.Request, peer: str) -> Request:
    """The request of `event`; an absolute target (``GET http://host/path``) loses its scheme and host."""
    target, _, query = event.target.partition(b"?")
    path = target.decode("latin-1")
    if not path.startswith("/"):
        _, scheme, rest = path.partition("://")
        path = "/" + rest.partition("/")[2] if scheme else path
    headers: dict[str, str] = {}
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(method=event.method.decode("latin-1"), path=path, query_string=query, headers=headers, peer=peer)


def pieces(blocks: Sequence[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces shorter than twice `size`: small blocks joined for fewer writes, large ones cut."""
    if sum(map(len, blocks)) < 2 * size:
        if joined := b"".join(blocks):
            yield joined
        return
    batch: list[bytes] = []
    held = 0
    for block in blocks:
        batch.append(block)
        held += len(block)
        if held >= size:
            yield from _cut(b"".join(batch), size)
            batch, held = [], 0
    if held:
        yield b"".join(batch)


def _cut(joined: bytes, size: int) -> Iterator[bytes]:
    if len(joined) < 2 * size:
        yield joined
        return
    for start in range(0, len(joined), size):
        yield joined[start : start + size]
