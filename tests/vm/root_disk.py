"""The guests' root file system: one Debian 12 that serves every kernel.

mmdebstrap makes the tree and ``mke2fs -d`` the disk, so nothing is loop-mounted. What goes in beyond Debian's packages
is the control channel (guest/agent.py), and a few units are masked that would wake up by themselves.
"""

import shutil
from pathlib import Path

from tests.tools import locked
from tests.vm.lab import GUEST_FILES, build, directory, make_disk, need_host_tools, run, stamp
from tests.vm.suites import Suite

_SUITE = "bookworm"
_PACKAGES = "systemd,systemd-sysv,udev,dbus,python3,kmod,curl,iproute2,procps,strace"
# Nothing that wakes up by itself, or that boot would wait for without need.
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "ldconfig.service",
    "serial-getty@ttyS0.service",
    "systemd-binfmt.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-update-utmp.service",
)
_OURS = ("agent.py", "agent.service")
_RECIPE = "1"


def root_disk() -> Path:
    """Give the guests' root file system, built if need be."""
    need_host_tools()
    with locked("vm"):
        wanted = stamp(_RECIPE, _SUITE, _PACKAGES, *_MASKED, *(GUEST_FILES / name for name in _OURS))
        return build(directory() / "root", wanted, _make) / "root.img"


def _make(target: Path) -> None:
    suite = Suite(name=_SUITE)
    suite.refresh()
    tree = target / "tree"
    leave_out = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale")]
    include = f"--include={_PACKAGES}"
    run("mmdebstrap", "--quiet", "--variant=minbase", include, *leave_out, _SUITE, tree, suite.sources)
    _furnish(tree)
    make_disk(target / "root.img", tree, mebibytes=4096, label="root")
    shutil.rmtree(tree)


def _furnish(tree: Path) -> None:
    # The control channel, an address book, and no more.
    units = tree / "etc/systemd/system"
    (units / "sysinit.target.wants").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(GUEST_FILES / "agent.py", tree / "usr/local/lib/guest-agent.py")
    shutil.copyfile(GUEST_FILES / "agent.service", units / "guest-agent.service")
    (units / "sysinit.target.wants/guest-agent.service").symlink_to("../guest-agent.service")
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (tree / "etc/hostname").write_text("guest\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    (tree / "etc/machine-id").write_text("6b6d6f646d6f6e0000000000000000ff\n")
    for name in ("etc/fstab", "etc/resolv.conf"):
        (tree / name).unlink(missing_ok=True)
        (tree / name).write_text("")
    for name in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(tree / name, ignore_errors=True)
