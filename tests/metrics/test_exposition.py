import gzip
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from kmodmon.metrics import METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat, family, render_families
from kmodmon.metrics.metric import Metric, MetricType, Sample
from kmodmon.state.state import State
from kmodmon.types.text import safe_text
from tests.states import Story, module

HOSTILE = (b'a"b', b"two words", b"line\nfeed", b"\xff", b"<script>", b"back\\slash", b"{}", "smörgås".encode())


def host(*names: str) -> State:
    story = Story()
    story.modules(*(module(name, "OE") for name in names))
    story.taint(12288)
    return story.state


PARSERS: Mapping[ExpositionFormat, Callable[[str], Iterable[Family]]] = {
    ExpositionFormat.TEXT: parse_text,
    ExpositionFormat.OPENMETRICS: parse_openmetrics,
}


def samples_of(
    text: str, form: ExpositionFormat = ExpositionFormat.TEXT
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families: Iterable[Family] = PARSERS[form](text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value for one in families for sample in one.samples
    }


def test_body_when_rendered_in_blocks_then_it_equals_the_library() -> None:
    state = host("dummy", "vfat")
    families = [family(metric, samples) for metric in METRICS if (samples := tuple(metric.read(state)))]
    for form in ExpositionFormat:
        end = b"# EOF\n" if form is ExpositionFormat.OPENMETRICS else b""
        assert Exposition(METRICS).body(state, form) == render_families(families, form) + end


@pytest.mark.parametrize("form", list(ExpositionFormat))
def test_gzip_when_unpacked_then_it_is_the_body(form: ExpositionFormat) -> None:
    exposition = Exposition(METRICS)
    state = host("dummy")
    for _ in range(2):
        assert gzip.decompress(b"".join(exposition.gzipped(state, form))) == exposition.body(state, form)


def test_families_when_nothing_changed_then_none_is_rendered_again() -> None:
    exposition = Exposition(METRICS)
    story = Story()
    story.modules(module("dummy"))
    exposition.body(story.state, ExpositionFormat.TEXT)
    before = exposition.rendered
    story.taint(0)
    exposition.body(story.state, ExpositionFormat.TEXT)
    first = exposition.rendered
    story.modules(module("dummy"), after=5)
    exposition.body(story.state, ExpositionFormat.TEXT)
    assert before >= len(METRICS)
    # only what says when a source was read, and what the taint source brought
    assert first - before <= 8
    assert exposition.rendered - first == 1


def test_names_when_hostile_then_both_parsers_give_them_back() -> None:
    names = [safe_text(raw) for raw in HOSTILE]
    state = host(*names)
    exposition = Exposition(METRICS)
    for form in ExpositionFormat:
        found = samples_of(exposition.body(state, form).decode(), form)
        for name in names:
            assert found["kmodmon_module_size_bytes", (("module", name),)] == 16384


def test_contract_when_an_unsigned_module_is_loaded_then_its_series_say_so() -> None:
    found = samples_of(Exposition(METRICS).body(host("hello"), ExpositionFormat.TEXT).decode())
    assert found["kmodmon_kernel_tainted", ()] == 12288
    assert found["kmodmon_kernel_taint", (("flag", "out_of_tree_module"), ("letter", "O"))] == 1
    assert found["kmodmon_kernel_taint", (("flag", "unsigned_module"), ("letter", "E"))] == 1
    assert found["kmodmon_kernel_taint", (("flag", "die"), ("letter", "D"))] == 0
    assert found["kmodmon_module_taint", (("flag", "O"), ("module", "hello"))] == 1
    assert found["kmodmon_modules_by_trust", (("signature", "unsigned"),)] == 1
    assert found["kmodmon_module_loads_total", (("signature", "unsigned"),)] == 0


def test_family_when_it_fails_then_the_others_appear_and_it_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    def broken(state: State) -> Iterable[Sample]:
        raise RuntimeError("no")

    bad = Metric(name="kmodmon_bad", help="x", interface="none", of=(), samples=broken)
    exposition = Exposition((bad, *METRICS))
    body = exposition.body(host(), ExpositionFormat.TEXT)
    exposition.body(host(), ExpositionFormat.TEXT)
    assert b"kmodmon_module_support 1.0" in body
    assert exposition.failures == 2
    assert sum("kmodmon_bad" in record.message for record in caplog.records) == 1


def test_extra_families_when_given_then_they_are_rendered_at_each_scrape() -> None:
    exposition = Exposition(METRICS, lambda: [GaugeMetricFamily("now", "Now.", value=time.time())])
    state = host()
    assert exposition.body(state, ExpositionFormat.TEXT) != exposition.body(state, ExpositionFormat.TEXT)


def test_declarations_when_read_then_names_types_and_units_follow_the_conventions() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert metric.name.startswith("kmodmon_"), metric.name
        assert metric.name.endswith("_total") == (metric.kind is MetricType.COUNTER), metric.name
        assert metric.help.endswith("."), metric.name
        assert "type" not in metric.labels or metric.name.startswith("kmodmon_events_"), metric.name
        assert not {"instance", "job"} & set(metric.labels), metric.name
        assert metric.interface, metric.name


def test_state_parts_when_named_by_metrics_then_they_exist() -> None:
    state = replace(host())
    for metric in METRICS:
        for part in metric.of:
            assert hasattr(state, part), f"{metric.name} depends on {part}"
