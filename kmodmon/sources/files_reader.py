"""The examination of module files: asks the examiner's process about the loaded modules (`files` has the facts).

It is separate from `files` because a command that gets the results from a daemon needs none of its imports.
"""

import asyncio
import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kmodmon.config.settings import Settings
from kmodmon.examiner.client import Examination, Examiner
from kmodmon.examiner.protocol import ExamineRequest, ExaminerError, WantedModule
from kmodmon.kernel.module_name import name_of_file
from kmodmon.kernel.release import is_newer
from kmodmon.kernel.sysmodule import sysfs_name
from kmodmon.lifecycle.inventory import Module
from kmodmon.sources.modules import ModulesReader
from kmodmon.sources.source import Reading, SourceContext
from kmodmon.sources.timed_call import HungError
from kmodmon.subjects.files import ModuleFilesRead
from kmodmon.subjects.module_file import ModuleFile, same_build
from kmodmon.system.descriptors import raise_if_none_left
from kmodmon.system.progress import note_progress
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Outcome, Read, switched_off
from kmodmon.types.text import raw_bytes, safe_text

_MOST_HINTS = 64  # files outside the module tree
_MOST_ENTRIES = 2000  # files and directories searched for one module and directory
_MOST_WRITABLE = 32  # paths kept of one module
_DEEPEST = 4  # levels of directories


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """The state of the host for one examination."""

    release: str  # of the running kernel
    modules: Mapping[str, Module]  # loaded ones, by name
    releases: tuple[str, ...]  # installed, those with a modules.dep
    writable: Mapping[str, tuple[str, ...]]  # world-writable paths, by module


class FilesReader:
    """Examines the files of the loaded modules, or of `only` these; the examiner caches its results by file."""

    def __init__(self, context: SourceContext, only: Collection[str] | None = None) -> None:
        self._root = context.root
        self._settings = context.settings
        self._paths = context.module_paths
        self._only = only
        self._calls = context.calls
        self._list = ModulesReader(context.root)
        self._examiner: Examiner | None = None
        self._last = float("-inf")

    def __call__(self) -> Reading:
        """Examine once, without a running loop (for a command)."""
        return asyncio.run(self.awaited())

    def examine_now(self) -> Outcome[ModuleFilesRead]:
        """Examine once, without a running loop."""
        return asyncio.run(self.examine())

    async def awaited(self) -> Reading:
        """Examine once."""
        outcome = await self.examine()
        return Reading(outcome=outcome, unreadable=len(outcome.value.problems) if isinstance(outcome, Read) else 0)

    async def examine(self) -> Outcome[ModuleFilesRead]:
        """Examine once: absent when switched off or without a module tree, failed when the examiner does not run."""
        if not self._settings.files.enabled:
            return switched_off("files.enabled")
        # Modules are often loaded in dozens: those that are loaded during the pause are examined together.
        await asyncio.sleep(max(0.0, self._last + self._settings.files.settle - time.monotonic()))
        try:
            context = await self._calls.run("files", self._read_context)
            if not isinstance(context, Read):
                return context
            return Read(await self._examined(context.value))
        except HungError as error:
            return Failed(error.why, error.errno, hung=True)
        except ExaminerError as error:
            return Failed(str(error))
        finally:
            self._last = time.monotonic()

    async def _examined(self, context: _Context) -> ModuleFilesRead:
        hinted = self._hints(context)
        examiner = self._examiner = self._examiner or Examiner(_request(self._root, self._settings, context.release))
        wanted = [
            WantedModule(name=name, srcversion=module.attributes.srcversion, build_id=module.attributes.build_id)
            for name, module in context.modules.items()
            if self._only is None or name in self._only
        ]
        examination = await examiner.examine(wanted, dict.fromkeys(hinted.values())) if wanted else Examination()
        return ModuleFilesRead(
            files=MappingProxyType(dict(_files(context, examination, hinted))),
            instances=MappingProxyType({name: module.attributes.instance for name, module in context.modules.items()}),
            hinted=MappingProxyType(hinted),
            problems=examination.problems,
            writable=context.writable,
            releases=context.releases,
            newer=tuple(release for release in context.releases if is_newer(release, context.release)),
        )

    def _hints(self, context: _Context) -> dict[str, str]:
        """Files outside the module tree from which loaders loaded modules, by module."""
        trees = (f"/lib/modules/{context.release}/", f"/usr/lib/modules/{context.release}/")
        hints = {
            name: path
            for name, path in self._paths().items()
            if name in context.modules and name_of_file(path) is not None and not path.startswith(trees)
        }
        return dict(list(hints.items())[:_MOST_HINTS])

    def _read_context(self) -> Outcome[_Context]:
        release = self._root.text(self._root.proc(b"sys", b"kernel", b"osrelease"))
        if not release or "/" in release or release.startswith("."):
            return Failed("/proc/sys/kernel/osrelease cannot be read")
        tree = self._root.modules + b"/" + os.fsencode(release)
        if not (self._root.exists(tree + b"/modules.dep") or self._root.exists(tree + b"/kernel")):
            return Absent(f"{os.fsdecode(tree)}: there is no module tree of the running kernel")
        outcome = self._list.read_list()
        if not isinstance(outcome, Read):
            return outcome
        modules = outcome.value.modules
        writable = {name: tuple(self._writable(name)) for name, module in modules.items() if "O" in module.taint}
        return Read(
            _Context(
                release=release,
                modules=modules,
                releases=self._releases(),
                writable=MappingProxyType({name: paths for name, paths in writable.items() if paths}),
            )
        )

    def _releases(self) -> tuple[str, ...]:
        match self._root.directories(self._root.modules):
            case Read(names):
                tables = ((name, b"/".join((self._root.modules, name, b"modules.dep"))) for name in names)
                return tuple(safe_text(name) for name, table in tables if self._root.exists(table))
            case _:
                return ()

    def _writable(self, name: str) -> Iterator[str]:
        """World-writable files of a module, by their paths on the host; parameters are read by another source."""
        raw = raw_bytes(name)
        directory = sysfs_name(name)
        if directory is None:
            return
        own = self._root.sys(b"module", directory)
        places = [own, *_drivers(own)]
        if raw not in (b"", b".", b"..") and b"/" not in raw and not raw.isdigit():  # /proc/1 is a process
            places += [self._root.proc(raw), self._root.proc(b"driver", raw), self._root.sys(b"kernel", raw)]
        left = _MOST_WRITABLE
        for place in places:
            for path in _world_writable(place):
                if not path.startswith(own + b"/parameters/"):
                    yield self._shown(path)
                    left -= 1
                    if not left:
                        return

    def _shown(self, path: bytes) -> str:
        for mount, name in ((self._root.procfs, "/proc"), (self._root.sysfs, "/sys")):
            if path.startswith(mount + b"/"):
                return name + safe_text(path[len(mount) :])
        return safe_text(path)


def _request(root: Root, settings: Settings, release: str) -> ExamineRequest:
    """The directories and limits of this host, for the examiner."""
    return ExamineRequest(
        release=release,
        rootfs=os.fsdecode(root.rootfs),
        sysfs=os.fsdecode(root.sysfs),
        modules_directory=os.fsdecode(root.modules),
        efivars=os.fsdecode(root.efivars),
        certificates=(str(settings.certificates.directory),),
        revoked=(str(settings.certificates.revoked),),
        max_bytes=int(settings.files.max_bytes),
    )


def _files(context: _Context, examination: Examination, hinted: Mapping[str, str]) -> Iterator[tuple[str, ModuleFile]]:
    """The file of each module: the tree's, or the one that its loader named if that is the loaded one."""
    for name, module in context.modules.items():
        file = examination.files.get(name)
        named = examination.files.get(hinted.get(name, ""))
        if named is not None and _is_better(named, file, module):
            file = replace(named, name=name)
        if file is not None:
            yield name, file


def _is_better(named: ModuleFile, file: ModuleFile | None, module: Module) -> bool:
    """Whether the file that a loader named matches the loaded module better than the file of the module tree."""
    is_named = same_build(module.attributes, named)
    if named.stamp is None or is_named is False:
        return False
    if file is None or file.path is None:
        return True
    is_file = same_build(module.attributes, file)
    return is_file is False or (is_named is True and is_file is None)


def _drivers(own: bytes) -> Iterator[bytes]:
    """Directories of the drivers that the module registered (links in /sys/module/NAME/drivers)."""
    try:
        names = os.listdir(own + b"/drivers")
    except OSError as error:
        raise_if_none_left(error)
        return
    for name in names:
        yield os.path.realpath(own + b"/drivers/" + name)


def _world_writable(place: bytes) -> Iterator[bytes]:
    """Files below a directory (or the file itself) that others may write; links are not followed."""
    pending = [(place, 0)]
    entries = 0
    while pending:
        path, depth = pending.pop()
        entries += 1
        if entries > _MOST_ENTRIES:
            return
        note_progress(path)
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode) and depth < _DEEPEST:
                pending += [(path + b"/" + name, depth + 1) for name in os.listdir(path)]
        except OSError as error:
            raise_if_none_left(error)
            continue  # it is gone, or not permitted
        if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
            yield path
