"""The row of the Host dashboard about modules."""

from grafana.src.dashboards.dashboard import PanelRow
from grafana.src.dashboards.event_table import HOST_COLUMN, MODULE_COLUMN, RETENTION, TIME_COLUMN, event_table
from grafana.src.dashboards.panel import (
    BAD,
    GOOD,
    NEUTRAL,
    WARN,
    WARN_FROM_ONE,
    FieldStyle,
    Query,
    TableColumn,
    TableOptions,
    node_graph,
    table,
    timeseries,
)
from grafana.src.dashboards.queries import (
    MODULE_MATCHER,
    increase_per_step,
    increase_query,
    select,
    sum_query,
    timestamp_ms,
)
from kmodmon.types.units import JsonObject

_SIGNATURES = {
    "valid": ("valid", GOOD),
    "signed": ("signed", NEUTRAL),
    "unsigned": ("unsigned", BAD),
    "invalid": ("invalid", BAD),
    "unknown": ("unknown", WARN),
}
_SEVERITIES = {
    "critical": ("critical", BAD),
    "error": ("error", BAD),
    "warning": ("warning", WARN),
    "notice": ("notice", NEUTRAL),
}
_DIFFERS = {"0": ("no", GOOD), "1": ("yes", WARN)}
_MODULE_LINK: JsonObject = {
    "title": "All that its kmodmon knows of it",
    "url": "http://${__data.fields.Host}/api/v1/modules/${__data.fields.Module}",
    "targetBlank": True,
}
_MODULE_COLUMN = TableColumn(source="module", title="Module", link=_MODULE_LINK)

# The node graph reads the fields id, title, source and target; an edge leads from the using to the used module.
_HOLDER = select("kmodmon_module_holder")
_USED_MODULES = f"count by (job, instance, module) ({_HOLDER})"
_USING_MODULES = f'label_replace(count by (job, instance, holder) ({_HOLDER}), "module", "$1", "holder", "(.+)")'
_CONNECTED = (
    f"{select('kmodmon_module_size_bytes')} and on (job, instance, module) ({_USED_MODULES} or {_USING_MODULES})"
)
_NODES = (
    f'max by (id, title) (label_replace(label_replace({_CONNECTED}, "id", "$1", "module", "(.+)"), '
    '"title", "$1", "module", "(.+)"))'
)
_EDGE_LABELS = (
    f'label_replace(label_replace({_HOLDER}, "source", "$1", "holder", "(.+)"), "target", "$1", "module", "(.+)")'
)
_EDGES = f'max by (id, source, target) (label_join({_EDGE_LABELS}, "id", "/", "holder", "module"))'


def _max_by_module(metric: str) -> str:
    return f"max by (instance, module) ({select(metric, MODULE_MATCHER)})"


def _count_by_module(metric: str) -> str:
    return f"count by (instance, module) ({select(metric, MODULE_MATCHER)})"


_INFO_LABELS = ("instance", "module", "version", "license", "signature", "signer", "origin")
_LOADED = table(
    "Loaded modules",
    "What the kernel lists, and where it came from. The link gives all that the host's kmodmon knows of a module, if "
    "it listens where this browser can reach it.",
    (
        f"max by ({', '.join(_INFO_LABELS)}) ({select('kmodmon_module_info', MODULE_MATCHER)})",
        _max_by_module("kmodmon_module_size_bytes"),
        _max_by_module("kmodmon_module_refcnt"),
        _count_by_module("kmodmon_module_holder"),
        _count_by_module("kmodmon_module_taint"),
        _max_by_module("kmodmon_module_differs_from_disk"),
    ),
    (
        _MODULE_COLUMN,
        HOST_COLUMN,
        TableColumn(source="version", title="Version"),
        TableColumn(source="signature", title="Signature", style=FieldStyle(mappings=_SIGNATURES), width=110),
        TableColumn(source="signer", title="Signer"),
        TableColumn(source="origin", title="From", width=90),
        TableColumn(source="license", title="Licence", width=90),
        TableColumn(source="Value #B", title="Size", style=FieldStyle(unit="bytes"), width=100),
        TableColumn(source="Value #C", title="Users", style=FieldStyle(unit="none"), width=80),
        TableColumn(source="Value #D", title="Modules that use it", style=FieldStyle(unit="none"), width=80),
        TableColumn(
            source="Value #E", title="Taint letters", style=FieldStyle(unit="none", steps=WARN_FROM_ONE), width=80
        ),
        TableColumn(source="Value #F", title="Differs from disk", style=FieldStyle(mappings=_DIFFERS), width=100),
    ),
    TableOptions(no_value="No module is loaded", height=12, sort="Module"),
)
_SUSPICIOUS = (
    table(
        "Foreign modules",
        "Modules that carry a taint letter: E unsigned, O out of tree, P proprietary, F forced, C staging.",
        (select("kmodmon_module_taint", MODULE_MATCHER),),
        (_MODULE_COLUMN, HOST_COLUMN, TableColumn(source="flag", title="Letter", width=80)),
        TableOptions(no_value="No module carries a taint letter", width=8, height=8, sort="Module"),
    ),
    table(
        "Hidden modules",
        "Modules that are in the kernel and that at least one of its own views denies. Only what hides itself is here.",
        (select("kmodmon_module_hidden"),),
        (MODULE_COLUMN, HOST_COLUMN, TableColumn(source="missing_from", title="Missing from")),
        TableOptions(no_value="No module hides, as far as can be seen", width=8, height=8, sort="Module"),
    ),
    table(
        "Findings",
        "What the policy finds now. `kmodmon check` gives reasons, evidence and advice.",
        (select("kmodmon_policy_finding"),),
        (
            TableColumn(source="severity", title="Severity", style=FieldStyle(mappings=_SEVERITIES), width=90),
            TableColumn(source="rule", title="Rule"),
            MODULE_COLUMN,
            HOST_COLUMN,
        ),
        TableOptions(no_value="The policy finds nothing", width=8, height=8, sort="Severity"),
    ),
)
_ACTIVITY = (
    timeseries(
        "Loads and unloads",
        "Modules that came and went. The marks say which.",
        (
            Query(
                expr=f"sum by (signature) ({increase_per_step('kmodmon_module_loads_total')})",
                legend="loaded, {{signature}}",
            ),
            increase_query("kmodmon_module_unloads_total", "unloaded"),
        ),
        FieldStyle(no_value="Nothing came or went"),
        bars=True,
    ),
    timeseries(
        "Loads that failed",
        "Modules that the kernel refused or that could not start, by reason.",
        (sum_query("reason", increase_per_step("kmodmon_module_load_failures_total")),),
        FieldStyle(no_value="No load failed"),
        bars=True,
    ),
)
_EVENTS = (
    event_table(
        "Last loads",
        f"Who loaded what and when; {RETENTION}.",
        timestamp_ms("kmodmon_module_load_timestamp_seconds", MODULE_MATCHER),
        (
            TIME_COLUMN,
            _MODULE_COLUMN,
            HOST_COLUMN,
            TableColumn(source="signature", title="Signature", style=FieldStyle(mappings=_SIGNATURES)),
            TableColumn(source="taints", title="Taints", width=80),
            TableColumn(source="actor", title="By"),
        ),
        TableOptions(no_value="Nothing was loaded within a day", width=9),
    ),
    event_table(
        "Last refusals",
        f"Which loads the kernel refused or failed, and who tried; {RETENTION}.",
        timestamp_ms("kmodmon_module_load_failure_timestamp_seconds"),
        (
            TIME_COLUMN,
            MODULE_COLUMN,
            HOST_COLUMN,
            TableColumn(source="reason", title="Reason"),
            TableColumn(source="actor", title="By"),
        ),
        TableOptions(no_value="No load failed within a day", width=8),
    ),
    event_table(
        "Requests",
        f"What the kernel was made to ask for, and by which kind of user; {RETENTION}.",
        timestamp_ms("kmodmon_module_request_timestamp_seconds"),
        (
            TIME_COLUMN,
            HOST_COLUMN,
            TableColumn(source="request", title="Module or alias"),
            TableColumn(source="user", title="User"),
        ),
        TableOptions(no_value="Nothing was asked for within a day", width=7),
    ),
)
_DEPENDENCIES = node_graph(
    "What depends on what",
    "Modules that other modules need; an arrow leads from the user to what it uses.",
    _NODES,
    _EDGES,
    FieldStyle(unit="bytes", no_value="No module depends on another"),
)
MODULES = PanelRow(title="Modules", panels=(_LOADED, *_SUSPICIOUS, *_ACTIVITY, *_EVENTS, _DEPENDENCIES))
