"""Scrapes while the host's own users do what they can: `python -m tests.bench.http_flood` prints how long they take."""

from pathlib import Path

from tests.bench.http_flood import daemon, fill_history, flooding, scrape


def test_scrape_when_three_hostile_crowds_come_again_and_again_then_none_is_refused(tmp_path: Path) -> None:
    fill_history(tmp_path / "state", 5000)
    with daemon(tmp_path / "state") as port, flooding(port):
        assert {status for _, status in (scrape(port, timeout=60) for _ in range(25))} == {200}
