from tests.alerts.case import Case, Input, always, happened, moment, series, since

OVER = "31m"


def tainted(flag: str, cause: str) -> Input:
    return {series("kmodmon_kernel_taint_set_timestamp_seconds", flag=flag, cause=cause): happened(10)}


def description_of(flag: str, cause: str) -> str:
    return f"Taint {flag} was set on db1:10069 at {moment(10)}; cause: {cause}."


CASES = (
    Case(
        alert="KmodTaintSecurity",
        fires=tainted("unsigned_module", "module:hello"),
        at="10m",
        labels={"flag": "unsigned_module", "cause": "module:hello", "module": "hello"},
        description=description_of("unsigned_module", "module:hello"),
        clears=OVER,
        miss="the flag is of a lower tier",
        near=tainted("warning", "report:warning"),
    ),
    Case(
        alert="KmodTaintDegraded",
        fires=tainted("warning", "report:warning"),
        at="10m",
        labels={"flag": "warning", "cause": "report:warning", "signature": "warning"},
        description=description_of("warning", "report:warning"),
        clears=OVER,
        miss="the flag is of a higher tier",
        near=tainted("die", "report:null_pointer"),
    ),
    Case(
        alert="KmodTaintDegraded",
        fires=tainted("bit_40", "unexplained"),
        at="10m",
        labels={"flag": "bit_40", "cause": "unexplained"},
        description=description_of("bit_40", "unexplained"),
        clears=OVER,
        miss="the flag is of a lower tier",
        near=tainted("live_patch", "module:patch_1"),
    ),
    Case(
        alert="KmodTaintInformational",
        fires=tainted("out_of_tree_module", "module:hello"),
        at="10m",
        labels={"flag": "out_of_tree_module", "cause": "module:hello", "module": "hello"},
        description=description_of("out_of_tree_module", "module:hello"),
        clears=OVER,
        miss="the flag is of a higher tier",
        near=tainted("proprietary_module", "module:hello"),
    ),
    Case(
        alert="KmodTaintUnexplained",
        fires=tainted("warning", "unexplained"),
        at="10m",
        labels={"flag": "warning", "cause": "unexplained"},
        description=f"Taint warning was set on db1:10069 at {moment(10)}, and neither a module nor a kernel report "
        "accounts for it.",
        clears=OVER,
        miss="a report explains it",
        near=tainted("warning", "report:warning"),
    ),
    Case(
        alert="KmodTaintFell",
        fires={series("kmodmon_kernel_taint_cleared_total"): since(10, 2, before=0, until=30) + " 0+0x60"},
        at="10m",
        description="2 taint flags fell on db1:10069 in this boot: somebody writes kernel memory.",
        clears="36m",
        miss="none fell",
        near={series("kmodmon_kernel_taint_cleared_total"): always(0)},
    ),
    Case(
        alert="KmodKernelTainted",
        fires={series("kmodmon_kernel_taint", flag="die", letter="D"): since(10, 1, before=0, until=40) + " 0+0x60"},
        at="26m",
        labels={"flag": "die", "letter": "D"},
        description="The kernel of db1:10069 carries the taint die (D), set in this boot.",
        clears="41m",
        miss="the flag is of a lower tier",
        near={series("kmodmon_kernel_taint", flag="warning", letter="W"): always(1)},
    ),
)
