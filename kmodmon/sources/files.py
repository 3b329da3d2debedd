"""The files of the loaded modules, examined by a short-lived process (`examiner/`): where they are, who signed them.

Interfaces: /lib/modules/RELEASE, /sys/module/NAME (srcversion, build-id), the certificates that `examiner/certificates`
lists, package databases. All but some kernel images in /boot are world readable. Absent: no module tree of the running
kernel (a container without /lib/modules, a host whose kernel package was removed since it booted).

The examiner is started when a module was loaded or a directory changed, at most once in `files.settle`, and every
`poll.files`; a file that is still the one it was costs it one look at its inode.

What everybody may write below /proc and /sys is looked for here as well, of modules from outside the kernel tree only:
it is tied to a module by its own directories (/sys/module/NAME and the drivers that link from it) and by its name
(/proc/NAME, /proc/driver/NAME, /sys/kernel/NAME), because nothing else in /proc and /sys tells whose a file is.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path
from types import MappingProxyType

from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.lifecycle.inventory import Inventory
from kmodmon.sources.source import PollSource, Reading, SourceContext, SourceReader
from kmodmon.subjects.files import FilesState, ModuleFilesRead, load_paths
from kmodmon.subjects.module_file import ModuleFile, Stamp
from kmodmon.system.root import Root
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import raw_bytes


def recalled(root: Root, files: FilesState, inventory: Inventory) -> ModuleFilesRead:
    """What an earlier examination said of these very loads, as far as their files have not changed since."""
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
    """Stamps of files below the root of a host, as they are now; directories are found once."""

    def __init__(self, host: HostTree) -> None:
        self._host = host
        self._directories: dict[str, str] = {}

    def of(self, file: ModuleFile) -> Stamp | None:
        """The stamp of a module file; None: there is none."""
        if file.path is None:
            return None
        try:
            status = self._status(raw_bytes(file.path).decode("utf-8", "surrogateescape"))
        except (OSError, ValueError, FileError):
            return None
        return Stamp(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            mtime_nsec=status.st_mtime_ns,
            ctime_nsec=status.st_ctime_ns,
        )

    def _status(self, path: str) -> os.stat_result:
        directory, _, name = path.rpartition("/")
        if directory not in self._directories:
            self._directories[directory] = str(self._host.resolved(directory))
        status = os.lstat(f"{self._directories[directory]}/{name}")
        return os.lstat(self._host.resolved(path)) if stat.S_ISLNK(status.st_mode) else status


def examine(context: SourceContext, names: Collection[str]) -> Reading:
    """Examine the files of these modules now, for a command."""
    from kmodmon.sources.files_reader import FilesReader

    return FilesReader(context, names)()


def _make(context: SourceContext) -> SourceReader:
    from kmodmon.sources.files_reader import FilesReader  # asyncio and all that talks to the examiner: only to examine

    return FilesReader(context)


SOURCE = PollSource(
    name=SourceName.FILES,
    make=_make,
    every=lambda settings: settings.poll.files,
    threaded=True,
    depends_on=lambda settings: (settings.files, settings.certificates),  # a reader made anew examines every file again
    interfaces=("/lib/modules/<release>", "/boot/vmlinuz-<release>", "package databases", "EFI variables db and MOK"),
    remedy="mount the host's root file system where --path.rootfs says; kernel images readable by root only need "
    "CAP_DAC_READ_SEARCH",
)
