"""5,000 modules with 20,000 parameters: everything correct, no series lost."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from kmodmon.config.settings import Settings
from kmodmon.metrics import EVENT_METRICS, METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.runtime.one_shot import look_once
from kmodmon.sources.source import SourceContext
from tests.fake_clock import FakeClock
from tests.synthetic import make_host

MODULES, PARAMETERS = 5000, 20_000


def test_exposition_when_the_host_is_large_then_no_series_is_lost(tmp_path: Path) -> None:
    root = make_host(tmp_path, MODULES, PARAMETERS)
    state = look_once(SourceContext(root=root, settings=Settings(), clock=FakeClock()), event_metrics=EVENT_METRICS)
    body = Exposition(METRICS).body(state, ExpositionFormat.TEXT).decode()
    counts: dict[str, int] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            counts[sample.name] = counts.get(sample.name, 0) + 1
            if sample.name == "kmodmon_modules_by_trust":
                assert sample.value == {"unsigned": 100, "valid": 4900}.get(sample.labels["signature"], 0)
    assert counts["kmodmon_module_size_bytes"] == MODULES
    assert counts["kmodmon_module_refcnt"] == MODULES
    assert counts["kmodmon_module_taint"] == 2 * MODULES // 50
    assert counts["kmodmon_module_holder"] == MODULES // 10
    assert counts["kmodmon_module_parameter"] + counts["kmodmon_module_parameter_info"] == PARAMETERS
    assert state.inventory.modules["module_00007"].attributes.srcversion == f"{7:024X}"
