"""Renders the exposition with prometheus-client; a family is rendered again only when its samples changed.

Rendering 3,000 series with the library takes about 10 ms, joining cached blocks 0.03 ms. Therefore the bytes of each
family are cached until the parts of the state that it depends on change and its samples with them. The compressed bytes
are cached too, as a segment of raw deflate that ends with a full flush: such segments can be joined to one gzip member.
Whole gzip members could be joined too, but curl stops after the first.
"""

import logging
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from prometheus_client.exposition import generate_latest as text_of
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, UntypedMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.registry import CollectorRegistry

from kmodmon.metrics.metric import Metric, MetricType, Sample
from kmodmon.state.state import State

log = logging.getLogger(__name__)

_FAMILIES: Mapping[MetricType, type[CounterMetricFamily] | type[GaugeMetricFamily] | type[UntypedMetricFamily]] = {
    MetricType.COUNTER: CounterMetricFamily,
    MetricType.GAUGE: GaugeMetricFamily,
    MetricType.UNTYPED: UntypedMetricFamily,
}
_EOF = b"# EOF\n"
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


class ExpositionFormat(Enum):
    """The two formats a scraper may ask for; the value is the Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class _OneFamily(CollectorRegistry):
    """A registry of given families, because prometheus-client renders registries only."""

    def __init__(self, families: Iterable[Family]) -> None:
        super().__init__(auto_describe=False)
        self._families = tuple(families)

    def collect(self) -> Iterable[Family]:
        return self._families


def render_families(families: Iterable[Family], form: ExpositionFormat) -> bytes:
    """Render families with the library, without the `# EOF` line of OpenMetrics."""
    registry = _OneFamily(families)
    if form is ExpositionFormat.TEXT:
        return text_of(registry)
    rendered: bytes = openmetrics_of(registry)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    return rendered.removesuffix(_EOF)


@dataclass(slots=True)
class _Block:
    """One rendered family."""

    body: bytes
    deflated: bytes | None = None  # None: no scrape asked for gzip since the family was rendered


@dataclass(slots=True)
class _Cached:
    parts: tuple[object, ...]
    samples: tuple[Sample, ...]
    blocks: dict[ExpositionFormat, _Block] = field(default_factory=dict)


class Exposition:
    """Renders states. A family that fails is left out, counted and logged once; the other families are rendered."""

    def __init__(self, metrics: Sequence[Metric], extra: Callable[[], Iterable[Family]] = tuple) -> None:
        self._metrics = metrics
        self._extra = extra
        self._cache: dict[str, _Cached] = {}
        self._broken: set[str] = set()
        self.failures = 0
        self.rendered = 0  # families that were not in the cache, for the benchmark and its test

    def blocks(self, state: State, form: ExpositionFormat) -> tuple[bytes, ...]:
        """The exposition in pieces, which are written one after the other."""
        return (*(block.body for block in self._blocks(state, form)), *self._tail(form))

    def body(self, state: State, form: ExpositionFormat) -> bytes:
        """The whole exposition."""
        return b"".join(self.blocks(state, form))

    def gzipped(self, state: State, form: ExpositionFormat) -> tuple[bytes, ...]:
        """The exposition as one gzip member, in pieces."""
        crc = size = 0
        pieces = [_GZIP_HEADER]
        for block in (*self._blocks(state, form), *(_Block(piece) for piece in self._tail(form))):
            if block.deflated is None:
                block.deflated = _deflate(block.body)
            crc = zlib.crc32(block.body, crc)
            size += len(block.body)
            pieces.append(block.deflated)
        pieces.append(b"\x03\x00" + struct.pack("<II", crc, size & 0xFFFFFFFF))
        return tuple(pieces)

    def _tail(self, form: ExpositionFormat) -> tuple[bytes, ...]:
        own = render_families(self._extra(), form)
        return (own, _EOF) if form is ExpositionFormat.OPENMETRICS else (own,)

    def _blocks(self, state: State, form: ExpositionFormat) -> Iterable[_Block]:
        for metric in self._metrics:
            try:
                yield self._block(metric, state, form)
            except Exception:  # a defect in one family must not hide the others
                self.failures += 1
                if metric.name not in self._broken:
                    self._broken.add(metric.name)
                    log.exception("metric %s could not be rendered and is missing from the exposition", metric.name)

    def _block(self, metric: Metric, state: State, form: ExpositionFormat) -> _Block:
        parts = tuple(getattr(state, part) for part in metric.of)
        cached = self._cache.get(metric.name)
        if cached is None or any(now is not was for now, was in zip(parts, cached.parts, strict=True)):
            samples = tuple(metric.read(state))
            if cached is None or samples != cached.samples:
                cached = _Cached(parts=parts, samples=samples)
            else:
                cached.parts = parts
            self._cache[metric.name] = cached
        block = cached.blocks.get(form)
        if block is None:
            self.rendered += 1
            block = _Block(render_families([family(metric, cached.samples)], form) if cached.samples else b"")
            cached.blocks[form] = block
        return block


def family(metric: Metric, samples: Iterable[Sample]) -> Family:
    """Make a family of prometheus-client from a metric and its samples."""
    built = _FAMILIES[metric.kind](metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        built.add_metric(labels, value)
    return built


def _deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush(zlib.Z_FULL_FLUSH)
