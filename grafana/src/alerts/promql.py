"""The few shapes of PromQL that the alerts are made of."""

from collections.abc import Iterable

RECENT_SECONDS = 900
RECENT = "15m"
KEEP = "5m"
CLEARS = "By itself 20 minutes after it last happened: 15, and 5 that bridge scrapes which fail meanwhile."
GREW_CLEARS = "By itself 15 minutes after it last happened."


def series(metric: str, *matchers: str) -> str:
    """A selector."""
    return f"{metric}{{{', '.join(matchers)}}}" if matchers else metric


def recent(metric: str, *matchers: str) -> str:
    """What a timestamp gauge says happened within RECENT; its value stays the moment it happened."""
    return f"{series(metric, *matchers)} > time() - {RECENT_SECONDS}"


def grew(counter: str, *matchers: str, least: int = 1, window: str = RECENT) -> str:
    """A counter that grew by at least `least` within a window, or that was there when it was first scraped.

    increase() needs a sample from before: alone it misses what was counted before the first scrape of a host.
    """
    one = series(counter, *matchers)
    bound = "> 0" if least == 1 else f">= {least}"
    return f"increase({one}[{window}]) {bound}\n  or ({one} {bound} unless {one} offset {window})"


def fell(metric: str, *matchers: str) -> str:
    """A state that is lower than it was some time within a day, boots of before included.

    What was is read from a recording (see `memory`): a day of all samples of a large fleet is too much to read.
    """
    return f"{series(metric, *matchers)} < max_over_time({series(remembered(metric), *matchers)}[1d])"


def remembered(metric: str) -> str:
    """The recording of a state that is sampled every five minutes."""
    subject = metric.removeprefix("instance:").replace(":", "_")
    return f"instance:{subject}:last5m"


def one_of(label: str, values: Iterable[str]) -> str:
    """A matcher for a closed list of values; the values need no escaping."""
    found = sorted(set(values))
    return f'{label}="{found[0]}"' if len(found) == 1 else f'{label}=~"{"|".join(found)}"'


def labelled(expr: str, label: str, source: str, pattern: str) -> str:
    """`expr` with a new label taken from another one by a pattern with one group."""
    return f'label_replace({expr}, "{label}", "$1", "{source}", "{pattern}")'
