"""Which files are tried, by room, and which tests belong to each: those that are quick and meant for it."""

from collections.abc import Mapping

Tests = tuple[str, ...]

_STEP: Tests = (
    "tests/test_pipeline.py",
    "tests/subjects",
    "tests/lifecycle",
    "tests/policy",
    "tests/reports/test_previous_boot.py",
    "tests/runtime/test_engine.py",
    "tests/runtime/test_engine_log.py",
)
_LIFECYCLE: Tests = (
    "tests/lifecycle/test_decision.py",
    "tests/lifecycle/test_tracker.py",
    "tests/lifecycle/test_coverage.py",
    "tests/lifecycle/test_module_events.py",
    "tests/lifecycle/test_autoload.py",
    "tests/state",
    "tests/lifecycle/test_checkpoint.py",
    "tests/lifecycle/test_lifecycle.py",
)
_TAINT: Tests = (
    "tests/subjects/test_taint_clues.py",
    "tests/subjects/test_taint_ledger.py",
    "tests/subjects/test_taint_causes.py",
    "tests/subjects/test_taint_vendor.py",
    "tests/state",
    "tests/policy",
    "tests/reports/test_previous_boot.py",
)
_REPORTS: Tests = (
    "tests/reports/test_draft.py",
    "tests/reports/test_limits.py",
    "tests/reports/test_frame.py",
    "tests/reports/test_cases.py",
    "tests/reports/test_explain.py",
    "tests/reports/test_recognizer.py",
    "tests/reports/test_live_log.py",
)

ROOMS: Mapping[str, Mapping[str, Tests]] = {
    "pipeline": {
        "kmodmon/pipeline.py": _STEP,
        "kmodmon/folds.py": ("tests/test_folds.py", *_STEP),
        "kmodmon/state/state.py": ("tests/test_folds.py", *_STEP),
    },
    "lifecycle": {"kmodmon/lifecycle/*.py": _LIFECYCLE},
    "subjects": {"kmodmon/subjects/taint.py": _TAINT},
    "policy": {
        "kmodmon/policy/evaluate.py": ("tests/policy",),
        "kmodmon/policy/judge.py": ("tests/policy",),
        "kmodmon/policy/match.py": ("tests/policy",),
        "kmodmon/policy/cache.py": ("tests/policy",),
        "kmodmon/policy/rules_files.py": ("tests/policy", "tests/sources/test_rules.py"),
    },
    "reports": {
        "kmodmon/reports/recognizer.py": _REPORTS,
        "kmodmon/reports/assembler.py": _REPORTS,
        "kmodmon/reports/draft.py": _REPORTS,
        "kmodmon/reports/blame.py": _REPORTS,
    },
    "runtime": {"kmodmon/runtime/engine.py": ("tests/runtime/test_engine.py", "tests/runtime/test_engine_log.py")},
    "store": {
        "kmodmon/store/chain.py": ("tests/store/test_chain.py",),
        "kmodmon/store/clock_guard.py": ("tests/store/test_clock_guard.py",),
    },
    "kernel": {
        "kmodmon/kernel/trace.py": ("tests/kernel/test_trace.py",),
        "kmodmon/kernel/trace_format.py": ("tests/kernel/test_trace_format.py", "tests/kernel/test_trace.py"),
        "kmodmon/kernel/ring_buffer.py": ("tests/kernel/test_ring_buffer.py", "tests/kernel/test_trace.py"),
        "kmodmon/kernel/saved_cmdlines.py": ("tests/kernel/test_saved_cmdlines.py",),
        "kmodmon/kernel/kmsg.py": ("tests/kernel/test_kmsg.py", "tests/test_pipeline.py"),
        "kmodmon/kernel/modules.py": ("tests/kernel/test_modules.py",),
        "kmodmon/kernel/taint.py": ("tests/kernel/test_taint.py",),
    },
}
"""Room: pattern of files: paths of tests, those first that are likely to notice."""
