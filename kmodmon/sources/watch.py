"""Directories that bear on modules, watched: a change has the source read that can tell what it means.

Interface: inotify(7), through watchdog. The module tree is watched with all its directories (a stock kernel has a few
hundred), the others by themselves. What happens until a directory was quiet for `files.settle` is one observation, so a
kernel upgrade that writes five thousand files is one event and one examination.

Needs: fs.inotify.max_user_watches and max_user_instances large enough. Bind mounts (containers, a sandbox) do; an
overlay or network file system that is changed from elsewhere tells nothing, and is found changed at the next poll.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from kmodmon.config.settings import Settings
from kmodmon.kernel.modprobe_d import DIRECTORIES
from kmodmon.sources.source import Emit, EventSource, Reading, SourceContext
from kmodmon.subjects.file_changes import FileChangesRead, TreeChanges
from kmodmon.system.file_watch import Burst, DirectoryWatch, Watched
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, AbsentReason, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text

_RULES_SETTLE = 0.3  # seconds: an edit is to be in force within two
_PATIENCE = 30.0
_MOST_KERNELS = 32
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
    """Watch until cancelled; raises OSError when the kernel allows no more watches."""
    if not context.root.live:
        absent = Absent("a recorded machine does not change", AbsentReason.NOT_RECORDED)
        emit(Reading(outcome=absent, quiet=True))
        await asyncio.Event().wait()
    watch = DirectoryWatch(lambda: _distinct(_watched(context.root, context.settings)))
    try:
        await asyncio.to_thread(watch.start)
        # what changed after it was read and before it was watched
        emit(Reading(outcome=Read(FileChangesRead()), wakes=_RULES_FILES))
        lost = 0
        while True:
            bursts = await watch.bursts(_PATIENCE)
            await asyncio.to_thread(watch.renew)
            if bursts:
                seen = FileChangesRead(trees=tuple(_touched(burst) for burst in bursts))
                wakes = tuple(dict.fromkeys(name for tree in seen.trees for name in _WAKES.get(tree.tree, ())))
                emit(Reading(outcome=Read(seen), lost=watch.lost - lost, wakes=wakes))
                lost = watch.lost
    finally:
        await asyncio.shield(asyncio.to_thread(watch.stop))


def _depends_on(settings: Settings) -> object:
    return settings.files, settings.certificates, settings.policy, settings.baseline


def _watched(root: Root, settings: Settings) -> Iterator[Watched]:
    """The directories, those first whose changes are urgent: walking the module tree takes a moment."""
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
    yield from _others(modules, release, settle)
    if release and "/" not in release:
        yield Watched(key="modules", path=f"{modules}/{release}", recursive=True, settle=settle)


def _others(modules: str, running: str | None, settle: float) -> Iterator[Watched]:
    # Another kernel counts as installed when depmod has written its table, which it does after all else.
    try:
        names = sorted(os.listdir(modules))
    except OSError:
        return
    for name in [name for name in names if name != running][:_MOST_KERNELS]:
        yield Watched(key=f"kernels {name}", path=f"{modules}/{name}", only=frozenset({"modules.dep"}), settle=settle)


def _distinct(watched: Iterator[Watched]) -> Iterator[Watched]:
    """On a merged /usr, /lib/modprobe.d and /usr/lib/modprobe.d are one directory."""
    seen: set[tuple[str, frozenset[str]]] = set()
    for one in watched:
        place = (os.path.realpath(one.path), one.only)
        if place not in seen:
            seen.add(place)
            yield one


def _host(root: Root, path: str) -> str:
    return str(Path(os.fsdecode(root.rootfs), path.lstrip("/")))


def _touched(burst: Burst) -> TreeChanges:
    tree = burst.watched.key.partition(" ")[0]
    path = burst.watched.path
    if burst.watched.only:
        path += "/" + min(burst.watched.only)
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
    interfaces=("inotify: /lib/modules, modprobe.d, modules-load.d, /var/lib/dkms, /etc/kmodmon",),
    remedy="raise fs.inotify.max_user_watches and fs.inotify.max_user_instances",
    depends_on=_depends_on,
)
