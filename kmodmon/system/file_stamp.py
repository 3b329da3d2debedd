"""Whether files are others than before, asked whenever it suits: nothing runs in between.

A stamp is the modification time, size and inode of what a path leads to. So a file that was renamed into place, and a
symbolic link that leads elsewhere now (as Kubernetes and certbot replace files), have another stamp too, on every file
system. What is rewritten in place within one tick of the file system's clock, with the same size, has the same.
"""

import os
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int, int] | None  # st_mtime_ns, st_size, st_ino; None: cannot be looked at


class FileStamps:
    """Files, and their stamps at the time at which they were added.

    A file is added before it is read: then what is written while it is read counts as a change.
    """

    def __init__(self, *files: Path) -> None:
        """Take the stamps of `files`."""
        self._stamps: dict[Path, Stamp] = {}
        self.add(*files)

    def add(self, *files: Path) -> None:
        """Take the stamps of further files."""
        self._stamps |= {file: _stamp(file) for file in files}

    def changed(self) -> bool:
        """Tell whether any of the files is another one now, has appeared or is gone."""
        return any(_stamp(file) != stamp for file, stamp in self._stamps.items())


def _stamp(file: Path) -> Stamp:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
