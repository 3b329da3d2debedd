"""Writing a file in one step: a reader sees the old content or the new, never a part of it."""

import os
import tempfile
from pathlib import Path


def write_file(path: Path, content: bytes, *, replace: bool = True, sync: bool = True) -> None:
    """Write a file that everybody may read (0644), by way of a temporary file beside it; raises OSError.

    `replace` False: raises FileExistsError when there is a file of that name. `sync`: the content is on disk before
    the file has its name, so that it is not empty after a crash of the kernel.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(fd, 0o644)
            if sync:
                os.fsync(fd)
        if replace:
            os.replace(name, path)
        else:
            os.link(name, path)  # unlike rename(2), it fails when the name has appeared meanwhile
    finally:
        Path(name).unlink(missing_ok=True)
