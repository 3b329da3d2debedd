"""kmodmon in a guest, as a scraper and an operator see it from outside."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.vm.guest import Guest

Labels = frozenset[tuple[str, str]]
Parser = Callable[[str], Iterable[Metric]]


@dataclass(frozen=True, slots=True)
class Series:
    """One scrape: values by name and labels."""

    values: Mapping[tuple[str, Labels], float]
    text: str = field(repr=False)

    def get(self, name: str, **labels: str) -> float | None:
        """The value of one series, None if it is not there."""
        return self.values.get((name, frozenset(labels.items())))

    def labels(self, name: str) -> list[dict[str, str]]:
        """The label sets of a family."""
        return [dict(labels) for family, labels in self.values if family == name]


@dataclass(frozen=True, slots=True)
class Client:
    """A running daemon in a guest."""

    guest: Guest
    url: str

    def text(self, path: str) -> str:
        """A page; raises for anything but 200. A guest too busy to take the request in time is asked again."""
        for _ in range(3):
            with suppress(http.client.RemoteDisconnected, ConnectionResetError):
                return self._text(path)
            time.sleep(1)
        return self._text(path)

    def _text(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            body: bytes = response.read()
        return body.decode()

    def code(self, path: str) -> int:
        """The status of a page."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def json(self, path: str) -> object:
        """A page of the API."""
        return json.loads(self.text(path))

    def rows(self, path: str) -> list[dict[str, object]]:
        """A page of the API that is a list of objects."""
        return cast(list[dict[str, object]], self.json(path))

    def until_rows(self, path: str, count: int = 1, timeout: float = 20) -> list[dict[str, object]]:
        """A list of the API once it has `count` rows: an event is in the history a moment after a metric shows it."""
        rows: list[dict[str, object]] = []

        def enough(_: Series) -> bool:
            rows[:] = self.rows(path)
            return len(rows) >= count

        self.until(enough, f"{count} rows of {path}", timeout)
        return rows

    def scrape(self) -> Series:
        """One scrape, read by the library's own parser."""
        text = self.text("/metrics")
        parse = cast(Parser, text_string_to_metric_families)
        values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in parse(text)
            for sample in family.samples
        }
        return Series(values, text)

    def until(self, holds: Callable[[Series], bool], what: str, timeout: float = 20) -> Series:
        """Scrape until something holds."""
        deadline = time.monotonic() + timeout
        while True:
            series = self.scrape()
            if holds(series):
                return series
            assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
            time.sleep(0.2)

    def command(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of a kmodmon command in the guest."""
        done = self.guest.run("kmodmon", *arguments, check=False, timeout=300)
        return done.code, done.stdout.decode() + done.stderr.decode()

    def pss_kib(self) -> int:
        """Memory of the daemon: the largest of five readings. While it starts a process, its pages count half."""
        read = "grep ^Pss: /proc/$(systemctl show -p MainPID --value kmodmon)/smaps_rollup"
        lines = self.guest.shell(f"for _ in 1 2 3 4 5; do {read}; sleep 2; done").text
        return max(int(line.split()[1]) for line in lines.splitlines())
