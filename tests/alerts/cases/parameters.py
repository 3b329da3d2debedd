from tests.alerts.case import Case, always, happened, moment, series

_CHANGED = series("kmodmon_module_parameter_change_timestamp_seconds", module="kvm", parameter="ignore_msrs")

CASES = (
    Case(
        alert="KmodModuleParameterChanged",
        fires={_CHANGED: happened(10)},
        at="10m",
        labels={"module": "kvm", "parameter": "ignore_msrs"},
        description=f"Parameter ignore_msrs of module kvm on db1:10069 changed at {moment(10)}.",
        clears="31m",
        miss="it changed an hour before it was first scraped",
        near={_CHANGED: always(-3600)},
    ),
)
