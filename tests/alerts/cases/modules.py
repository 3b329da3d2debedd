from collections.abc import Mapping

from tests.alerts.case import Case, Input, happened, moment, series, steps

_FAILED = "kmodmon_module_load_failure_timestamp_seconds"
WHO = f"insmod loaded it on db1:10069 at {moment(10)}"
OVER = "31m"  # 10m, and 15, and 5 that are kept


def loaded(module: str, signature: str, taints: str, minute: int = 10) -> tuple[str, str]:
    gauge = series(
        "kmodmon_module_load_timestamp_seconds", module=module, signature=signature, taints=taints, actor="insmod"
    )
    return gauge, happened(minute)


def labels(signature: str, taints: str) -> Mapping[str, str]:
    return {"module": "hello", "signature": signature, "taints": taints, "actor": "insmod"}


def load_case(alert: str, signature: str, taints: str, description: str, near: tuple[str, str], miss: str) -> Case:
    return Case(
        alert=alert,
        fires=dict([loaded("hello", signature, taints)]),
        at="10m",
        labels=labels(signature, taints),
        description=description,
        clears=OVER,
        miss=miss,
        near=dict([loaded("hello", *near)]),
    )


def counted(kind: str, *parts: tuple[float | None, int]) -> Input:
    return {series("kmodmon_events_total", type=kind): steps(*parts)}


def event_case(alert: str, kind: str, description: str, clears: str) -> Case:
    return Case(
        alert=alert,
        fires=counted(kind, (0, 10), (1, 60)),
        at="10m",
        labels={"type": kind},
        description=description,
        clears=clears,
        miss="it was counted long ago",
        near=counted(kind, (7, 70)),
        near_at="20m",
    )


LOADS = (
    load_case(
        "KmodUnsignedModuleLoaded",
        "unsigned",
        "OE",
        f"Module hello carries no signature that this kernel trusts (taints OE). {WHO}.",
        ("valid", "O"),
        "the module is signed",
    ),
    load_case(
        "KmodInvalidSignatureModuleLoaded",
        "invalid",
        "OE",
        f"The signature of module hello does not fit its content. {WHO}.",
        ("unsigned", "OE"),
        "there is no signature at all",
    ),
    load_case(
        "KmodForcedModuleLoaded",
        "unsigned",
        "FOE",
        f"Module hello was loaded with its version checks ignored. {WHO}.",
        ("unsigned", "OE"),
        "nobody forced it",
    ),
    load_case(
        "KmodOutOfTreeModuleLoaded",
        "valid",
        "O",
        f"Module hello was not built with this kernel. {WHO}.",
        ("valid", ""),
        "it is of the kernel's tree",
    ),
    load_case(
        "KmodProprietaryModuleLoaded",
        "valid",
        "PO",
        f"Module hello has a licence that is not GPL-compatible. {WHO}.",
        ("valid", "O"),
        "its licence is free",
    ),
)


def failed(reason: str) -> Input:
    gauge = series(_FAILED, module="hello", reason=reason, actor="insmod")
    return {gauge: happened(10)}


def failing(*minutes: int) -> Input:
    gauge = series(_FAILED, module="hello", reason="unknown_symbol", actor="modprobe")
    ends = (*minutes[1:], 90)
    return {gauge: steps(*((at * 60, end - at) for at, end in zip(minutes, ends, strict=True)))}


FAILURES = (
    Case(
        alert="KmodModuleLoadRefused",
        fires=failed("lockdown"),
        at="10m",
        labels={"module": "hello", "reason": "lockdown", "actor": "insmod"},
        description=f"insmod tried to load a module (hello) on db1:10069 at {moment(10)}; the kernel refused it: "
        "lockdown.",
        clears=OVER,
        miss="it failed for another reason than trust",
        near=failed("unknown_symbol"),
    ),
    Case(
        alert="KmodModuleLoadFailing",
        fires=failing(0, 2, 4, 6),
        at="6m",
        labels={"module": "hello", "reason": "unknown_symbol", "actor": "modprobe"},
        description="Loads of a module (hello) failed again and again within 15 minutes on db1:10069: unknown_symbol, "
        "tried by modprobe.",
        clears="19m",
        miss="it failed three times",
        near=failing(0, 2, 4),
    ),
)


def reloaded(*minutes: int) -> Input:
    gauge, _ = loaded("hello", "valid", "")
    ends = (*minutes[1:], 90)
    return {gauge: steps(*((at * 60, end - at) for at, end in zip(minutes, ends, strict=True)))}


def requested(user: str) -> Input:
    return {series("kmodmon_module_request_timestamp_seconds", request="net-pf-21", user=user): happened(10)}


OTHERS = (
    Case(
        alert="KmodModuleFlapping",
        fires=reloaded(0, 2, 4, 6),
        at="6m",
        labels=labels("valid", ""),
        description="Module hello was loaded at least four times within 15 minutes on db1:10069, by insmod.",
        clears="19m",
        miss="it was loaded three times",
        near=reloaded(0, 2, 4),
    ),
    Case(
        alert="KmodModuleTransient",
        fires={series("kmodmon_module_transients_total"): steps((0, 10), (1, 60))},
        at="10m",
        description="On db1:10069 at least one module came and went before a look at the module list could show it. "
        "What it was and who did it is in the history.",
        clears="26m",
        miss="it was counted long ago",
        near={series("kmodmon_module_transients_total"): steps((7, 70))},
        near_at="20m",
    ),
    event_case(
        "KmodModuleReplaced",
        "ModuleChanged",
        "On db1:10069 a module was loaded whose build differs from the one of the same name that was there earlier in "
        "this boot, or a loaded module gained a taint.",
        "26m",
    ),
    Case(
        alert="KmodModuleRequestedByUser",
        fires=requested("unprivileged"),
        at="10m",
        labels={"request": "net-pf-21", "user": "unprivileged"},
        description=f"On db1:10069 a process that is not root's made the kernel ask for net-pf-21 at {moment(10)}.",
        clears=OVER,
        miss="root asked",
        near=requested("root"),
    ),
    Case(
        alert="KmodModuleListDamaged",
        fires={series("kmodmon_modules_skipped_lines"): steps((2, 20), (0, 20))},
        at="6m",
        description="2 lines of /proc/modules on db1:10069 are of no known form; the modules in them are not watched.",
        clears="20m",
        miss="the list was read in the middle of a change",
        near={series("kmodmon_modules_skipped_lines"): steps((1, 4), (0, 20))},
    ),
)

CASES = (*LOADS, *FAILURES, *OTHERS)
