from tests.alerts.case import Case, Input, Value, always, happened, moment, series, since, steps

BOOTED = series("kmodmon_kernel_boot_timestamp_seconds")


def lockdown(mode: str) -> Input:
    """Confidentiality for ten minutes, then a boot into `mode`, then confidentiality again."""

    def values(name: str) -> str:
        now, then = float(name == "confidentiality"), float(name == mode)
        return steps((now, 10), (then, 20), (now, 30))

    modes = ("none", "integrity", "confidentiality")
    return {series("kmodmon_lockdown", mode=name): values(name) for name in modes}


def there_and_back(metric: str, high: Value, low: Value, **labels: str) -> Input:
    return {series(metric, **labels): steps((high, 10), (low, 20), (high, 30))}


def changed(setting: str) -> Input:
    return {series("kmodmon_posture_change_timestamp_seconds", setting=setting): happened(10)}


CASES = (
    Case(
        alert="KmodLockdownWeakened",
        fires=lockdown("integrity"),
        at="10m",
        description="Lockdown on db1:10069 is at level 1 (0 none, 1 integrity, 2 confidentiality) and was higher "
        "within "
        "the last day.",
        clears="31m",
        miss="it stayed as it was",
        near=lockdown("confidentiality"),
    ),
    Case(
        alert="KmodSignatureEnforcementLost",
        fires=there_and_back("kmodmon_signature_enforced", 1, 0),
        at="10m",
        description="db1:10069 refused unsigned modules within the last day and does so no more.",
        clears="31m",
        miss="unsigned modules never were refused",
        near={series("kmodmon_signature_enforced"): always(0)},
    ),
    Case(
        alert="KmodModulesDisabledFell",
        fires={
            BOOTED: always(-7200),
            series("kmodmon_modules_disabled"): since(10, 0, before=1),
        },
        at="10m",
        description="kernel.modules_disabled on db1:10069 went from 1 to 0 within one boot: somebody writes kernel "
        "memory.",
        clears="86m",
        miss="there was a reboot in between",
        near={
            BOOTED: since(10, 540, before=-7200),
            series("kmodmon_modules_disabled"): since(10, 0, before=1),
        },
    ),
    Case(
        alert="KmodModulesDisabledCleared",
        fires={series("kmodmon_modules_disabled"): steps((1, 10), (0, 30), (1, 30))},
        at="26m",
        description="db1:10069 had closed the kernel to modules within the last day and, after a reboot, has not done "
        "so again.",
        clears="41m",
        miss="it is closed again ten minutes after the boot",
        near={series("kmodmon_modules_disabled"): steps((1, 10), (0, 10), (1, 30))},
    ),
    Case(
        alert="KmodSecureBootLost",
        fires=there_and_back("kmodmon_secure_boot", 1, 0),
        at="10m",
        description="db1:10069 booted with Secure Boot within the last day and does so no more.",
        clears="31m",
        miss="the variables could not be read for a while",
        near=there_and_back("kmodmon_secure_boot", 1, None),
    ),
    Case(
        alert="KmodModprobePathChanged",
        fires=changed("modprobe"),
        at="10m",
        labels={"setting": "modprobe"},
        description=f"kernel.modprobe on db1:10069 was changed at {moment(10)}.",
        clears="31m",
        miss="another setting changed",
        near=changed("kptr_restrict"),
    ),
    Case(
        alert="KmodHardeningWeakened",
        fires=there_and_back("kmodmon_hardening", 2, 1, setting="kptr_restrict"),
        at="16m",
        labels={"setting": "kptr_restrict"},
        description="kptr_restrict on db1:10069 is 1 and was higher within the last day.",
        clears="31m",
        miss="it is stronger than before",
        near=there_and_back("kmodmon_hardening", 1, 2, setting="kptr_restrict"),
    ),
    Case(
        alert="KmodHardeningWeakened",
        fires=there_and_back("kmodmon_hardening", 2, 0, setting="unprivileged_bpf_disabled"),
        at="16m",
        labels={"setting": "unprivileged_bpf_disabled"},
        description="unprivileged_bpf_disabled on db1:10069 is 0 and was higher within the last day.",
        clears="31m",
        miss="from 2 to 1 it became harder, because 1 cannot be undone",
        near=there_and_back("kmodmon_hardening", 2, 1, setting="unprivileged_bpf_disabled"),
    ),
    Case(
        alert="KmodPostureChanged",
        fires=changed("kptr_restrict"),
        at="10m",
        labels={"setting": "kptr_restrict"},
        description=f"kptr_restrict on db1:10069 changed at {moment(10)}, in whatever direction.",
        clears="31m",
        miss="what changed has an alert of its own",
        near=changed("modprobe"),
    ),
)
