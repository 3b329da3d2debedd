"""Every alert fires, is silent at a near miss and clears, by the judgement of Prometheus' own rule tester."""

import importlib
import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from grafana.src.alerts import ALERTS, FLEET_GROUPS, GROUPS, HOST_GROUPS
from grafana.src.alerts.alert import Alert, AlertSeverity, Group
from grafana.src.alerts.posture import BPF, ORDERED
from grafana.src.alerts.reports import panics, signatures
from grafana.src.alerts.rule_file import rule_file
from grafana.src.generate import ROOT
from kmodmon.cli import VERBS
from kmodmon.cli.frame import parser_of
from kmodmon.events.report import ReportClass
from kmodmon.kernel.sysctl import HARDENING
from kmodmon.kernel.taint_vendor import every_flag
from kmodmon.reports.signatures.table import SIGNATURES
from tests.alerts.case import promtool, rule_tests, series, steps
from tests.alerts.cases import CASES
from tests.promql import problems

BY_NAME = {alert.name: alert for alert in ALERTS}
RULE_FILES = ("kmodmon.rules.yml", "kmodmon.fleet.rules.yml")


@pytest.mark.parametrize("group", [group for group in GROUPS if group.alerts], ids=lambda group: group.name)
def test_alerts_when_tried_then_each_fires_stays_silent_and_clears(group: Group, tmp_path: Path) -> None:
    # Each alert alone with the recordings it may need: promtool evaluates every rule of a file at every step.
    samples = next(group.recordings for group in GROUPS if group.name == "kmodmon.memory")
    for alert in group.alerts:
        alone = Group(name=group.name, alerts=(alert,), recordings=(*group.recordings, *samples))
        (tmp_path / f"{alert.name}.rules").write_text(rule_file((alone,), "rules.yml", "On trial."))
        tests = [test for case in CASES if case.alert == alert.name for test in rule_tests(case, alert)]
        document = {"rule_files": [f"{alert.name}.rules"], "evaluation_interval": "15s", "tests": tests}
        (tmp_path / f"{alert.name}.yml").write_text(json.dumps(document))  # YAML takes JSON
    promtool("test", "rules", *sorted(tmp_path.glob("*.yml")))


def test_alerts_when_every_report_is_unconfirmed_then_none_that_is_critical_fires(tmp_path: Path) -> None:
    """All that unconfirmed reports move, for every signature; the counter of forgeries is among it."""
    critical = [alert for alert in ALERTS if alert.severity is AlertSeverity.CRITICAL and "up{" not in alert.expr]
    alone = Group(name="critical", alerts=tuple(critical))
    (tmp_path / "critical.rules").write_text(rule_file((alone,), "rules.yml", "On trial."))
    signatures = {signature.name for signature in SIGNATURES}
    moved = {series("kmodmon_kernel_reports_unconfirmed_total", signature=name) for name in signatures}
    moved |= {series("kmodmon_kernel_log_forged_total"), series("kmodmon_events_total", type="KernelReport")}
    tests = {
        "interval": "15s",
        "input_series": [{"series": name, "values": steps((0, 10), (3, 20))} for name in sorted(moved)],
        "alert_rule_test": [{"eval_time": "12m", "alertname": alert.name, "exp_alerts": []} for alert in critical],
    }
    document = {"rule_files": ["critical.rules"], "evaluation_interval": "15s", "tests": [tests]}
    (tmp_path / "critical.yml").write_text(json.dumps(document))
    promtool("test", "rules", tmp_path / "critical.yml")
    assert {"KmodKernelOops", "KmodKernelPanic", "KmodKernelLockup"} <= {alert.name for alert in critical}


def test_alerts_when_declared_then_each_is_on_trial() -> None:
    tried = {case.alert for case in CASES}
    assert tried == set(BY_NAME), tried ^ set(BY_NAME)
    assert len(ALERTS) == len(BY_NAME)


def test_cases_when_read_then_the_near_miss_differs_and_both_samples_are_there() -> None:
    for case in CASES:
        assert case.near != case.fires or case.near_at != case.at, case.alert
        assert case.near and case.miss, case.alert


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alert_when_read_then_it_names_only_what_is_declared(alert: Alert) -> None:
    assert problems(alert.expr) == []


def test_recordings_when_read_then_they_name_only_what_is_declared() -> None:
    for group in GROUPS:
        for recording in group.recordings:
            assert problems(recording.expr) == []
            assert recording.name.count(":") >= 1 and recording.description.endswith(".")


def test_checker_when_a_name_is_not_declared_then_it_says_so() -> None:
    assert problems("kmodmon_no_such_metric > 0") == ["kmodmon_no_such_metric is not declared"]
    assert problems('kmodmon_modules{color="red"} > 0') == ["kmodmon_modules has no label {'color'}"]
    assert problems("increase(kmodmon_kernel_tainted[5m])") == ["kmodmon_kernel_tainted is no counter"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alert_when_read_then_its_texts_are_whole(alert: Alert) -> None:
    assert re.fullmatch(r"Kmod[A-Z]\w+|Kmodmon[A-Z]\w+", alert.name)
    assert alert.summary.endswith(".") and "{{" not in alert.summary
    assert alert.description.rstrip().endswith(".") or alert.description.endswith("}}.")
    assert "$labels.instance" in alert.description or alert.name in ("KmodmonAbsent", "KmodModuleRare")
    for text in (alert.runbook.meaning, alert.runbook.impact, alert.runbook.clears):
        assert text.endswith(".") and len(text) > 15, text
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", technique) for technique in alert.attack)
    for inhibit in alert.inhibit_rules:
        assert any(re.fullmatch(inhibit.targets, name) for name in BY_NAME), inhibit


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_runbook_when_it_names_a_command_of_ours_then_the_command_line_takes_it(alert: Alert) -> None:
    verbs = {verb.name: verb for verb in VERBS}
    for command in alert.runbook.commands:
        for part in command.split(" | "):
            program, *arguments = shlex.split(part)
            if program == "kmodmon":
                verb = verbs[arguments[0]]
                parser_of(verb, importlib.import_module(verb.module)).parse_args(arguments[1:])


def test_reports_when_sorted_into_alerts_then_each_has_exactly_one() -> None:
    notices = {signature.name for signature in SIGNATURES if signature.report_class.is_notice}
    expected = Counter({signature.name: 1 for signature in SIGNATURES if signature.name not in notices})
    counted: Counter[str] = Counter()
    for alert in ALERTS:
        for names in re.findall(r'kmodmon_kernel_report_timestamp_seconds\{signature=~?"([^"]*)"', alert.expr):
            counted.update(names.split("|"))
    assert counted == expected
    assert set(panics()).isdisjoint(signatures(*ReportClass))


def test_taint_flags_when_sorted_into_tiers_then_each_has_exactly_one() -> None:
    tiers = [BY_NAME[f"KmodTaint{tier}"].expr for tier in ("Security", "Degraded", "Informational")]
    listed = [name for expr in tiers for name in re.findall(r'flag=~"([^"]*)"', expr)[0].split("|")]
    assert Counter(listed) == Counter([*(flag.label for flag in every_flag()), "bit_.+"])


def test_hardening_settings_when_ordered_then_they_exist() -> None:
    assert {*ORDERED, BPF} <= {setting.name for setting in HARDENING}


@pytest.mark.parametrize("name", RULE_FILES)
def test_files_when_linted_then_promtool_finds_nothing(name: str) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", ROOT / "grafana/alerts" / name)


def test_groups_when_written_then_every_alert_is_in_one_file() -> None:
    assert (*HOST_GROUPS, *FLEET_GROUPS) == GROUPS
    texts = [(ROOT / "grafana/alerts" / name).read_text() for name in RULE_FILES]
    listed = re.findall(r"- alert: (\w+)", "".join(texts))
    assert sorted(listed) == sorted(BY_NAME)
