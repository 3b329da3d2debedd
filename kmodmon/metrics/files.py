"""Metrics of the origin of loaded modules, of their files on disk, and of installed kernels."""

from collections.abc import Iterable, Iterator

from kmodmon.events.kinds.policy import FileChanged
from kmodmon.lifecycle.inventory import Module
from kmodmon.metrics.metric import CountOf, LatestOf, Metric, MetricType, Sample, single
from kmodmon.state.state import State
from kmodmon.state.trust import Provenance, provenance_of, record_of
from kmodmon.subjects.file_changes import TREES
from kmodmon.subjects.files import Origin
from kmodmon.subjects.modprobe import refusals

_FILES = "/lib/modules/<release>, /sys/module/<module>/{srcversion,notes}"
_NOT_EXAMINED = "module files are not examined (files.enabled, or no module tree of this kernel)"
_PER_MODULE = "modules loaded"
_MOST_RELEASES = 64


def _provenances(state: State) -> Iterator[tuple[Module, Provenance]]:
    for module in state.inventory.modules.values():
        yield module, provenance_of(state, module)


def _info(state: State) -> Iterator[Sample]:
    for module, provenance in _provenances(state):
        file = provenance.file
        loaded = state.inventory.loaded.get(module.name)
        version = module.attributes.version or (file.version if file is not None else None)
        srcversion = module.attributes.srcversion or (file.srcversion if file is not None else None)
        yield (
            (
                module.name,
                version or "",
                srcversion or "",
                (file.license if file is not None else None) or "",
                provenance.signature.value,
                provenance.signer or "",
                provenance.origin.value,
                "" if loaded is None else str(loaded.before_start).lower(),
            ),
            1.0,
        )


def _differs(state: State) -> Iterator[Sample]:
    for module, provenance in _provenances(state):
        if provenance.differs is not None:
            yield (module.name,), float(provenance.differs)


def _origins(state: State) -> Iterable[Sample]:
    if not state.inventory.support:
        return ()
    counts = dict.fromkeys(Origin, 0)
    for _, provenance in _provenances(state):
        counts[provenance.origin] += 1
    return [((origin.value,), float(count)) for origin, count in counts.items()]


def _unexamined(state: State) -> Iterable[Sample]:
    if not state.files.expected:
        return ()
    return single(sum(record_of(state, module) is None for module in state.inventory.modules.values()))


def _blacklisted(state: State) -> Iterator[Sample]:
    cmdline = None if state.kernel is None else state.kernel.cmdline
    for name in state.inventory.modules:
        for by in refusals(name, state.modprobe, cmdline):
            yield (name, by), 1.0


def _installed(state: State) -> Iterable[Sample]:
    running = None if state.kernel is None else state.kernel.release
    for release in (state.files.releases or ())[:_MOST_RELEASES]:
        newer = str(release in state.files.newer).lower()
        yield (release, str(release == running).lower(), newer), 1.0


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_module_info",
        help="What is known of a loaded module; exactly one series a module. Empty labels are not known.",
        labels=("module", "version", "srcversion", "license", "signature", "signer", "origin", "boot"),
        interface=f"{_FILES}, /proc/modules",
        absent="kernel without module support, or /proc/modules unreadable",
        bound=_PER_MODULE,
        of=("inventory", "files", "posture", "kernel"),
        samples=_info,
    ),
    Metric(
        name="kmodmon_modules_by_origin",
        help="Loaded modules by where they came from.",
        labels=("origin",),
        interface=_FILES,
        absent="kernel without module support, or /proc/modules unreadable",
        bound=f"{len(Origin)} origins",
        of=("inventory", "files", "posture", "kernel"),
        samples=_origins,
    ),
    Metric(
        name="kmodmon_module_differs_from_disk",
        help="1 if the file of a loaded module holds another build or other bytes than what is loaded, else 0.",
        labels=("module",),
        interface=_FILES,
        absent="no file of that name, not examined yet, or neither build-id nor srcversion to compare",
        bound=_PER_MODULE,
        of=("inventory", "files", "posture", "kernel"),
        samples=_differs,
    ),
    Metric(
        name="kmodmon_modules_unexamined",
        help="Loaded modules whose file is yet to be examined.",
        interface=_FILES,
        absent=_NOT_EXAMINED,
        of=("inventory", "files"),
        samples=_unexamined,
    ),
    Metric(
        name="kmodmon_module_file_problems",
        help="Things that hindered the last examination of module files; `kmodmon doctor` names them.",
        interface=_FILES,
        absent=_NOT_EXAMINED,
        of=("files",),
        samples=lambda state: single(len(state.files.problems) if state.files.expected else None),
    ),
    Metric(
        name="kmodmon_module_blacklisted",
        help="1 for each loaded module that modprobe.d or the kernel command line refuse, by what refuses it.",
        labels=("module", "by"),
        interface="modprobe.d, /proc/cmdline",
        absent="the module is not refused",
        bound="modules loaded x 3",
        of=("inventory", "modprobe", "kernel"),
        samples=_blacklisted,
    ),
    Metric(
        name="kmodmon_kernel_installed_info",
        help="Kernels with a module tree, whether it is the running one, and whether it is newer.",
        labels=("release", "running", "newer"),
        interface="/lib/modules",
        absent=_NOT_EXAMINED,
        bound=f"kernels installed, at most {_MOST_RELEASES}",
        of=("files", "kernel"),
        samples=_installed,
    ),
    Metric(
        name="kmodmon_kernel_installed_newer",
        help="1 if a newer kernel of the same flavour is installed than the one that runs: a reboot is due. Else 0.",
        interface="/lib/modules",
        absent=_NOT_EXAMINED,
        of=("files",),
        samples=lambda state: single(None if state.files.releases is None else bool(state.files.newer)),
    ),
    Metric(
        name="kmodmon_file_changes_total",
        kind=MetricType.COUNTER,
        help="Changes seen in directories that bear on modules; a burst of changes counts once.",
        labels=("tree",),
        interface="inotify, module files",
        bound=f"{len(TREES)} kinds of directory",
        of=("counts",),
        events=CountOf(kinds=(FileChanged,), initial=tuple((tree,) for tree in TREES)),
    ),
    Metric(
        name="kmodmon_file_change_timestamp_seconds",
        help="When something last changed in a kind of directory, or the file of a loaded module; kept for "
        "retention.recent.",
        labels=("tree", "module"),
        interface="inotify, module files",
        absent="no change within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(FileChanged,)),
    ),
)
