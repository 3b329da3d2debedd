from tests.alerts.case import Case, Input, Value, happened, moment, series, steps


def while_loaded(metric: str, value: Value, **labels: str) -> Input:
    """From the tenth minute to the fortieth."""
    return {series(metric, **labels): steps((None, 10), (value, 30), (None, 30))}


def info(origin: str) -> Input:
    return while_loaded("kmodmon_module_info", 1, module="hello", origin=origin)


def differing(*modules: str, minutes: int = 30) -> Input:
    labels = {"rule": "differs-from-disk", "severity": "warning"}
    return {
        series("kmodmon_policy_finding", **labels, module=module): steps((None, 10), (1, minutes), (None, 30))
        for module in modules
    }


def changed(tree: str, module: str = "") -> Input:
    return {series("kmodmon_file_change_timestamp_seconds", tree=tree, module=module): happened(10)}


_PENDING = "kmodmon_kernel_installed_newer"
_DAY = 24 * 60

CASES = (
    Case(
        alert="KmodModuleFromMemory",
        fires=info("memory"),
        at="10m",
        labels={"module": "hello", "origin": "memory"},
        description="Module hello on db1:10069 was handed to the kernel by a program that named no file.",
        clears="41m",
        miss="its file lies elsewhere than where modules belong",
        near=info("elsewhere"),
    ),
    Case(
        alert="KmodModuleDiffersFromDisk",
        fires=differing("ext4", "vfat"),
        at="26m",
        description="On db1:10069 2 loaded modules are another build than the file of their name: ext4 vfat.",
        clears="41m",
        miss="they were loaded anew within ten minutes, as packages do",
        near=differing("ext4", "vfat", minutes=10),
    ),
    Case(
        alert="KmodModuleBlacklisted",
        fires=while_loaded("kmodmon_module_blacklisted", 1, module="dccp", by="modprobe.d"),
        at="16m",
        labels={"module": "dccp", "by": "modprobe.d"},
        description="Module dccp is loaded on db1:10069, and modprobe.d refuses it.",
        clears="41m",
        miss="it was unloaded at once",
        near={
            series("kmodmon_module_blacklisted", module="dccp", by="modprobe.d"): steps((None, 10), (1, 2), (None, 9))
        },
    ),
    Case(
        alert="KmodKernelPending",
        fires={series(_PENDING): steps((0, 10), (1, _DAY + 20), (0, 10))},
        at=f"{_DAY + 15}m",
        description="db1:10069 has had a newer kernel than the one that runs for a day: a reboot is due.",
        clears=f"{_DAY + 31}m",
        miss="it was rebooted within the day",
        near={series(_PENDING): steps((0, 10), (1, _DAY - 20), (0, 40))},
    ),
    Case(
        alert="KmodTrustFilesChanged",
        fires=changed("certificates"),
        at="10m",
        labels={"tree": "certificates"},
        description=f"On db1:10069 files of kind certificates were changed at {moment(10)}.",
        clears="31m",
        miss="what was changed decides over nothing",
        near=changed("modprobe.d"),
    ),
    Case(
        alert="KmodModuleFilesChanged",
        fires=changed("loaded", "ext4"),
        at="10m",
        labels={"tree": "loaded", "module": "ext4"},
        description=f"On db1:10069 files of kind loaded were changed at {moment(10)}, module ext4.",
        clears="31m",
        miss="what was changed has an alert of its own",
        near=changed("policy"),
    ),
)
