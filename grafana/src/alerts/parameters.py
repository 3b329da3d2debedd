"""Alerts on module parameters."""

from grafana.src.alerts.alert import Alert, AlertSeverity, Group, Runbook
from grafana.src.alerts.promql import CLEARS, KEEP_FIRING, recent

ALERTS = (
    Alert(
        name="KmodModuleParameterChanged",
        severity=AlertSeverity.WARNING,
        expr=recent("kmodmon_module_parameter_change_timestamp_seconds"),
        keep_firing_for=KEEP_FIRING,
        summary="A module parameter was changed while the module was loaded.",
        description="Parameter {{ $labels.parameter }} of module {{ $labels.module }} on {{ $labels.instance }} "
        "changed at {{ $value | humanizeTimestamp }}.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="Somebody wrote to the parameter, or the module changed it itself. The history holds old and new "
            "value, unless its name says that it is a secret.",
            impact="Parameters switch off checks, debugging and power management; some disable a protection.",
            commands=(
                "kmodmon events --since 1h --type ParameterChanged",
                "kmodmon modules NAME",
                "kmodmon events --since 1h --module NAME",
            ),
            clears=CLEARS,
        ),
    ),
)

GROUP = Group(name="kmodmon.parameters", alerts=ALERTS)
