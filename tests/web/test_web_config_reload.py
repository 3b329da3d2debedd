"""Reading the web configuration again, and the rate limit it may hold."""

import logging
import os
from pathlib import Path

import pytest

from kmodmon.types.error import ConfigError
from kmodmon.web.web_config_reload import TokenBucket, WebConfigWatch
from kmodmon.web.webconfig import RateLimit
from tests.fake_clock import FakeClock
from tests.web.certificates import Authority

XSS = "http_server_config: {headers: {X-XSS-Protection: '%s'}}\n"


def header(watch: WebConfigWatch) -> str:
    """The header of the settings in force, to tell them apart."""
    return dict(watch.current().config.headers).get("X-XSS-Protection", "")


def next_check(watch: WebConfigWatch, clock: FakeClock) -> str:
    clock.advance(1.0)
    return header(watch)


def test_watch_without_a_file_is_plain_http_and_fine() -> None:
    clock = FakeClock()
    watch = WebConfigWatch(None, clock)
    assert watch.current().context is None
    assert next_check(watch, clock) == ""
    assert (watch.ok, watch.errors, watch.within_rate()) == (True, 0, True)


def test_watch_when_the_first_read_fails_raises(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        WebConfigWatch(tmp_path / "none.yml", FakeClock())


def test_watch_when_the_file_changes_takes_it_over_at_the_next_look(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "web.yml"
    file.write_text(XSS % "one")
    watch = WebConfigWatch(file, clock)
    file.write_text(XSS % "two!")
    assert header(watch) == "one", "not a second ago"
    assert next_check(watch, clock) == "two!"


@pytest.mark.parametrize("how", ["rename", "same size, same time"])
def test_watch_when_the_file_is_replaced_sees_it(tmp_path: Path, how: str) -> None:
    clock, file = FakeClock(), tmp_path / "web.yml"
    file.write_text(XSS % "one")
    watch = WebConfigWatch(file, clock)
    other = tmp_path / "new"
    other.write_text(XSS % "two")
    if how != "rename":
        old = file.stat()
        os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.rename(file)
    assert next_check(watch, clock) == "two"


def test_watch_when_nothing_changed_reads_nothing(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "web.yml"
    file.write_text(XSS % "one")
    watch = WebConfigWatch(file, clock)
    before = watch.current()
    clock.advance(100)
    assert watch.current() is before


def test_watch_when_the_new_file_is_bad_keeps_the_old_says_it_once_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, file = FakeClock(), tmp_path / "web.yml"
    file.write_text(XSS % "one")
    watch = WebConfigWatch(file, clock)
    file.write_text("nonsense: true\n")
    with caplog.at_level(logging.INFO):
        assert [next_check(watch, clock) for _ in range(5)] == ["one"] * 5
        assert (watch.ok, watch.errors) == (False, 1)
        file.unlink()
        assert [next_check(watch, clock) for _ in range(3)] == ["one"] * 3
        assert (watch.ok, watch.errors) == (False, 2)
        file.write_text(XSS % "three")
        assert next_check(watch, clock) == "three"
    assert (watch.ok, watch.errors) == (True, 2)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "INFO"]
    assert "no such key" in caplog.records[0].getMessage()


def test_watch_when_a_certificate_is_renewed_makes_a_new_context(tmp_path: Path) -> None:
    clock, authority = FakeClock(), Authority(tmp_path)
    changes: list[None] = []
    watch = WebConfigWatch(authority.web_config(), clock, lambda: changes.append(None))
    before = watch.current().context
    authority.issue("server")
    clock.advance(1)
    assert watch.current().context is not before
    assert changes == [], "whoever is in may stay: the terms are the same"


def test_watch_when_a_renewal_is_half_done_keeps_the_old_certificate_until_it_is_whole(tmp_path: Path) -> None:
    clock, authority = FakeClock(), Authority(tmp_path)
    watch = WebConfigWatch(authority.web_config(), clock)
    before = watch.current().context
    old_key = (tmp_path / "server.key").read_bytes()
    _, key = authority.issue("server")
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    clock.advance(1)
    assert watch.current().context is before
    assert not watch.ok
    key.write_bytes(new_key)
    clock.advance(1)
    assert watch.current().context is not before
    assert watch.ok


def test_watch_when_a_missing_certificate_appears_takes_it_though_the_file_is_as_before(tmp_path: Path) -> None:
    clock, authority = FakeClock(), Authority(tmp_path)
    file = authority.web_config()
    watch = WebConfigWatch(file, clock)
    file.write_text(file.read_text().replace("server.", "other."))
    clock.advance(1)
    watch.current()
    assert not watch.ok
    authority.issue("other")
    clock.advance(1)
    watch.current()
    assert watch.ok


def test_watch_when_tls_comes_or_goes_says_so(tmp_path: Path) -> None:
    clock, authority = FakeClock(), Authority(tmp_path)
    changes: list[None] = []
    file = authority.web_config()
    watch = WebConfigWatch(file, clock, lambda: changes.append(None))
    file.write_text("{}")
    clock.advance(1)
    assert watch.current().context is None
    authority.web_config()
    clock.advance(1)
    assert watch.current().context is not None
    assert len(changes) == 2


def test_bucket_lets_the_burst_pass_at_once_and_then_one_per_interval() -> None:
    bucket = TokenBucket(RateLimit(interval=2.0, burst=3), 0)
    assert [bucket.take(0) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.take(1_000_000), bucket.take(2_000_000), bucket.take(2_000_000)] == [False, True, False]
    assert [bucket.take(3600_000_000) for _ in range(4)] == [True, True, True, False]


def test_bucket_when_the_file_changes_keeps_its_count_unless_the_limit_changed(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "web.yml"
    limit = "rate_limit: {interval: 1h, burst: 1}\n"
    file.write_text(limit)
    watch = WebConfigWatch(file, clock)
    assert [watch.within_rate(), watch.within_rate()] == [True, False]
    file.write_text(limit + XSS % "one")
    next_check(watch, clock)
    assert not watch.within_rate()
    file.write_text(limit.replace("burst: 1", "burst: 2"))
    next_check(watch, clock)
    assert [watch.within_rate() for _ in range(3)] == [True, True, False]
    file.write_text("{}")
    next_check(watch, clock)
    assert watch.within_rate()
