from tests.alerts.case import Case, Input, always, happened, moment, series, steps


def hidden(module: str) -> Input:
    return {
        series("kmodmon_module_hidden", module=module, missing_from="list"): steps((None, 10), (1, 20), (None, 60)),
        series("kmodmon_module_hidden", module=module, missing_from="sysfs"): steps((None, 10), (1, 20), (None, 60)),
    }


def hidden_at(confidence: str) -> Input:
    gauge = series("kmodmon_module_hidden_timestamp_seconds", module="rootkit", confidence=confidence)
    return {gauge: happened(10)}


_HIDES = "Module rootkit is in the kernel of db1:10069, and at least one of the kernel's own views denies it."
_CONTRADICTED = "kmodmon_witness_contradiction_timestamp_seconds"

CASES = (
    Case(
        alert="KmodModuleHidden",
        fires=hidden("rootkit"),
        at="10m",
        labels={"module": "rootkit"},
        description=_HIDES,
        clears="36m",
        miss="only a count does not add up, which has its own alert",
        near=hidden("(unnamed)"),
    ),
    Case(
        alert="KmodModuleHidden",
        fires=hidden_at("certain"),
        at="10m",
        labels={"module": "rootkit"},
        description=_HIDES,
        clears="31m",
        miss="nothing but a number speaks for it",
        near=hidden_at("possible"),
    ),
    Case(
        alert="KmodModuleHiddenPossibly",
        fires=hidden("(unnamed)"),
        at="16m",
        labels={"module": "(unnamed)"},
        description="On db1:10069 something is in the kernel that no listed module accounts for.",
        clears="31m",
        miss="the module has a name, which has its own alert",
        near=hidden("rootkit"),
    ),
    Case(
        alert="KmodWitnessContradicted",
        fires={series(_CONTRADICTED, module="rootkit", kind="never_listed"): happened(10)},
        at="10m",
        labels={"module": "rootkit", "kind": "never_listed"},
        description="On db1:10069 trace, uevents and module list contradict each other about module rootkit "
        f"(never_listed) since {moment(10)}.",
        clears="31m",
        miss="it is a day old",
        near={series(_CONTRADICTED, module="rootkit", kind="never_listed"): always(-80000)},
    ),
)
