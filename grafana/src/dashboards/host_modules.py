"""The part of the host's dashboard that is about modules."""

from grafana.src.dashboards.dashboard import PanelRow
from grafana.src.dashboards.event_table import STAMPS, WHEN, WHOSE, happened
from grafana.src.dashboards.panel import (
    BAD,
    GOOD,
    NONE_IS_GOOD,
    QUIET,
    WARN,
    FieldStyle,
    Query,
    Shape,
    TableColumn,
    graph,
    nodes,
    table,
)
from grafana.src.dashboards.queries import MODULE, grown, of
from kmodmon.types.units import JsonObject

_TRUST = {
    "valid": ("valid", GOOD),
    "signed": ("signed", QUIET),
    "unsigned": ("unsigned", BAD),
    "invalid": ("invalid", BAD),
    "unknown": ("unknown", WARN),
}
_GRAVITY = {
    "critical": ("critical", BAD),
    "error": ("error", BAD),
    "warning": ("warning", WARN),
    "notice": ("notice", QUIET),
}
_DIFFERS = {"0": ("no", GOOD), "1": ("yes", WARN)}
_LINK: JsonObject = {
    "title": "All that its kmodmon knows of it",
    "url": "http://${__data.fields.Host}/api/v1/modules/${__data.fields.Module}",
    "targetBlank": True,
}
_NAME = TableColumn(source="module", title="Module", link=_LINK)

# The node graph wants fields called id, title, source and target; an arrow leads from the user to what it uses.
_HOLDER = of("kmodmon_module_holder")
_USED = f"count by (job, instance, module) ({_HOLDER})"
_USERS = f'label_replace(count by (job, instance, holder) ({_HOLDER}), "module", "$1", "holder", "(.+)")'
_SHOWN = f"{of('kmodmon_module_size_bytes')} and on (job, instance, module) ({_USED} or {_USERS})"
_NODES = (
    f'max by (id, title) (label_replace(label_replace({_SHOWN}, "id", "$1", "module", "(.+)"), '
    '"title", "$1", "module", "(.+)"))'
)
_ENDS = f'label_replace(label_replace({_HOLDER}, "source", "$1", "holder", "(.+)"), "target", "$1", "module", "(.+)")'
_EDGES = f'max by (id, source, target) (label_join({_ENDS}, "id", "/", "holder", "module"))'


def _each(metric: str) -> Query:
    return Query(expr=f"max by (instance, module) ({of(metric, MODULE)})", table=True)


def _count(metric: str) -> Query:
    return Query(expr=f"count by (instance, module) ({of(metric, MODULE)})", table=True)


_KNOWN = ("instance", "module", "version", "license", "signature", "signer", "origin")
_LOADED = table(
    "Loaded modules",
    "What the kernel lists, and where it came from. The link gives all that the host's kmodmon knows of a module, if "
    "it listens where this browser can reach it.",
    (
        Query(expr=f"max by ({', '.join(_KNOWN)}) ({of('kmodmon_module_info', MODULE)})", table=True),
        _each("kmodmon_module_size_bytes"),
        _each("kmodmon_module_refcnt"),
        _count("kmodmon_module_holder"),
        _count("kmodmon_module_taint"),
        _each("kmodmon_module_differs_from_disk"),
    ),
    (
        _NAME,
        WHOSE,
        TableColumn(source="version", title="Version"),
        TableColumn(source="signature", title="Signature", look=FieldStyle(mappings=_TRUST), width=110),
        TableColumn(source="signer", title="Signer"),
        TableColumn(source="origin", title="From", width=90),
        TableColumn(source="license", title="Licence", width=90),
        TableColumn(source="Value #B", title="Size", look=FieldStyle(unit="bytes"), width=100),
        TableColumn(source="Value #C", title="Users", look=FieldStyle(unit="none"), width=80),
        TableColumn(source="Value #D", title="Modules that use it", look=FieldStyle(unit="none"), width=80),
        TableColumn(
            source="Value #E", title="Taint letters", look=FieldStyle(unit="none", steps=NONE_IS_GOOD), width=80
        ),
        TableColumn(source="Value #F", title="Differs from disk", look=FieldStyle(mappings=_DIFFERS), width=100),
    ),
    Shape(no_value="No module is loaded", height=12, sort="Module"),
)
_CONSPICUOUS = (
    table(
        "Foreign modules",
        "Modules that carry a taint letter: E unsigned, O out of tree, P proprietary, F forced, C staging.",
        (Query(expr=of("kmodmon_module_taint", MODULE), table=True),),
        (_NAME, WHOSE, TableColumn(source="flag", title="Letter", width=80)),
        Shape(no_value="No module carries a taint letter", width=8, height=8, sort="Module"),
    ),
    table(
        "Hidden modules",
        "Modules that are in the kernel and that at least one of its own views denies. Only what hides itself is here.",
        (Query(expr=of("kmodmon_module_hidden"), table=True),),
        (TableColumn(source="module", title="Module"), WHOSE, TableColumn(source="missing_from", title="Missing from")),
        Shape(no_value="No module hides, as far as can be seen", width=8, height=8, sort="Module"),
    ),
    table(
        "Findings",
        "What the policy finds now. `kmodmon check` gives reasons, evidence and advice.",
        (Query(expr=of("kmodmon_policy_finding"), table=True),),
        (
            TableColumn(source="severity", title="Severity", look=FieldStyle(mappings=_GRAVITY), width=90),
            TableColumn(source="rule", title="Rule"),
            TableColumn(source="module", title="Module"),
            WHOSE,
        ),
        Shape(no_value="The policy finds nothing", width=8, height=8, sort="Severity"),
    ),
)
_COUNTED = (
    graph(
        "Loads and unloads",
        "Modules that came and went. The marks say which.",
        (
            Query(expr=f"sum by (signature) ({grown('kmodmon_module_loads_total')})", legend="loaded, {{signature}}"),
            Query(expr=f"sum({grown('kmodmon_module_unloads_total')})", legend="unloaded"),
        ),
        FieldStyle(no_value="Nothing came or went"),
        bars=True,
    ),
    graph(
        "Loads that failed",
        "Modules that the kernel refused or that could not start, by reason.",
        (Query(expr=f"sum by (reason) ({grown('kmodmon_module_load_failures_total')}) > 0", legend="{{reason}}"),),
        FieldStyle(no_value="No load failed"),
        bars=True,
    ),
)
_HAPPENED = (
    table(
        "Last loads",
        f"Who loaded what and when; {STAMPS}.",
        happened("kmodmon_module_load_timestamp_seconds", MODULE),
        (
            WHEN,
            _NAME,
            WHOSE,
            TableColumn(source="signature", title="Signature", look=FieldStyle(mappings=_TRUST)),
            TableColumn(source="taints", title="Taints", width=80),
            TableColumn(source="actor", title="By"),
        ),
        Shape(no_value="Nothing was loaded within a day", width=9, sort="When", descending=True),
    ),
    table(
        "Last refusals",
        f"Which loads the kernel refused or failed, and who tried; {STAMPS}.",
        happened("kmodmon_module_load_failure_timestamp_seconds"),
        (
            WHEN,
            TableColumn(source="module", title="Module"),
            WHOSE,
            TableColumn(source="reason", title="Reason"),
            TableColumn(source="actor", title="By"),
        ),
        Shape(no_value="No load failed within a day", width=8, sort="When", descending=True),
    ),
    table(
        "Requests",
        f"What the kernel was made to ask for, and by which kind of user; {STAMPS}.",
        happened("kmodmon_module_request_timestamp_seconds"),
        (WHEN, WHOSE, TableColumn(source="request", title="Module or alias"), TableColumn(source="user", title="User")),
        Shape(no_value="Nothing was asked for within a day", width=7, sort="When", descending=True),
    ),
)
_DEPENDENCIES = nodes(
    "What depends on what",
    "Modules that other modules need; an arrow leads from the user to what it uses.",
    (Query(expr=_NODES, table=True, ref="nodes"), Query(expr=_EDGES, table=True, ref="edges")),
    FieldStyle(unit="bytes", no_value="No module depends on another"),
)
MODULES = PanelRow(title="Modules", panels=(_LOADED, *_CONSPICUOUS, *_COUNTED, *_HAPPENED, _DEPENDENCIES))
