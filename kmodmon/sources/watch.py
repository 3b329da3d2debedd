"""Watches the directories of module files and of configuration; a change wakes the source that reads them.

Interface: inotify(7), through watchdog. The module tree is watched with all its directories (a stock kernel has a few
hundred), the others without their subdirectories. All changes until a directory was quiet for `files.settle` are one
observation, so a kernel upgrade that writes five thousand files is one event and one examination.

Needs fs.inotify.max_user_watches and max_user_instances large enough. Bind mounts (containers, a sandbox) work. An
overlay or network file system that is changed from elsewhere gives no event: the next poll finds the change.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from kmodmon.config.settings import Settings
from kmodmon.kernel.modprobe_d import DIRECTORIES
from kmodmon.sources.source import Emit, EventSource, Reading, SourceContext
from kmodmon.subjects.file_changes import FileChangesRead, TreeChanges
from kmodmon.system.file_watch import Burst, DirectoryWatch, Watched
from kmodmon.system.progress import note_progress
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, AbsentReason, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text

_RULES_SETTLE = 0.3  # seconds; an edit must be in force within two
_RENEW = 30.0  # seconds until directories that have appeared are watched
_MAX_KERNELS = 32
_WAKES = {
    "modules": (SourceName.FILES,),
    "kernels": (SourceName.FILES,),
    "dkms": (SourceName.FILES,),
    "certificates": (SourceName.FILES,),
    "modprobe.d": (SourceName.MODPROBE,),
    "policy": (SourceName.POLICY,),
    "baseline": (SourceName.BASELINE,),
}
_RULES_FILES = (SourceName.POLICY, SourceName.BASELINE, SourceName.MODPROBE)
_LOAD_DIRECTORIES = ("/etc/modules-load.d", "/run/modules-load.d", "/usr/local/lib/modules-load.d",
                     "/usr/lib/modules-load.d", "/lib/modules-load.d")  # fmt: skip


async def follow(context: SourceContext, emit: Emit) -> None:
    """Emit changes until cancelled; raises OSError when the kernel allows no more watches, or a directory hangs."""
    if not context.root.live:
        absent = Absent("a recorded machine does not change", AbsentReason.NOT_RECORDED)
        emit(Reading(outcome=absent, quiet=True))
        await asyncio.Event().wait()
    in_thread = partial(context.calls.run, "watch")
    watch = DirectoryWatch(lambda: _distinct(_watched(context.root, context.settings)), in_thread)
    async with watch.running():
        # a change after a source was read and before its directory was watched gave no event
        emit(Reading(outcome=Read(FileChangesRead()), wakes=_RULES_FILES))
        lost = 0
        while True:
            bursts = await watch.bursts(_RENEW)
            await in_thread(watch.renew)
            if bursts:
                changes = FileChangesRead(trees=tuple(_changes_of(burst, context.root) for burst in bursts))
                wakes = tuple(dict.fromkeys(name for tree in changes.trees for name in _WAKES.get(tree.tree, ())))
                emit(Reading(outcome=Read(changes), lost=watch.lost - lost, wakes=wakes))
                lost = watch.lost


def _depends_on(settings: Settings) -> object:
    return settings.files, settings.certificates, settings.policy, settings.baseline


def _watched(root: Root, settings: Settings) -> Iterator[Watched]:
    for key, file in (("policy", settings.policy.file), ("baseline", settings.baseline.file)):
        yield Watched(key=key, path=str(file.parent), only=frozenset({file.name}), settle=_RULES_SETTLE)
    for name in DIRECTORIES:
        yield Watched(key=f"modprobe.d {name}", path=_host(root, name))
    for name in _LOAD_DIRECTORIES:
        yield Watched(key=f"modules-load.d {name}", path=_host(root, name))
    if settings.files.enabled:
        yield from _module_files(root, settings)


def _module_files(root: Root, settings: Settings) -> Iterator[Watched]:
    settle = float(settings.files.settle)
    release = root.text(root.proc(b"sys", b"kernel", b"osrelease"))
    modules = os.fsdecode(root.modules)
    for directory in (settings.certificates.directory, settings.certificates.revoked):
        yield Watched(key=f"certificates {directory}", path=str(directory), settle=settle)
    yield Watched(key="dkms", path=_host(root, "/var/lib/dkms"), settle=settle)
    yield Watched(key="kernels", path=modules, settle=settle)
    yield from _other_kernels(modules, release, settle)
    if release and "/" not in release:
        yield Watched(key="modules", path=f"{modules}/{release}", recursive=True, settle=settle)


def _other_kernels(modules: str, running: str | None, settle: float) -> Iterator[Watched]:
    # depmod writes modules.dep last, when a kernel is installed.
    note_progress(modules)
    try:
        names = sorted(os.listdir(modules))
    except OSError:
        return
    for name in [name for name in names if name != running][:_MAX_KERNELS]:
        yield Watched(key=f"kernels {name}", path=f"{modules}/{name}", only=frozenset({"modules.dep"}), settle=settle)


def _distinct(watched: Iterable[Watched]) -> Iterable[Watched]:
    """Leave out what is the same directory: with a merged /usr, /lib/modprobe.d is /usr/lib/modprobe.d."""
    unique: dict[tuple[str, frozenset[str]], Watched] = {}
    for directory in watched:
        unique.setdefault((os.path.realpath(directory.path), directory.only), directory)
    return unique.values()


def _host(root: Root, path: str) -> str:
    return str(Path(os.fsdecode(root.rootfs), path.lstrip("/")))


def _changes_of(burst: Burst, root: Root) -> TreeChanges:
    tree = burst.watched.key.partition(" ")[0]
    path = burst.watched.path
    if burst.watched.only:
        path += "/" + min(burst.watched.only)
    below = path.removeprefix(os.fsdecode(root.modules))
    if tree in {"modules", "kernels"} and below != path:  # the packaged unit has it at another place
        path = "/lib/modules" + below
    return TreeChanges(
        tree=tree,
        path=safe_text(os.fsencode(path)),
        created=burst.created,
        written=burst.written,
        deleted=burst.deleted,
        moved=burst.moved,
        example=safe_text(os.fsencode(burst.example)),
    )


SOURCE = EventSource(
    name=SourceName.WATCH,
    run=follow,
    awaited=False,  # a tree of modules takes a while, and is read before as well
    interfaces=("inotify: /lib/modules, modprobe.d, modules-load.d, /var/lib/dkms, /etc/kmodmon",),
    remedy="raise fs.inotify.max_user_watches and fs.inotify.max_user_instances",
    depends_on=_depends_on,
)
