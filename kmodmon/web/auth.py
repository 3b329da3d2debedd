"""Basic authentication against bcrypt hashes, as the Prometheus exporter-toolkit does it, on an asyncio loop.

bcrypt is slow by intent (cost 10: a tenth of a second), so a verdict is remembered, one hash is computed at a time
in a thread of its own, and only so many may wait. An unknown user costs what a known one does: the password is
checked against a real hash and refused whatever comes out. A verdict is remembered under a keyed hash, so neither
passwords nor their plain digests stay in memory; right and wrong ones apart, so guessing pushes out no scraper.
"""

import asyncio
import base64
import binascii
import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum

BCRYPT_BYTES = 72
"""bcrypt reads no more of a password. Go's and most others cut it there in silence, Python's raises from 5.0 on."""

WAITING = 64
REMEMBERED = 256


class AuthVerdict(Enum):
    """What is said to a client."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    BUSY = "busy"


class AuthCache:
    """A bounded memory of verdicts; the least recently used one goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        if key not in self._known:
            return False
        self._known.move_to_end(key)
        return True

    def __len__(self) -> int:
        return len(self._known)

    def add(self, key: bytes) -> None:
        """Remember `key`."""
        self._known[key] = None
        if len(self._known) > self._size:
            self._known.popitem(last=False)


def credentials(authorization: str) -> tuple[str, bytes] | None:
    """User and password of an Authorization header; None: there is none, or it is not Basic, or it is broken."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user.decode("utf-8", "surrogateescape"), password) if colon else None


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether bcrypt says that `password` gives `hashed`; takes as long as the cost in `hashed` says."""
    import bcrypt  # only installations with basic_auth_users pay for it

    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte in front of bcrypt 4.1, or a salt that bcrypt refuses
        return False


class Gate:
    """Says who may pass. One for the whole server; :meth:`close` ends its thread."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._allowed = AuthCache(REMEMBERED)
        self._refused = AuthCache(REMEMBERED)
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0
        self._thread: ThreadPoolExecutor | None = None

    async def judge(self, authorization: str, users: Mapping[str, str]) -> AuthVerdict:
        """Whether a request with this Authorization header may pass; with no users at all everybody may."""
        if not users:
            return AuthVerdict.ALLOWED
        given = credentials(authorization)
        if given is None:
            return AuthVerdict.REFUSED
        user, password = given
        hashed = users.get(user) or max(users.values(), key=_cost)
        key = self._key(user, hashed, password)
        if key in self._allowed:
            return AuthVerdict.ALLOWED
        if key in self._refused:
            return AuthVerdict.REFUSED
        if self._waiting >= WAITING:
            return AuthVerdict.BUSY
        return await self._check(key, password, hashed.encode(), known=user in users)

    async def _check(self, key: bytes, password: bytes, hashed: bytes, *, known: bool) -> AuthVerdict:
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                if key in self._allowed or key in self._refused:  # another one waited with the same password
                    right = key in self._allowed
                else:
                    loop = asyncio.get_running_loop()
                    right = await loop.run_in_executor(self._worker(), matches, password, hashed) and known
        finally:
            self._waiting -= 1
        (self._allowed if right else self._refused).add(key)
        return AuthVerdict.ALLOWED if right else AuthVerdict.REFUSED

    def _worker(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        return self._thread

    def _key(self, user: str, hashed: str, password: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=16)
        for part in (user.encode("utf-8", "surrogateescape"), hashed.encode(), password):
            digest.update(len(part).to_bytes(4, "big") + part)
        return digest.digest()

    def close(self) -> None:
        """End the thread; a hash that is being computed is not waited for."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


def _cost(hashed: str) -> str:
    """The cost field of a bcrypt hash: two digits, so text order is number order."""
    return hashed[4:6]
