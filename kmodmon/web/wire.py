"""Between h11's events and the requests and responses of :mod:`kmodmon.web.message`."""

from collections.abc import Iterator, Sequence

import h11

from kmodmon.web.message import Client, Request

_LINE_OVERHEAD = 4  # colon, blank, CR and LF of a field line


def head_size(event: h11.Request) -> int:
    """The size of the head in bytes, within a few bytes for each line."""
    fields = sum(len(name) + len(value) + _LINE_OVERHEAD for name, value in event.headers)
    return len(event.method) + len(event.target) + len(" HTTP/1.1\r\n") + fields


def read_request(event: h11.Request, client: Client) -> Request:
    """The request of `event`; an absolute target (``GET http://host/path``) loses its scheme and host."""
    target, _, query = event.target.partition(b"?")
    path = target.decode("latin-1")
    authorities = [value.decode("latin-1") for name, value in event.headers if name == b"host"]
    if not path.startswith("/"):
        _, scheme, rest = path.partition("://")
        if scheme:
            authority, _, rest = rest.partition("/")
            authorities.append(authority)
            path = "/" + rest
    headers: dict[str, str] = {}
    for raw_name, raw_value in event.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(
        method=event.method.decode("latin-1"),
        path=path,
        query_string=query,
        headers=headers,
        authorities=tuple(authorities),
        client=client,
    )


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
