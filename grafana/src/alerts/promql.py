"""PromQL expressions that several alerts and dashboards share."""

from collections.abc import Iterable

RECENT_SECONDS = 900
RECENT = "15m"
KEEP_FIRING = "5m"
CLEARS = "By itself 20 minutes after it last happened: 15, and 5 that bridge scrapes which fail meanwhile."
INCREASE_CLEARS = "By itself 15 minutes after it last happened."


def selector(metric: str, *matchers: str) -> str:
    """A selector of one metric; `matchers` are label matchers."""
    return f"{metric}{{{', '.join(matchers)}}}" if matchers else metric


def recent(metric: str, *matchers: str) -> str:
    """The series of a timestamp gauge whose event is at most RECENT old; the value stays the time of the event."""
    return f"{selector(metric, *matchers)} > time() - {RECENT_SECONDS}"


def increased(counter: str, *matchers: str, least: int = 1, window: str = RECENT) -> str:
    """A counter that grew by at least `least` within `window`, or that had that value when it was first scraped.

    increase() needs an earlier sample: alone it misses what was counted before the first scrape of a host.
    """
    series = selector(counter, *matchers)
    bound = "> 0" if least == 1 else f">= {least}"
    return f"increase({series}[{window}]) {bound}\n  or ({series} {bound} unless {series} offset {window})"


def decreased(metric: str, *matchers: str) -> str:
    """A state that is lower than at some time within the last day, earlier boots included.

    The past is read from a recording (see `recordings`): the samples of a large fleet over a day are too many to read.
    """
    return f"{selector(metric, *matchers)} < max_over_time({selector(sampled_state(metric), *matchers)}[1d])"


def sampled_state(metric: str) -> str:
    """The name of the recording that samples a state every five minutes."""
    subject = metric.removeprefix("instance:").replace(":", "_")
    return f"instance:{subject}:last5m"


def matcher(label: str, values: Iterable[str]) -> str:
    """A label matcher for a list of values, which must need no escaping."""
    ordered = sorted(set(values))
    return f'{label}="{ordered[0]}"' if len(ordered) == 1 else f'{label}=~"{"|".join(ordered)}"'


def label_replace(expr: str, label: str, source: str, pattern: str) -> str:
    """`expr` with a new label: the one group of `pattern` in the label `source`."""
    return f'label_replace({expr}, "{label}", "$1", "{source}", "{pattern}")'
