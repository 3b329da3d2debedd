"""The web configuration in force: read again when a file of it changed, kept when the new one is bad.

At each connection and request, but at most once a second, the stamps of the files are compared: of the file itself and
of the certificates and keys it names, so that a renewed certificate needs no restart. When the new content is bad, the
old one stays in force, the reason is logged once, and ``config_ok`` and ``config_errors`` show it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kmodmon.system.clock import Clock
from kmodmon.system.file_stamp import FileStamps
from kmodmon.types.error import ConfigError
from kmodmon.web.tls import TlsSettings
from kmodmon.web.webconfig import RateLimit, WebConfig, read_web_config

if TYPE_CHECKING:
    from ssl import SSLContext

log = logging.getLogger(__name__)

CHECK_USEC = 1_000_000


@dataclass(frozen=True, slots=True)
class ActiveWebConfig:
    """A web configuration and the TLS context that was made from it (None: plain HTTP)."""

    config: WebConfig
    context: "SSLContext | None"

    @property
    def tls(self) -> TlsSettings | None:
        """Give the TLS settings; None: plain HTTP."""
        return self.config.tls


class TokenBucket:
    """A token bucket: `burst` requests at once, then one per `interval`."""

    def __init__(self, limit: RateLimit, usec: int) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._usec = usec

    def take(self, usec: int) -> bool:
        """Take a token if there is one at `usec` of CLOCK_MONOTONIC, and tell whether there was."""
        gained = max(0, usec - self._usec) / 1e6 / self._limit.interval
        self._tokens = min(float(self._limit.burst), self._tokens + gained)
        self._usec = usec
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class WebConfigWatch:
    """Holds the web configuration in force; without a file that is plain HTTP without users.

    `tls_changed` is called when TLS is switched on or off, or its settings change. `errors`: how often a changed file
    was refused.
    """

    def __init__(self, file: Path | None, clock: Clock, tls_changed: Callable[[], None] = lambda: None) -> None:
        """Read `file` for the first time; raises ConfigError."""
        self._file = file
        self._clock = clock
        self._tls_changed = tls_changed
        self._checked_usec = clock.now().monotonic_usec
        self._in_force = ActiveWebConfig(WebConfig(), None)
        self._bucket: TokenBucket | None = None
        self._stamps = FileStamps()
        self._refusal = ""
        self.errors = 0
        if file is not None:
            self._take_over(file)

    @property
    def ok(self) -> bool:
        """Tell whether the file as it is now is in force."""
        return not self._refusal

    def current(self) -> ActiveWebConfig:
        """Give what is in force; compares the files first if the last comparison was a second ago."""
        if self._file is not None:
            now = self._clock.now().monotonic_usec
            if now - self._checked_usec >= CHECK_USEC:
                self._checked_usec = now
                self._check(self._file)
        return self._in_force

    def within_rate(self) -> bool:
        """Tell whether the rate limit, if there is one, allows one more request; it is counted."""
        return self._bucket is None or self._bucket.take(self._clock.now().monotonic_usec)

    def _check(self, file: Path) -> None:
        # a refused file is read at every check: what mends it (a missing certificate) need not be in it
        if self.ok and not self._stamps.changed():
            return
        before = self._in_force.tls
        try:
            self._take_over(file)
        except ConfigError as error:
            if str(error) != self._refusal:
                self.errors += 1
                self._refusal = str(error)
                log.error("web configuration not taken over, the old one stays in force: %s", error)
            return
        self._refusal = ""
        log.info("web configuration %s was read again and is in force", file)
        if self._in_force.tls != before:
            self._tls_changed()

    def _take_over(self, file: Path) -> None:
        new, self._stamps = _load(file)
        old, self._in_force = self._in_force, new
        limit = new.config.rate_limit
        if limit != old.config.rate_limit:
            self._bucket = None if limit is None else TokenBucket(limit, self._clock.now().monotonic_usec)
        for note in new.config.notes:
            if note not in old.config.notes:
                log.warning("web configuration: %s", note)


def _load(file: Path) -> tuple[ActiveWebConfig, FileStamps]:
    """Read the file and what it names; raises ConfigError."""
    stamps = FileStamps(file)
    config = read_web_config(file)
    if config.tls is None:
        return ActiveWebConfig(config, None), stamps
    from kmodmon.web.tls_context import make_context  # imports ssl, a megabyte that a daemon without TLS does without

    stamps.add(*config.tls.files)
    return ActiveWebConfig(config, make_context(config.tls, file)), stamps
