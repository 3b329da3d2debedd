"""Metrics of hidden modules, of contradictions between signals, and of the views of the kernel that could be read."""

from kmodmon.events.kinds.module import ModuleHidden, SignalsContradicted
from kmodmon.metrics.metric import CountOf, LatestOf, Metric, MetricType
from kmodmon.subjects.crossview import View

METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_module_hidden",
        help="1 for each kernel view that denies a module which other views, or its load without an unload, show.",
        labels=("module", "missing_from"),
        interface="/proc/modules, /sys/module, /proc/kallsyms, tracefs available_filter_functions, "
        "/sys/kernel/debug/kprobes/list, /proc/vmallocinfo, tracefs module:module_load",
        absent="no module hides, as far as the views that can be read show",
        bound="256 findings x 4 views",
        of=("hidden",),
        samples=lambda state: [
            ((finding.module, view), 1.0) for finding in state.hidden.findings.values() for view in finding.missing_from
        ],
    ),
    Metric(
        name="kmodmon_crossview_available",
        help="1 if a kernel view that hidden modules are looked for in could be read at the last comparison, else 0.",
        labels=("view",),
        interface="see kmodmon_module_hidden",
        absent="not compared yet",
        bound=f"{len(View)} views",
        of=("hidden",),
        samples=lambda state: [((view,), float(not why)) for view, why in state.hidden.views.items()],
    ),
    Metric(
        name="kmodmon_witness_contradictions_total",
        kind=MetricType.COUNTER,
        help="Contradictions between the witnesses of modules' lives (list, uevents, trace) in this boot; must stay 0.",
        interface="/proc/modules, module uevents, tracefs module:module_load and module_free",
        of=("counts",),
        events=CountOf(kinds=(SignalsContradicted,)),
    ),
    Metric(
        name="kmodmon_witness_contradiction_timestamp_seconds",
        help="When the witnesses of a module's life last contradicted each other, and how, kept for retention.recent.",
        labels=("module", "kind"),
        interface="/proc/modules, module uevents, tracefs module:module_load and module_free",
        absent="no contradiction within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(SignalsContradicted,), fields={"kind": "contradiction"}),
    ),
    Metric(
        name="kmodmon_module_hidden_timestamp_seconds",
        help="When a module was last found to hide, kept for retention.recent even if it does no longer.",
        labels=("module", "confidence"),
        interface="see kmodmon_module_hidden",
        absent="none was found within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(ModuleHidden,)),
    ),
)
