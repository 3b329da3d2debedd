"""The files of the loaded modules: the file that each module was loaded from, and what is at its path now.

The examiner reads the file that is there now. A file can be replaced, changed or deleted after the load. Therefore
`FileRecord.own` keeps the examination of the loaded build: signature and signer of the loaded module are taken from it.

The origin is no more precise than the evidence. A module without a file in the module tree has the origin `memory` only
if the process that loaded it is known and named no file on its command line; otherwise the origin is `elsewhere`.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.event import Actor, Event, Severity
from kmodmon.events.kinds.policy import KernelInstalled, LoadedFileChanged, LoadedFilesChanged
from kmodmon.kernel.module_name import SUFFIXES
from kmodmon.lifecycle.inventory import Inventory, Loaded, Module
from kmodmon.subjects.module_file import ModuleFile, OnDisk, TreeOrigin, compare
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant

MOST_EVENTS = 20  # of one examination; more changed files, as in an upgrade of the kernel package, are one event
_MOST_NAMES = 50


class Origin(enum.StrEnum):
    """Where a loaded module came from; the values are public (label `origin`)."""

    KERNEL = "kernel"
    UPDATES = "updates"
    EXTRA = "extra"
    DKMS = "dkms"
    WEAK_UPDATES = "weak-updates"
    OTHER = "other"  # the module tree of this kernel, in a directory of another name
    ELSEWHERE = "elsewhere"  # not from that tree, or from another file than the one in it
    MEMORY = "memory"  # the loading process named no file
    DELETED = "deleted"  # its file does not exist any more
    UNKNOWN = "unknown"  # not examined


_IN_TREE = {
    TreeOrigin.KERNEL: Origin.KERNEL,
    TreeOrigin.UPDATES: Origin.UPDATES,
    TreeOrigin.EXTRA: Origin.EXTRA,
    TreeOrigin.DKMS: Origin.DKMS,
    TreeOrigin.WEAK_UPDATES: Origin.WEAK_UPDATES,
    TreeOrigin.OTHER: Origin.OTHER,
}
# Tools that load from the module tree, as the kernel names their tasks (15 characters).
_FROM_TREE = frozenset({"modprobe", "kmod", "systemd-udevd", "(udev-worker)", "systemd-modules", "udevd"})
_FROM_FILE = frozenset({"insmod", "busybox"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """The examination of the file of one loaded module."""

    instance: (
        int | None
    )  # inode of /sys/module/NAME at the examination; another inode is another load; None: unreadable
    file: ModuleFile  # the file that is there now
    own: ModuleFile | None  # the file of the loaded build at its first examination; None: it was never examined
    on_disk: OnDisk
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesState:
    """The files of all loaded modules, and the installed kernels."""

    records: Mapping[str, FileRecord] = field(default_factory=lambda: MappingProxyType({}))  # by module name
    expected: bool = False  # a module without a record will be examined soon
    problems: tuple[str, ...] = ()  # what hindered the latest examination, for people
    writable: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))  # see ModuleFilesRead
    releases: tuple[str, ...] | None = None  # kernel releases with a module tree; None: not read
    newer: tuple[str, ...] = ()  # those newer than the running kernel


UNREAD_FILES = FilesState()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFilesRead(Observation):
    """One examination of module files. Mappings are by module name."""

    files: Mapping[str, ModuleFile]
    instances: Mapping[str, int | None]  # inode of /sys/module/NAME when the examination was requested
    hinted: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # path named by the loading process
    problems: tuple[str, ...] = ()
    # files in /proc and /sys that belong to a module and that every user may write
    writable: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    releases: tuple[str, ...] | None = None
    newer: tuple[str, ...] = ()


def files_read(
    state: FilesState, read: ModuleFilesRead, inventory: Inventory, boot_time: int | None, at: Instant
) -> tuple[FilesState, tuple[Event, ...]]:
    """Fold an examination; give an event for each loaded module whose file changed, and for each new kernel."""
    records: dict[str, FileRecord] = {}
    changed: list[tuple[FileRecord, FileRecord]] = []
    for name, file in read.files.items():
        module, loaded = inventory.modules.get(name), inventory.loaded.get(name)
        if module is None or read.instances.get(name) != module.attributes.instance:
            continue  # unloaded, or loaded again since: the next examination has the new load
        if loaded is None:
            continue  # its load is not decided yet; the ModuleLoaded event causes another examination
        before = state.records.get(name)
        record = _record(module, loaded, file, _same_load(before, module), read.hinted.get(name), boot_time)
        records[name] = before if before is not None and before == record else record
        if before is not None and before.instance == record.instance and _differs(before, record):
            changed.append((before, record))
    kept = {name: record for name, record in state.records.items() if name in inventory.modules and name not in records}
    after = replace(
        state,
        records=MappingProxyType(kept | records),
        expected=True,
        problems=read.problems,
        writable=read.writable,
        releases=read.releases,
        newer=read.newer,
    )
    return (state if after == state else after), (*_changes(changed, at), *_installed(state, after, at))


def files_unavailable(state: FilesState) -> FilesState:
    """Fold a failed examination: the records stay, and no module waits for one."""
    return replace(state, expected=False) if state.expected else state


def load_paths(inventory: Inventory) -> Mapping[str, str]:
    """Absolute paths of module files on the command lines of the processes that loaded them, by module name."""
    paths = {name: named_file(loaded.actor) for name, loaded in inventory.loaded.items()}
    return {name: path for name, path in paths.items() if path is not None and path.startswith("/")}


def named_file(actor: Actor | None) -> str | None:
    """The module file on an actor's command line; None: there is none, or the command line is not known."""
    words = () if actor is None or actor.process.cmdline is None else actor.process.cmdline[1:]
    return next((word for word in words if word.endswith(SUFFIXES) and not word.startswith("-")), None)


def _same_load(before: FileRecord | None, module: Module) -> FileRecord | None:
    return before if before is not None and before.instance == module.attributes.instance else None


def _record(
    module: Module,
    loaded: Loaded,
    file: ModuleFile,
    before: FileRecord | None,
    hinted: str | None,
    boot_time: int | None,
) -> FileRecord:
    on_disk = compare(module.attributes, file, _loaded_by(loaded, boot_time))
    own = None if before is None else before.own
    if on_disk in (OnDisk.SAME, OnDisk.UNKNOWN):
        if own is None:
            own = file
        elif own.sha256 is not None and file.sha256 is not None and own.sha256 != file.sha256:
            on_disk = OnDisk.REPLACED  # other bytes than at the load, though build-id or srcversion is the same
    if own is not None and _has_new_facts(own, file):
        own = file
    return FileRecord(
        instance=module.attributes.instance,
        file=file,
        own=own,
        on_disk=on_disk,
        origin=_origin(file, on_disk, own, loaded, hinted),
    )


def _has_new_facts(own: ModuleFile, file: ModuleFile) -> bool:
    """Whether the bytes are the same and the verdict, path or package is not: certificates or packages changed."""
    return own.sha256 is not None and own.sha256 == file.sha256 and own != file


def _loaded_by(loaded: Loaded | None, boot_time: int | None) -> int | None:
    if loaded is not None and loaded.at is not None:
        return loaded.at.realtime_usec
    return None if boot_time is None else boot_time * 1_000_000


def _origin(
    file: ModuleFile, on_disk: OnDisk, own: ModuleFile | None, loaded: Loaded | None, hinted: str | None
) -> Origin:
    if on_disk is OnDisk.DELETED or (file.path is not None and file.stamp is None and file.problem is not None):
        return Origin.DELETED if own is not None or hinted is not None else _without_file(loaded)
    if on_disk is OnDisk.ELSEWHERE:
        return Origin.ELSEWHERE
    return _IN_TREE.get(file.origin, Origin.ELSEWHERE)


def _without_file(loaded: Loaded | None) -> Origin:
    actor = None if loaded is None else loaded.actor
    if actor is None or actor.process.comm is None:
        return Origin.ELSEWHERE
    if actor.process.comm in _FROM_TREE:
        return Origin.DELETED
    if actor.process.comm in _FROM_FILE or named_file(actor) is not None:
        return Origin.ELSEWHERE
    return Origin.MEMORY


def _differs(before: FileRecord, now: FileRecord) -> bool:
    return (before.on_disk, before.file.sha256, before.file.path) != (now.on_disk, now.file.sha256, now.file.path)


_WORDS = {
    OnDisk.SAME: "is the one that is loaded again",
    OnDisk.REPLACED: "replaced since the module was loaded",
    OnDisk.ELSEWHERE: "is not the one that was loaded",
    OnDisk.DELETED: "deleted since the module was loaded",
    OnDisk.UNKNOWN: "cannot be compared with the loaded module",
}


def _changes(changed: list[tuple[FileRecord, FileRecord]], at: Instant) -> tuple[Event, ...]:
    if len(changed) <= MOST_EVENTS:
        return tuple(_changed(before, now, at) for before, now in changed)
    names = tuple(sorted(now.file.name for _, now in changed))
    details = LoadedFilesChanged(
        tree="loaded",
        path="files of loaded modules",
        change=f"{len(names)} of them are others than before",
        count=len(names),
        modules=names[:_MOST_NAMES],
    )
    return (Event(details=details, at=at, severity=Severity.NOTICE),)


def _changed(before: FileRecord, now: FileRecord, at: Instant) -> Event:
    details = LoadedFileChanged(
        tree="loaded",
        path=now.file.path or before.file.path,
        change=_WORDS[now.on_disk],
        on_disk=now.on_disk.value,
        old_sha256=before.file.sha256,
        sha256=now.file.sha256,
        signature=now.file.signature.verdict.value,
    )
    severity = Severity.INFO if now.on_disk is OnDisk.SAME else Severity.NOTICE
    return Event(details=details, at=at, severity=severity, module=now.file.name)


def _installed(before: FilesState, after: FilesState, at: Instant) -> Iterable[Event]:
    if before.releases is None or after.releases is None:
        return
    for release in after.releases:
        if release not in before.releases:
            newer = release in after.newer
            details = KernelInstalled(
                tree="kernels",
                path=f"/lib/modules/{release}",
                change="a newer kernel was installed; it runs after a reboot" if newer else "a kernel was installed",
                release=release,
                newer=newer,
            )
            yield Event(details=details, at=at, severity=Severity.NOTICE)
