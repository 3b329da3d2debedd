from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.cli.when import moment

NOW = 1_795_440_348_649_174  # 2026-11-23 13:25:48.649174 UTC
HOUR = 3_600_000_000
EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "usec"),
    [
        ("now", NOW),
        ("1h", NOW - HOUR),
        ("2d12h", NOW - 60 * HOUR),
        ("500ms", NOW - 500_000),
        ("0", NOW),
        ("@1700000000", 1_700_000_000_000_000),
        ("@1700000000.25", 1_700_000_000_250_000),
        ("2026-11-23", 1_795_392_000_000_000),
        ("2026-11-23 12:00", 1_795_435_200_000_000),
        ("2026-11-23T12:00:00Z", 1_795_435_200_000_000),
        ("2026-11-23T12:00:00+02:00", 1_795_435_200_000_000 - 2 * HOUR),
        ("today", 1_795_392_000_000_000),
        ("yesterday", 1_795_392_000_000_000 - 24 * HOUR),
    ],
)
def test_moment_is_read_as_people_write_it(text: str, usec: int) -> None:
    assert moment(text, NOW, UTC) == usec


def test_date_without_zone_is_of_the_given_zone() -> None:
    assert moment("2026-11-23 12:00", NOW, EAST) == moment("2026-11-23 12:00", NOW, UTC) - 2 * HOUR


@pytest.mark.parametrize("text", ["", "soon", "1", "-1h", "1h ago", "2026-13-01", "1969-12-31", "@-1", "12:00", "@1e9"])
def test_what_is_no_moment_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ValueError, match="write a span"):
        moment(text, NOW, UTC)


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        assert isinstance(moment(text, NOW, UTC), int)
    except ValueError as error:
        assert "write a span" in str(error)


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 12, 31)))
def test_what_isoformat_writes_is_read_back(when: datetime) -> None:
    aware = when.replace(tzinfo=UTC)
    assert moment(aware.isoformat(), NOW, UTC) == round(aware.timestamp() * 1_000_000)
