"""Which format and which encoding a client wants: Accept and Accept-Encoding with their q-values (RFC 9110, 12.5).

prometheus-client's ``choose_encoder`` and ``gzip_accepted`` ignore q-values (``gzip;q=0`` gets gzip, a client that
prefers text gets OpenMetrics) and copy the version that a client sends into the answer. So the choice is made here;
the library provides the content types. Anything else gets text 0.0.4, which every Prometheus reads, and never a 406
(RFC 9110, 12.4.1 allows that), which would not help a scraper.
"""

import re
from dataclasses import dataclass
from enum import Enum

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

MAX_ITEMS = 32
_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?").fullmatch  # RFC 9110, 12.4.2


class AcceptedFormat(Enum):
    """An exposition format; the value is its Content-Type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS_1_0_0 = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    OPENMETRICS_0_0_1 = "application/openmetrics-text; version=0.0.1; charset=utf-8"

    @property
    def openmetrics(self) -> bool:
        """Whether the body must be OpenMetrics; both versions have the same body."""
        return self is not AcceptedFormat.TEXT


_OPENMETRICS = "application/openmetrics-text"
_FORMATS = {  # by media type and its version parameter
    (_OPENMETRICS, ""): AcceptedFormat.OPENMETRICS_1_0_0,
    (_OPENMETRICS, "1.0.0"): AcceptedFormat.OPENMETRICS_1_0_0,
    (_OPENMETRICS, "0.0.1"): AcceptedFormat.OPENMETRICS_0_0_1,
    ("text/plain", ""): AcceptedFormat.TEXT,
    ("text/plain", "0.0.4"): AcceptedFormat.TEXT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One element of an Accept-like header; `q` is 0 to 1, and 0 for a weight that is malformed."""

    value: str
    q: float
    parameters: dict[str, str]


def _items(header: str) -> tuple[_Item, ...]:
    items = []
    for element in header.split(",", MAX_ITEMS)[:MAX_ITEMS]:
        value, *rest = (part.strip() for part in element.split(";"))
        if not value:
            continue
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}
        items.append(_Item(value=value.lower(), q=_weight(parameters.pop("q", "1")), parameters=parameters))
    return tuple(items)


def _weight(text: str) -> float:
    return float(text) if _QVALUE(text) else 0.0


def choose_format(accept: str) -> AcceptedFormat:
    """The format with the highest q in `accept`; of equal ones a type before a wildcard, then the first."""
    best, best_rank = AcceptedFormat.TEXT, (0.0, 0)
    for item in _items(accept):
        offered = _offer(item)
        if offered is None:
            continue
        form, specific = offered
        if item.q > 0 and (item.q, specific) > best_rank:
            best, best_rank = form, (item.q, specific)
    return best


def _offer(item: _Item) -> tuple[AcceptedFormat, int] | None:
    """The format for one element and its precedence: 2 for a type, 1 for a wildcard; None: not supported."""
    if item.value in ("text/*", "*/*"):
        return AcceptedFormat.TEXT, 1
    form = _FORMATS.get((item.value, item.parameters.get("version", "")))
    return None if form is None else (form, 2)


def gzip_wanted(accept_encoding: str) -> bool:
    """Whether `accept_encoding` allows gzip and does not prefer ``identity``; without the header: no."""
    weights = {item.value: item.q for item in reversed(_items(accept_encoding))}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)
