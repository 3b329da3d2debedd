"""Stock Debian kernels, made ready to boot and to compile modules for.

A kernel's modules become a second disk, mounted at /lib/modules/VERSION, so that one root file system serves all; its
initramfs is one static busybox, the virtio drivers and one script (guest/init).
"""

import functools
import gzip
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.tools import locked, on_path, unpack
from tests.vm import headers
from tests.vm.lab import (
    GUEST_FILES,
    LabError,
    build,
    directory,
    make_disk,
    need_host_tools,
    run,
    say,
    stamp,
    stamped,
    tree_mebibytes,
)
from tests.vm.suites import Suite

SUITES = ("bookworm", "trixie", "sid")
"""Whose kernels are tested on: Debian 12's, Debian 13's, and the newest that Debian has."""

_FLAVOUR = "cloud-amd64"
_DRIVERS = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")
# A kernel that was looked up this long ago is taken as the newest still, so that a warm run needs no network.
_FRESH_SECONDS = 7 * 24 * 3600.0
_RECIPE = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A Debian kernel made ready to boot."""

    suite: str
    release: str
    directory: Path

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Initramfs for :attr:`image`."""
        return self.directory / "initrd"

    @property
    def modules_disk(self) -> Path:
        """ext4 image of /lib/modules/VERSION."""
        return self.directory / "modules.img"

    @property
    def config(self) -> str:
        """Text of the configuration that the kernel was built with."""
        return (self.directory / "config").read_text()

    @property
    def headers(self) -> Path:
        """Tree to build modules against."""
        return self.directory / "headers/usr/src" / f"linux-headers-{self.release}"

    @property
    def stamp(self) -> str:
        """Digest of what this was made from."""
        return (self.directory / "stamp").read_text()


def kernel(suite: str) -> Kernel:
    """Give the newest kernel of a Debian suite, fetched and unpacked if need be."""
    need_host_tools()
    with locked("vm"):
        release = _newest_release(Suite(name=suite))
        target = directory("kernels") / release
        wanted = stamp(_RECIPE, GUEST_FILES / "init", release)
        if not stamped(target, wanted):
            build(target, wanted, functools.partial(_make_kernel, Suite(name=suite), release))
            _forget_older(release)
        return Kernel(suite=suite, release=release, directory=target)


def _newest_release(suite: Suite) -> str:
    mark = directory("kernels") / f"{suite.name}.newest"
    if mark.exists() and time.time() - mark.stat().st_mtime < _FRESH_SECONDS:
        return mark.read_text()
    try:
        suite.refresh()
        image = suite.depends(f"linux-image-{_FLAVOUR}", "linux-image-")
    except LabError as error:
        if not mark.exists():
            raise
        say(f"no network? going on with the kernel of {suite.name} that is here ({error})")
        return mark.read_text()
    if image is None:
        raise LabError(f"there is no linux-image-{_FLAVOUR} in Debian {suite.name}")
    mark.write_text(image.removeprefix("linux-image-"))
    return mark.read_text()


def _forget_older(release: str) -> None:
    kept = {mark.read_text() for mark in directory("kernels").glob("*.newest")} | {release}
    for old in directory("kernels").iterdir():
        if old.is_dir() and old.name not in kept:
            say(f"{old.name} is the newest of no suite any more")
            shutil.rmtree(old)


def _make_kernel(suite: Suite, release: str, target: Path) -> None:
    suite.refresh()
    with tempfile.TemporaryDirectory(dir=directory()) as scratch:
        image = Path(scratch) / "image"
        unpack(suite.download(_image_packages(suite, release), Path(scratch) / "debs"), image)
        unpack(suite.download(_header_packages(suite, release), Path(scratch) / "header-debs"), target / "headers")
        modules = _modules_tree(image, release)
        _take_out(image, modules, release, target)
        run("depmod", "-b", image, release)
        _make_initrd(image, release, target / "initrd")
        make_disk(target / "modules.img", modules, mebibytes=tree_mebibytes(modules) * 5 // 4 + 64, label="modules")
    headers.settle(suite, target / "headers", release)


def _image_packages(suite: Suite, release: str) -> list[str]:
    # From 7.x on the image package is empty and depends on the packages that hold its parts.
    image = f"linux-image-{release}"
    literal = release.replace("+", "[+]")
    parts = (suite.depends(image, f"{kind}-{literal}") for kind in ("linux-binary", "linux-modules", "linux-base"))
    return [image, *(part for part in parts if part is not None)]


def _header_packages(suite: Suite, release: str) -> list[str]:
    package = f"linux-headers-{release}"
    others = (suite.depends(package, "linux-headers-.*-common$"), suite.depends(package, "linux-kbuild-"))
    return [package, *(other for other in others if other is not None)]


def _modules_tree(image: Path, release: str) -> Path:
    # Debian moved /lib to /usr/lib; depmod -b and modprobe -d look in /lib.
    if not (image / "lib/modules").exists():
        (image / "lib").mkdir(exist_ok=True)
        (image / "lib/modules").symlink_to("../usr/lib/modules")
    return (image / "lib/modules" / release).resolve()


def _take_out(image: Path, modules: Path, release: str, target: Path) -> None:
    # Before 7.x the kernel lies in /boot, since then beside its modules.
    for name in ("vmlinuz", "config"):
        in_boot = image / "boot" / f"{name}-{release}"
        shutil.copyfile(in_boot if in_boot.exists() else modules / name, target / name)
    for name in ("build", "source", "vmlinuz", "config", "System.map"):
        (modules / name).unlink(missing_ok=True)


def _make_initrd(image: Path, release: str, initrd: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for name in ("bin", "ko", "proc", "sys", "dev", "root"):
            (tree / name).mkdir()
        busybox = on_path("busybox")
        if busybox is None:
            raise LabError("no busybox on this machine")
        shutil.copy(busybox, tree / "bin/busybox")
        (tree / "bin/sh").symlink_to("busybox")
        shutil.copy(GUEST_FILES / "init", tree / "init")
        (tree / "drivers").write_text("".join(f"{name}\n" for name in _copy_drivers(image, release, tree / "ko")))
        names = "\n".join(str(path.relative_to(tree)) for path in [tree, *sorted(tree.rglob("*"))])
        archive = tree.with_suffix(".cpio")
        run("cpio", "--quiet", "-o", "-H", "newc", "-F", archive, cwd=tree, stdin=names.encode())
        initrd.write_bytes(gzip.compress(archive.read_bytes(), compresslevel=1))
        archive.unlink()


def _copy_drivers(image: Path, release: str, into: Path) -> list[str]:
    # In the order in which they have to be loaded; a driver that is built in shows as "builtin" and is left out.
    unpackers = {".xz": ("xz", "-dc"), ".zst": ("zstd", "-qdc")}
    order: list[str] = []
    for driver in _DRIVERS:
        for line in run("modprobe", "-S", release, "-d", image, "--show-depends", driver).splitlines():
            kind, path, *_ = line.split()
            name = Path(path).name.partition(".ko")[0] + ".ko"
            if kind != "insmod" or name in order:
                continue
            order.append(name)
            run("sh", "-c", 'exec "$@" >"$0"', into / name, *unpackers.get(Path(path).suffix, ("cat",)), path)
    return order
