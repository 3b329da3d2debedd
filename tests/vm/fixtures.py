"""The test modules of ``modules/`` compiled for one kernel, and patched copies that no compiler makes (patch.py)."""

import functools
import os
import platform
import shutil
from pathlib import Path

from tests.tools import locked, on_path
from tests.vm import patch
from tests.vm.kernels import Kernel
from tests.vm.lab import HERE, LabError, build, make_disk, need_host_tools, run, say, stamp

_SOURCES = HERE / "modules"
# Always the same size: the disk is exchanged under saved guests (Guest._mount_modules).
_DISK_MEBIBYTES = 16


def module_files(kernel: Kernel) -> Path:
    """Give the directory of the test modules' .ko files for `kernel`, built if need be."""
    need_host_tools()
    with locked("vm"):
        wanted = stamp(kernel.stamp, _SOURCES, Path(__file__), Path(patch.__file__))
        return build(kernel.directory / "ko", wanted, functools.partial(_make, kernel))


def module_disk(kernel: Kernel) -> Path:
    """Give an ext4 image of the same files, to be plugged into a guest."""
    return module_files(kernel) / "modules.img"


def _make(kernel: Kernel, target: Path) -> None:
    if platform.machine() != "x86_64":
        raise LabError(f"the test modules are compiled for x86_64, and this machine is {platform.machine()}")
    work = target / "work"
    shutil.copytree(_SOURCES, work)
    run("make", *_settings(), f"-j{os.cpu_count()}", "-C", kernel.headers, f"M={work}", "modules")
    for module in work.glob("*.ko"):
        run("strip", "--strip-debug", module)
        shutil.copyfile(module, target / module.name)
    _patch(target)
    _sign_with_unknown_key(kernel, target, work)
    shutil.rmtree(work)
    make_disk(target.with_suffix(".img"), target, mebibytes=_DISK_MEBIBYTES, label="test-modules")
    target.with_suffix(".img").rename(target / "modules.img")


def _settings() -> tuple[str, ...]:
    compiler = on_path("gcc-12") or "gcc"
    settings = [
        f"CC={compiler}",
        # gpl_user, ns_user and bad_symbol_mod are wrong on purpose: that is for the kernel to say.
        "KBUILD_MODPOST_WARN=1",
        "CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS=y",
        # BTF would need pahole and the kernel's vmlinux.
        "CONFIG_DEBUG_INFO_BTF_MODULES=",
    ]
    try:
        run(compiler, "-fmin-function-alignment=16", "-E", "-x", "c", "/dev/null")
    except LabError:
        # Newer suites' headers ask for this flag, which their compiler has and an older one does not.
        settings.append("CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=")
    return tuple(settings)


def _patch(target: Path) -> None:
    def module(name: str) -> bytes:
        return (target / f"{name}.ko").read_bytes()

    for copy, (original, change) in patch.PATCHES.items():
        changed = change(module(original))
        if changed is not None:
            (target / f"{copy}.ko").write_bytes(changed)
    room = module(patch.ROOM.decode())
    for copy, name in patch.ODD_NAMES.items():
        (target / f"{copy}.ko").write_bytes(patch.named(room, name))


def _sign_with_unknown_key(kernel: Kernel, target: Path, work: Path) -> None:
    key, certificate = work / "key.pem", work / "certificate.pem"
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=key that no kernel knows")
    run("openssl", *new, "-keyout", key, "-out", certificate)
    sign_file = next(iter(kernel.directory.glob("headers/usr/lib/linux-kbuild-*/scripts/sign-file")), None)
    if sign_file is None:
        say(f"{kernel.release}: no sign-file among the headers, hence no signed_wrong.ko")
        return
    run(sign_file, "sha256", key, certificate, target / "hello_unsigned.ko", target / "signed_wrong.ko")
