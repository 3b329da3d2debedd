"""The whole host on one screen: each part is the view of its own, and the counts add up."""

from dataclasses import replace
from types import MappingProxyType

from kmodmon import __version__
from kmodmon.events.event import Severity
from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.subjects.findings import Finding, Findings
from kmodmon.subjects.kernel import Kernel
from kmodmon.subjects.rules import Check
from kmodmon.view.findings import baseline_view, finding_view, policy_view, severities_view
from kmodmon.view.posture import posture_view
from kmodmon.view.status import kernel_view, status_view
from kmodmon.view.taint import taint_view
from tests.view.recorded import LOCKED_DOWN, NO_MODULES, at, in_order, recorded

KEYS = [
    "kmodmon", "boot_id", "started", "kernel", "module_support", "modules", "tainted_modules", "taint", "posture",
    "findings", "findings_by_severity", "policy", "baseline", "kernels_newer", "degraded",
]  # fmt: skip


def test_status_when_a_tree_is_read_then_each_key_has_its_own_value() -> None:
    state = replace(recorded(), started=at(1_700_000_000_000_321), boot_id="11111111-2222-3333-4444-555555555555")
    state = replace(state, files=replace(state.files, newer=("6.12.118", "6.13.1")))
    shown = status_view(state)
    assert list(shown) == KEYS
    assert (shown["kmodmon"], shown["boot_id"]) == (__version__, "11111111-2222-3333-4444-555555555555")
    assert (shown["started"], shown["module_support"]) == (1_700_000_000_000_321, True)
    assert in_order(shown["modules"]) == in_order({
        "loaded": 34, "builtin": 195,
        "by_trust": {"valid": 27, "signed": 0, "unsigned": 7, "invalid": 0, "unknown": 0},
    })  # fmt: skip
    assert in_order(shown["tainted_modules"]) == in_order([
        {"module": "flags_mod", "taint": "COEKN"}, {"module": "params_mod", "taint": "OE"},
        {"module": "permanent_mod", "taint": "OE"}, {"module": "stack_b", "taint": "OE"},
        {"module": "stack_a", "taint": "OE"}, {"module": "prop_mod", "taint": "POE"},
        {"module": "hello_unsigned", "taint": "OE"},
    ])  # fmt: skip
    assert shown["kernels_newer"] == ["6.12.118", "6.13.1"]


def test_status_when_shown_then_its_parts_are_the_views_of_their_own() -> None:
    state = recorded()
    shown = status_view(state)
    assert state.kernel is not None
    assert in_order(shown["kernel"]) == in_order(kernel_view(state.kernel))
    assert in_order(shown["taint"]) == in_order(taint_view(state))
    assert in_order(shown["posture"]) == in_order(posture_view(state.posture))
    assert in_order(shown["findings_by_severity"]) == in_order(severities_view(state))
    assert in_order(shown["policy"]) == in_order(policy_view(state))
    assert in_order(shown["baseline"]) == in_order(baseline_view(state))
    assert in_order(shown["findings"]) == [
        in_order(finding_view(finding)) for finding in state.findings.current.values()
    ]


def test_status_when_a_rule_runs_dry_then_its_finding_is_not_shown() -> None:
    real = Finding(rule="r", check=Check.TAINT, severity=Severity.ERROR, subject="die")
    dry = replace(real, rule="trial", dry_run=True)
    state = replace(recorded(), findings=Findings(current=MappingProxyType({dry.id: dry, real.id: real})))
    assert in_order(status_view(state)["findings"]) == in_order([finding_view(real)])


def test_status_when_sources_are_not_up_then_they_are_named_with_the_reason() -> None:
    state = recorded(NO_MODULES)
    shown = status_view(state)
    degraded = shown["degraded"]
    assert in_order(degraded) == in_order(
        [
            {"source": source.name, "why": source.why, "hung": False}
            for source in state.sources.values()
            if not source.up
        ]
    )
    assert isinstance(degraded, list)
    assert {"modules", "lockdown", "secure_boot", "files"} <= {entry["source"] for entry in degraded}


def test_status_when_the_kernel_has_no_modules_then_support_is_false_and_unread_is_null() -> None:
    shown = status_view(recorded(NO_MODULES))
    assert (shown["module_support"], shown["tainted_modules"], shown["kernels_newer"]) == (False, [], [])
    unread = replace(recorded(NO_MODULES).inventory, support=None)
    unread_state = replace(recorded(NO_MODULES), inventory=unread, kernel=None)
    assert status_view(unread_state)["module_support"] is None and status_view(unread_state)["kernel"] is None


def test_kernel_when_shown_then_each_key_has_its_own_value() -> None:
    cmdline = CommandLineFacts(
        nomodule=True, sig_enforce=False, lockdown="integrity", module_blacklist=("a", "b"), modprobe_blacklist=("c",)
    )
    kernel = Kernel(release="6.12.1", version="#1 SMP", machine="aarch64", boot_time=1_795_441_952, cmdline=cmdline)
    assert in_order(kernel_view(kernel)) == in_order({
        "release": "6.12.1", "version": "#1 SMP", "machine": "aarch64", "boot_time": 1_795_441_952,
        "cmdline": {
            "nomodule": True, "module.sig_enforce": False, "lockdown": "integrity", "module_blacklist": ["a", "b"],
            "modprobe.blacklist": ["c"],
        },
    })  # fmt: skip
    bare = kernel_view(Kernel(release="6.12.1", version="#1 SMP", machine="aarch64"))
    assert (bare["boot_time"], bare["cmdline"]) == (None, None)


def test_kernel_when_a_locked_down_tree_is_read_then_its_command_line_is_shown() -> None:
    kernel = recorded(LOCKED_DOWN).kernel
    assert kernel is not None
    assert in_order(kernel_view(kernel)["cmdline"]) == in_order({
        "nomodule": False, "module.sig_enforce": None, "lockdown": "integrity", "module_blacklist": ["dummy"],
        "modprobe.blacklist": [],
    })  # fmt: skip
