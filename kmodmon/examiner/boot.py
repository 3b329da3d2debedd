"""Where the image of a kernel is. It may be for root only: then the daemon opens it, and hands over the descriptor."""

import os

from kmodmon.examiner.tree import FileError, HostTree, stamp_of
from kmodmon.subjects.module_file import Stamp


def image_paths(release: str) -> tuple[str, ...]:
    """Where distributions put the image of a release, the likeliest first."""
    boot = tuple(f"/boot/{name}-{release}" for name in ("vmlinuz", "vmlinux", "Image", "kernel"))
    tree = f"/lib/modules/{release}"
    return (*boot[:1], f"{tree}/vmlinuz", *boot[1:], f"{tree}/vmlinux", f"{tree}/Image")


def find_image(host: HostTree, release: str) -> str | None:
    """The host path of the kernel image of a release; None when there is none."""
    return next((path for path in image_paths(release) if host.is_file(path)), None)


def image_stamp(host: HostTree, path: str) -> Stamp | None:
    """Give the stamp of the image file, which changes when it is replaced; None when it cannot be read."""
    try:
        return stamp_of(os.lstat(host.resolved(path)))
    except (OSError, FileError):
        return None


def open_image(host: HostTree, release: str) -> tuple[str, int] | None:
    """Open the kernel image of a release for reading: its host path and descriptor; None: there is none to open."""
    path = find_image(host, release)
    try:
        return None if path is None else (path, host.open(path))
    except FileError:
        return None
