"""Metrics of /proc/modules, and of loads and unloads. A series about a loaded module ends with its unload."""

from collections.abc import Iterable

from kmodmon.events.event import Event
from kmodmon.events.kinds.module import (
    ModuleLoaded,
    ModuleLoadFailed,
    ModuleRequested,
    ModuleTransient,
    ModuleUnloaded,
)
from kmodmon.lifecycle.inventory import Module, SignatureStatus
from kmodmon.lifecycle.module_events import count_states
from kmodmon.metrics.metric import CountOf, LatestOf, Metric, MetricType, Sample, single
from kmodmon.state.state import State
from kmodmon.state.trust import trust

_LIST = "/proc/modules"
_PER_MODULE = "modules loaded"
_NO_MODULES = "kernel without module support, or /proc/modules unreadable"


def _modules(state: State) -> Iterable[Module]:
    return state.inventory.modules.values()


def _states(state: State) -> Iterable[Sample]:
    if not state.inventory.support:
        return ()
    return (((key.value,), float(count)) for key, count in count_states(_modules(state)).items())


def _by_trust(state: State) -> Iterable[Sample]:
    if not state.inventory.support:
        return ()
    counts = dict.fromkeys(SignatureStatus, 0)
    for module in _modules(state):
        counts[trust(state, module)] += 1
    return (((key.value,), float(count)) for key, count in counts.items())


def _kind_of_user(event: Event) -> str:
    uid = None if event.actor is None else event.actor.uid
    return "unknown" if uid is None else "root" if uid == 0 else "unprivileged"


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_module_support",
        help="1 if this kernel can load modules, 0 if it was built without loadable modules (/proc/modules).",
        interface=_LIST,
        absent="not read yet",
        of=("inventory",),
        samples=lambda state: single(state.inventory.support),
    ),
    Metric(
        name="kmodmon_modules",
        help="Modules in the kernel's list by state (/proc/modules).",
        labels=("state",),
        interface=_LIST,
        absent=_NO_MODULES,
        bound="3 states",
        of=("inventory",),
        samples=_states,
    ),
    Metric(
        name="kmodmon_modules_by_trust",
        help="Loaded modules by what is known of their signature.",
        labels=("signature",),
        interface="/proc/modules, module files",
        absent=_NO_MODULES,
        bound="5 verdicts",
        of=("inventory", "files", "posture", "kernel"),
        samples=_by_trust,
    ),
    Metric(
        name="kmodmon_module_size_bytes",
        help="Memory of a loaded module in bytes (/proc/modules).",
        labels=("module",),
        interface=_LIST,
        absent=_NO_MODULES,
        bound=_PER_MODULE,
        of=("inventory",),
        samples=lambda state: [((module.name,), float(module.size)) for module in _modules(state)],
    ),
    Metric(
        name="kmodmon_module_refcnt",
        help="References held on a loaded module, -1 while it goes (/proc/modules).",
        labels=("module",),
        interface=_LIST,
        absent="kernel without CONFIG_MODULE_UNLOAD",
        bound=_PER_MODULE,
        of=("inventory",),
        samples=lambda state: [
            ((module.name,), float(module.refcnt)) for module in _modules(state) if module.refcnt is not None
        ],
    ),
    Metric(
        name="kmodmon_module_taint",
        help="1 for each taint letter that a loaded module carries (/proc/modules).",
        labels=("module", "flag"),
        interface=_LIST,
        absent="the module carries no taint",
        bound="modules loaded x letters carried",
        of=("inventory",),
        samples=lambda state: [
            ((module.name, letter), 1.0) for module in _modules(state) for letter in dict.fromkeys(module.taint)
        ],
    ),
    Metric(
        name="kmodmon_module_holder",
        help="1 for each module (holder) that depends on a loaded module (/proc/modules).",
        labels=("module", "holder"),
        interface=_LIST,
        absent="nothing depends on the module",
        bound="dependencies between modules",
        of=("inventory",),
        samples=lambda state: [
            ((module.name, holder), 1.0) for module in _modules(state) for holder in dict.fromkeys(module.holders)
        ],
    ),
    Metric(
        name="kmodmon_modules_skipped_lines",
        help="Lines of /proc/modules in the last reading that could not be understood (must be 0).",
        interface=_LIST,
        absent=_NO_MODULES,
        of=("inventory",),
        samples=lambda state: single(state.inventory.skipped if state.inventory.support else None),
    ),
    Metric(
        name="kmodmon_module_loads_total",
        kind=MetricType.COUNTER,
        help="Module loads seen in this boot, by what was known of the signature.",
        labels=("signature",),
        interface="/proc/modules, module uevents, tracefs module:module_load",
        bound="5 verdicts",
        of=("counts",),
        events=CountOf(kinds=(ModuleLoaded,), initial=tuple((status.value,) for status in SignatureStatus)),
    ),
    Metric(
        name="kmodmon_module_unloads_total",
        kind=MetricType.COUNTER,
        help="Module unloads seen in this boot.",
        interface="/proc/modules, module uevents, tracefs module:module_free",
        of=("counts",),
        events=CountOf(kinds=(ModuleUnloaded,)),
    ),
    Metric(
        name="kmodmon_module_transients_total",
        kind=MetricType.COUNTER,
        help="Modules loaded and unloaded between two looks at the module list in this boot; counted as loads too.",
        interface="tracefs module:module_load and module_free, module uevents",
        of=("counts",),
        events=CountOf(kinds=(ModuleTransient,)),
    ),
    Metric(
        name="kmodmon_module_load_timestamp_seconds",
        help="When a module was last loaded, kept for retention.recent even if it is gone.",
        labels=("module", "signature", "taints", "actor"),
        interface="/proc/modules, module uevents, tracefs module:module_load",
        absent="no load within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(ModuleLoaded,)),
    ),
    Metric(
        name="kmodmon_module_unload_timestamp_seconds",
        help="When a module was last unloaded, kept for retention.recent.",
        labels=("module", "taints", "actor"),
        interface="/proc/modules, module uevents, tracefs module:module_free",
        absent="no unload within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(ModuleUnloaded,)),
    ),
    Metric(
        name="kmodmon_module_load_failure_timestamp_seconds",
        help="When a load was last refused or failed, and by whom it was tried, kept for retention.recent.",
        labels=("module", "reason", "actor"),
        interface="/dev/kmsg, tracefs module events",
        absent="no failure within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(ModuleLoadFailed,)),
    ),
    Metric(
        name="kmodmon_module_request_timestamp_seconds",
        help="When the kernel was last made to ask for a module (request: its name or alias), and by which kind of "
        "user.",
        labels=("request", "user"),
        interface="tracefs module:module_request",
        absent="no request within retention.recent, or no trace",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(ModuleRequested,), fields={"request": "name"}, values={"user": _kind_of_user}),
    ),
)
