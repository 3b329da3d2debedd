"""Basic authentication against bcrypt hashes, as the Prometheus exporter-toolkit does it, on an asyncio loop.

bcrypt is slow by intent (cost 10: a tenth of a second). So verdicts are cached, one hash is computed at a time in a
thread of its own, and at most MAX_WAITING requests wait for it. An unknown user costs as much time as a configured one:
the password is checked against a real hash and refused whatever the result. Cache keys are keyed hashes, so neither
passwords nor their plain digests stay in memory. Accepted and refused passwords have caches of their own, so that
guesses do not evict the password of a scraper.
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
"""bcrypt uses no more of a password. Most implementations ignore the rest; Python's raises from 5.0 on."""

MAX_WAITING = 64
CACHED_VERDICTS = 256


class AuthVerdict(Enum):
    """The result of a check; BUSY: too many checks wait."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    BUSY = "busy"


class AuthCache:
    """A bounded set of keys; the least recently used key is evicted first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        if key not in self._keys:
            return False
        self._keys.move_to_end(key)
        return True

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes) -> None:
        """Add `key` as the most recently used."""
        self._keys[key] = None
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)


def credentials(authorization: str) -> tuple[str, bytes] | None:
    """User and password of an Authorization header; None: it is empty, not Basic, or malformed."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user.decode("utf-8", "surrogateescape"), password) if colon else None


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether the bcrypt hash of `password` is `hashed`; the cost in `hashed` decides how long this takes."""
    import bcrypt  # only installations with basic_auth_users need it

    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte before bcrypt 4.1, or a salt that bcrypt refuses
        return False


class Authenticator:
    """Checks passwords, for the whole server; :meth:`close` ends its thread."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._allowed = AuthCache(CACHED_VERDICTS)
        self._refused = AuthCache(CACHED_VERDICTS)
        self._computing = asyncio.Lock()
        self._waiting = 0
        self._thread: ThreadPoolExecutor | None = None

    def known(self, authorization: str, users: Mapping[str, str]) -> AuthVerdict | None:
        """The verdict on an Authorization header, if no hash has to be computed for it; else None.

        `users`: name to bcrypt hash; without users everybody is allowed.
        """
        if not users:
            return AuthVerdict.ALLOWED
        user_password = credentials(authorization)
        if user_password is None:
            return AuthVerdict.REFUSED
        key = self._key(*_claim(user_password, users))
        if key in self._allowed:
            return AuthVerdict.ALLOWED
        return AuthVerdict.REFUSED if key in self._refused else None

    async def check(self, authorization: str, users: Mapping[str, str]) -> AuthVerdict:
        """Check an Authorization header against `users`, as :meth:`known` does, and compute the hash if need be."""
        verdict = self.known(authorization, users)
        if verdict is not None:
            return verdict
        if self._waiting >= MAX_WAITING:
            return AuthVerdict.BUSY
        user_password = credentials(authorization)
        assert user_password is not None  # else the verdict is known
        user, hashed, password = _claim(user_password, users)
        key = self._key(user, hashed, password)
        return await self._compute(key, password, hashed.encode(), configured=user in users)

    async def _compute(self, key: bytes, password: bytes, hashed: bytes, *, configured: bool) -> AuthVerdict:
        self._waiting += 1
        try:
            async with self._computing:
                if key in self._allowed or key in self._refused:  # computed for another request meanwhile
                    allowed = key in self._allowed
                else:
                    loop = asyncio.get_running_loop()
                    allowed = await loop.run_in_executor(self._worker(), matches, password, hashed) and configured
        finally:
            self._waiting -= 1
        (self._allowed if allowed else self._refused).add(key)
        return AuthVerdict.ALLOWED if allowed else AuthVerdict.REFUSED

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


def _claim(user_password: tuple[str, bytes], users: Mapping[str, str]) -> tuple[str, str, bytes]:
    """User, the hash to compare with (of another user if there is no such user), and password."""
    user, password = user_password
    return user, users.get(user) or max(users.values(), key=_cost), password


def _cost(hashed: str) -> str:
    """The cost field of a bcrypt hash: two digits, so text order is number order."""
    return hashed[4:6]
