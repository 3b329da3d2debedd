"""The files of the loaded modules, examined by a short-lived process (`examiner/`): where they are, who signed them.

Interfaces: /lib/modules/RELEASE, /sys/module/NAME (srcversion, build-id), the certificates that `examiner/certificates`
lists, package databases. All but some kernel images in /boot are world readable. Absent: no module tree of the running
kernel (a container without /lib/modules, a host whose kernel package was removed since it booted).

The examiner is started when a module was loaded or a directory changed, at most once in `files.settle`, and every
`poll.files`; a file that has not changed costs it one stat().

World-writable files below /proc and /sys are searched here as well, for modules from outside the kernel tree only. A
file belongs to a module by the module's own directories (/sys/module/NAME and the drivers linked from it) or by its
name (/proc/NAME, /proc/driver/NAME, /sys/kernel/NAME), because nothing else in /proc and /sys tells the owner.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path
from types import MappingProxyType

from kmodmon.examiner.tree import FileError, HostTree, stamp_of
from kmodmon.lifecycle.inventory import Inventory
from kmodmon.sources.source import PollSource, SourceContext, SourceReader
from kmodmon.subjects.files import FilesState, ModuleFilesRead, load_paths
from kmodmon.subjects.module_file import ModuleFile, Stamp
from kmodmon.system.partial_import import absent
from kmodmon.system.root import Root
from kmodmon.types.outcome import Outcome
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import raw_bytes


def recalled(root: Root, files: FilesState, inventory: Inventory) -> ModuleFilesRead:
    """Return the results of an earlier examination that still hold: same load, and a file that has not changed."""
    stamps = _Stamps(HostTree(Path(os.fsdecode(root.rootfs)), Path(os.fsdecode(root.modules))))
    records = {
        name: record
        for name, module in inventory.modules.items()
        if (record := files.records.get(name)) is not None
        and record.instance == module.attributes.instance
        and record.file.stamp == stamps.of(record.file)
    }
    return ModuleFilesRead(
        files=MappingProxyType({name: record.file for name, record in records.items()}),
        instances=MappingProxyType({name: record.instance for name, record in records.items()}),
        hinted=load_paths(inventory),
        problems=files.problems,
        writable=files.writable,
        releases=files.releases,
        newer=files.newer,
    )


class _Stamps:
    """Reads stamps of files below the root of a host; each directory is resolved once."""

    def __init__(self, host: HostTree) -> None:
        self._host = host
        self._directories: dict[str, str] = {}

    def of(self, file: ModuleFile) -> Stamp | None:
        """Read the stamp of a module file; None: it does not exist."""
        if file.path is None:
            return None
        try:
            status = self._status(raw_bytes(file.path).decode("utf-8", "surrogateescape"))
        except (OSError, ValueError, FileError):
            return None
        return stamp_of(status)

    def _status(self, path: str) -> os.stat_result:
        directory, _, name = path.rpartition("/")
        if directory not in self._directories:
            self._directories[directory] = str(self._host.resolved(directory))
        status = os.lstat(f"{self._directories[directory]}/{name}")
        return os.lstat(self._host.resolved(path)) if stat.S_ISLNK(status.st_mode) else status


def examine(context: SourceContext, names: Collection[str]) -> Outcome[ModuleFilesRead]:
    """Examine the files of these modules now, for a command."""
    with absent(("ssl",)):  # asyncio does without, and a command speaks no TLS
        from kmodmon.sources.files_reader import FilesReader

    return FilesReader(context, names).examine_now()


def _make(context: SourceContext) -> SourceReader:
    from kmodmon.sources.files_reader import FilesReader  # imports asyncio and the examiner's client

    return FilesReader(context)


SOURCE = PollSource(
    name=SourceName.FILES,
    make=_make,
    every=lambda settings: settings.poll.files,
    threaded=True,
    depends_on=lambda settings: (settings.files, settings.certificates),  # a reader made anew examines every file again
    interfaces=("/lib/modules/<release>", "/boot/vmlinuz-<release>", "package databases", "EFI variables db and MOK"),
    remedy="mount the host's root file system where --path.rootfs says, and its /usr/lib/modules where --path.modules "
    "says; kernel images readable by root only need CAP_DAC_READ_SEARCH",
)
