"""The results of the recording rules, as promtool evaluates them."""

import json
from collections.abc import Mapping
from pathlib import Path

from grafana.src.alerts import GROUPS
from grafana.src.alerts.fleet import FLEET_HOSTS
from grafana.src.alerts.promql import sampled_state
from grafana.src.alerts.rule_file import rule_file
from tests.alerts.case import INTERVAL, always, promtool, since
from tests.alerts.cases.fleet import fleet

_REPORT = "kmodmon_kernel_report_timestamp_seconds"
Samples = Mapping[str, float]


def host(number: int, metric: str, **labels: str) -> str:
    pairs = "".join(f',{name}="{value}"' for name, value in labels.items())
    return f'{metric}{{instance="db{number}:10069",job="kmodmon"{pairs}}}'


MODULES = fleet(FLEET_HOSTS, 2)
HOSTS = {
    host(1, "kmodmon_kernel_taint", flag="die", letter="D"): always(1),
    host(2, "kmodmon_kernel_taint", flag="die", letter="D"): always(0),
    host(3, "kmodmon_kernel_taint", flag="die", letter="D"): always(1),
    host(1, "kmodmon_kernel_info", release="6.1.0", version="#1", machine="x86_64"): always(1),
    host(2, "kmodmon_kernel_info", release="6.1.0", version="#1", machine="x86_64"): always(1),
    host(3, "kmodmon_kernel_info", release="6.12.1", version="#1", machine="aarch64"): always(1),
    host(1, "kmodmon_lockdown", mode="none"): since(7, 0, before=1),
    host(1, "kmodmon_lockdown", mode="integrity"): always(0),
    host(1, "kmodmon_lockdown", mode="confidentiality"): since(7, 1, before=0),
    host(2, "kmodmon_lockdown", mode="none"): always(0),
    host(2, "kmodmon_lockdown", mode="integrity"): always(1),
    host(1, "kmodmon_signature_enforced"): always(1),
    host(2, "kmodmon_signature_enforced"): always(0),
    host(1, "kmodmon_modules_by_trust", signature="unsigned"): always(2),
    host(2, "kmodmon_modules_by_trust", signature="unsigned"): always(3),
    host(1, _REPORT, signature="warning", module="a"): always(60),
    host(1, _REPORT, signature="warning", module="b"): always(60),
    host(1, _REPORT, signature="ubsan", module=""): always(60),
    host(2, _REPORT, signature="ubsan", module=""): always(60),
    host(1, "kmodmon_baseline_drift", kind="parameter"): always(2),
    host(2, "kmodmon_baseline_drift", kind="parameter"): always(0),
    host(1, "kmodmon_policy_findings", rule="unsigned-module", severity="error"): always(4),
    host(2, "kmodmon_policy_findings", rule="unsigned-module", severity="error"): always(1),
    host(1, "kmodmon_modules_by_origin", origin="kernel"): always(100),
    host(2, "kmodmon_modules_by_origin", origin="kernel"): always(200),
}
SAMPLED_STATES = [state for group in GROUPS for state in group.sampled_states]
SAMPLED = {host(1, state): always(7) for state in SAMPLED_STATES}
DB1 = 'instance="db1:10069",job="kmodmon"'
DB2 = 'instance="db2:10069",job="kmodmon"'
DECLARED: Mapping[str, tuple[Mapping[str, str], str, Samples]] = {
    "fleet:kmodmon_hosts:count": (MODULES, "5m", {"": FLEET_HOSTS}),
    "module:kmodmon_module_hosts:count": (MODULES, "5m", {'module="ext4"': FLEET_HOSTS, 'module="odd"': 2}),
    "module:kmodmon_module_rare:count": (MODULES, "5m", {'module="odd"': 2}),
    "flag:kmodmon_kernel_taint:hosts": (HOSTS, "5m", {'flag="die",letter="D"': 2}),
    "release:kmodmon_kernel_info:count": (HOSTS, "5m", {'release="6.1.0"': 2, 'release="6.12.1"': 1}),
    "mode:kmodmon_lockdown:hosts": (
        HOSTS,
        "10m",
        {'mode="none"': 0, 'mode="integrity"': 1, 'mode="confidentiality"': 1},
    ),
    "fleet:kmodmon_signature_enforced:hosts": (HOSTS, "5m", {"": 1}),
    "signature:kmodmon_modules_by_trust:sum": (HOSTS, "5m", {'signature="unsigned"': 5}),
    "signature:kmodmon_kernel_report:hosts": (HOSTS, "20m", {'signature="warning"': 1, 'signature="ubsan"': 2}),
    "kind:kmodmon_baseline_drift:hosts": (HOSTS, "5m", {'kind="parameter"': 1}),
    "rule:kmodmon_policy_findings:hosts": (HOSTS, "5m", {'rule="unsigned-module",severity="error"': 2}),
    "origin:kmodmon_modules_by_origin:sum": (HOSTS, "5m", {'origin="kernel"': 300}),
    "module_srcversion:kmodmon_module_info:count": (
        MODULES,
        "5m",
        {
            'module="ext4",srcversion="A"': FLEET_HOSTS,
            'module="odd",srcversion="B0"': 1,
            'module="odd",srcversion="B1"': 1,
        },
    ),
    "instance:kmodmon_lockdown:level": (HOSTS, "10m", {DB1: 2, DB2: 1}),
}
# A state that is itself a recording is expected to have the same samples.
EXPECTED = {
    **DECLARED,
    **{sampled_state(state): DECLARED.get(state, (SAMPLED, "10m", {DB1: 7})) for state in SAMPLED_STATES},
}


def test_recordings_when_evaluated_then_each_gives_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text(rule_file(GROUPS, "rules", "On trial."))
    tests = []
    for name, (inputs, at, samples) in EXPECTED.items():
        expected = [{"labels": f"{name}{{{labels}}}", "value": value} for labels, value in samples.items()]
        input_series = [{"series": series, "values": values} for series, values in inputs.items()]
        trial = {"expr": name, "eval_time": at, "exp_samples": expected}
        tests.append({"name": name, "interval": INTERVAL, "input_series": input_series, "promql_expr_test": [trial]})
    document = {"rule_files": ["rules"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(document))
    promtool("test", "rules", tmp_path / "tests.yml")


def test_recordings_when_declared_then_each_is_on_trial() -> None:
    assert {recording.name for group in GROUPS for recording in group.recordings} == set(EXPECTED)
