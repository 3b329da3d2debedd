"""The web configuration in force: read again when a file of it changed, kept when the new one is bad.

Asked at every connection and request, it looks at the files (modification time, size, inode; the certificates too,
so a renewal needs no restart) at most once a second. What cannot be read leaves the old settings in force, is logged
once and shows as ``config_ok`` and ``config_errors``.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kmodmon.system.clock import Clock
from kmodmon.system.file_stamp import FileStamps
from kmodmon.types.error import ConfigError
from kmodmon.web.tls import TlsSettings, make_context
from kmodmon.web.webconfig import RateLimit, WebConfig, read_web_config

log = logging.getLogger(__name__)

CHECK_USEC = 1_000_000


@dataclass(frozen=True, slots=True)
class InForce:
    """Settings that belong together."""

    config: WebConfig
    context: ssl.SSLContext | None

    @property
    def tls(self) -> TlsSettings | None:
        """TLS as it was configured; None: plain HTTP."""
        return self.config.tls


class Bucket:
    """A token bucket: `burst` requests at once, then one per `interval`."""

    def __init__(self, limit: RateLimit, usec: int) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._usec = usec

    def take(self, usec: int) -> bool:
        """Whether one more request may pass at this moment of CLOCK_MONOTONIC."""
        gained = max(0, usec - self._usec) / 1e6 / self._limit.interval
        self._tokens = min(float(self._limit.burst), self._tokens + gained)
        self._usec = usec
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Watch:
    """Holds what is in force; without a file that is plain HTTP for everybody, for ever."""

    def __init__(self, file: Path | None, clock: Clock, tls_changed: Callable[[], None] = lambda: None) -> None:
        """Read `file` for the first time; raises ConfigError."""
        self._file = file
        self._clock = clock
        self._tls_changed = tls_changed
        self._checked_usec = clock.now().monotonic_usec
        self._in_force = InForce(WebConfig(), None)
        self._bucket: Bucket | None = None
        self._stamps = FileStamps()
        self._complaint = ""
        self.errors = 0
        """How often a changed file was found bad."""
        if file is not None:
            self._take_over(file)

    @property
    def ok(self) -> bool:
        """Whether what is in force is what the file says."""
        return not self._complaint

    def current(self) -> InForce:
        """What is in force now; looks at the files if the last look was a second ago."""
        if self._file is not None:
            now = self._clock.now().monotonic_usec
            if now - self._checked_usec >= CHECK_USEC:
                self._checked_usec = now
                self._look(self._file)
        return self._in_force

    def within_rate(self) -> bool:
        """Whether the rate limit, if there is one, lets one more request pass."""
        return self._bucket is None or self._bucket.take(self._clock.now().monotonic_usec)

    def _look(self, file: Path) -> None:
        # a bad file is tried at every look: what makes it good (a certificate that was missing) may not be in it
        if self.ok and not self._stamps.changed():
            return
        before = self._in_force.tls
        try:
            self._take_over(file)
        except ConfigError as error:
            if str(error) != self._complaint:
                self.errors += 1
                self._complaint = str(error)
                log.error("web configuration not taken over, the old one stays in force: %s", error)
            return
        self._complaint = ""
        log.info("web configuration %s was read again and is in force", file)
        if self._in_force.tls != before:
            self._tls_changed()

    def _take_over(self, file: Path) -> None:
        new, self._stamps = _load(file)
        old, self._in_force = self._in_force, new
        limit = new.config.rate_limit
        if limit != old.config.rate_limit:
            self._bucket = None if limit is None else Bucket(limit, self._clock.now().monotonic_usec)
        for note in new.config.notes:
            if note not in old.config.notes:
                log.warning("web configuration: %s", note)


def _load(file: Path) -> tuple[InForce, FileStamps]:
    """Read everything; each file is stamped before it is read, so what is written meanwhile shows at the next check."""
    stamps = FileStamps(file)
    config = read_web_config(file)
    if config.tls is None:
        return InForce(config, None), stamps
    stamps.add(*config.tls.files)
    return InForce(config, make_context(config.tls, file)), stamps
