"""The part of the host's dashboard that is about modules."""

from kmodmon.dashboards.dashboard import Row
from kmodmon.dashboards.happened import STAMPS, WHEN, WHOSE, happened
from kmodmon.dashboards.panel import (
    BAD,
    GOOD,
    NONE_IS_GOOD,
    QUIET,
    WARN,
    Column,
    Look,
    Query,
    Shape,
    graph,
    nodes,
    table,
)
from kmodmon.dashboards.queries import MODULE, grown, of
from kmodmon.model.units import JsonObject

_TRUST = {
    "valid": ("valid", GOOD),
    "signed": ("signed", QUIET),
    "unsigned": ("unsigned", BAD),
    "invalid": ("invalid", BAD),
    "unknown": ("unknown", WARN),
}
_LINK: JsonObject = {
    "title": "All that its kmodmon knows of it",
    "url": "http://${__data.fields.Host}/api/v1/modules/${__data.fields.Module}",
    "targetBlank": True,
}
_NAME = Column(source="module", title="Module", link=_LINK)

# The node graph wants fields called id, title, source and target; an arrow leads from the user to what it uses.
_HOLDER = of("kmodmon_module_holder")
_USED = f"count by (job, instance, module) ({_HOLDER})"
_USERS = f'label_replace(count by (job, instance, holder) ({_HOLDER}), "module", "$1", "holder", "(.+)")'
_SHOWN = f"{of('kmodmon_module_size_bytes')} and on (job, instance, module) ({_USED} or {_USERS})"
_NODES = (
    f'max by (id, title) (label_replace(label_replace({_SHOWN}, "id", "$1", "module", "(.+)"), '
    '"title", "$1", "module", "(.+)"))'
)
_EDGES = (
    f'max by (id, source, target) (label_join(label_replace(label_replace({_HOLDER}, "source", "$1", "holder", '
    f'"(.+)"), '
    '"target", "$1", "module", "(.+)"), "id", "/", "holder", "module"))'
)

MODULES = Row(
    title="Modules",
    panels=(
        table(
            "Loaded modules",
            "What the kernel lists: size, users and taint letters. The link gives all that the host's kmodmon knows "
            "of a "
            "module, if it listens where this browser can reach it.",
            (
                Query(expr=f"max by (instance, module) ({of('kmodmon_module_size_bytes', MODULE)})", table=True),
                Query(expr=f"max by (instance, module) ({of('kmodmon_module_refcnt', MODULE)})", table=True),
                Query(expr=f"count by (instance, module) ({of('kmodmon_module_taint', MODULE)})", table=True),
                Query(expr=f"count by (instance, module) ({of('kmodmon_module_holder', MODULE)})", table=True),
            ),
            (
                _NAME,
                WHOSE,
                Column(source="Value #A", title="Size", look=Look(unit="bytes")),
                Column(source="Value #B", title="Users", look=Look(unit="none")),
                Column(source="Value #D", title="Modules that use it", look=Look(unit="none")),
                Column(source="Value #C", title="Taint letters", look=Look(unit="none", steps=NONE_IS_GOOD)),
            ),
            Shape(
                no_value="No module is loaded",
                width=16,
                height=12,
                sort="Module",
            ),
        ),
        table(
            "Foreign modules",
            "Modules that carry a taint letter: E unsigned, O out of tree, P proprietary, F forced, C staging.",
            (Query(expr=of("kmodmon_module_taint", MODULE), table=True),),
            (_NAME, WHOSE, Column(source="flag", title="Letter", width=80)),
            Shape(
                no_value="No module carries a taint letter",
                width=8,
                height=12,
                sort="Module",
            ),
        ),
        graph(
            "Loads and unloads",
            "Modules that came and went. The marks say which.",
            (
                Query(
                    expr=f"sum by (signature) ({grown('kmodmon_module_loads_total')})", legend="loaded, {{signature}}"
                ),
                Query(expr=f"sum({grown('kmodmon_module_unloads_total')})", legend="unloaded"),
            ),
            Look(no_value="Nothing came or went"),
            bars=True,
        ),
        graph(
            "Loads that failed",
            "Modules that the kernel refused or that could not start, by reason.",
            (Query(expr=f"sum by (reason) ({grown('kmodmon_module_load_failures_total')}) > 0", legend="{{reason}}"),),
            Look(no_value="No load failed"),
            bars=True,
        ),
        table(
            "Last loads",
            f"Who loaded what and when; {STAMPS}.",
            happened("kmodmon_module_load_timestamp_seconds", MODULE),
            (
                WHEN,
                _NAME,
                WHOSE,
                Column(source="signature", title="Signature", look=Look(mappings=_TRUST)),
                Column(source="taints", title="Taints", width=80),
                Column(source="actor", title="By"),
            ),
            Shape(
                no_value="Nothing was loaded within a day",
                width=14,
                sort="When",
                descending=True,
            ),
        ),
        table(
            "Last refusals",
            f"Which loads the kernel refused or failed, and who tried; {STAMPS}.",
            happened("kmodmon_module_load_failure_timestamp_seconds"),
            (
                WHEN,
                Column(source="module", title="Module"),
                WHOSE,
                Column(source="reason", title="Reason"),
                Column(source="actor", title="By"),
            ),
            Shape(
                no_value="No load failed within a day",
                width=10,
                sort="When",
                descending=True,
            ),
        ),
        nodes(
            "What depends on what",
            "Modules that other modules need; an arrow leads from the user to what it uses.",
            (
                Query(expr=_NODES, table=True, ref="nodes"),
                Query(expr=_EDGES, table=True, ref="edges"),
            ),
            Look(unit="bytes", no_value="No module depends on another"),
        ),
    ),
)
