"""A host on which a file is replaced by a FIFO without a writer: whoever opens it to read waits until somebody writes.

That is what a pseudo-file does whose lock is held for ever, except that a thread waiting in the kernel's lock cannot be
killed. Which files the sources open is not listed here: a reading of each source is recorded.
"""

import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kmodmon.config.settings import Settings, build_settings
from kmodmon.config.values import Seconds
from kmodmon.sources.registry import POLLED
from kmodmon.sources.source import SourceContext
from kmodmon.sources.timed_call import Calls
from kmodmon.system.clock import SystemClock
from kmodmon.system.root import Root
from kmodmon.types.source_name import SourceName

_TREE = Path(__file__).parent / "trees/debian12-6.1-x86_64"
_RELEASE = "6.1.0-56-cloud-amd64"
_EFI = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
# What the recorded tree has not, because it was a virtual machine without firmware, or because only root reads it.
_MORE: Mapping[str, bytes] = {
    "proc/kallsyms": b"ffffffff81000000 T _text\n",
    "proc/vmallocinfo": b"0x00000000a-0x00000000b   20480 load_module+0x62f/0x1990 pages=4 vmalloc N0=4\n",
    "proc/uptime": b"500.25 900.00\n",
    "proc/sys/kernel/hostname": b"db1\n",
    "sys/kernel/uevent_seqnum": b"4711\n",
    "sys/kernel/livepatch/fix/enabled": b"1\n",
    "sys/kernel/livepatch/fix/transition": b"0\n",
    "sys/kernel/livepatch/fix/replace": b"0\n",
    "sys/kernel/tracing/available_filter_functions": b"schedule\n",
    "sys/kernel/tracing/dyn_ftrace_total_info": b"37695 pages:178 groups: 32\n",
    "sys/kernel/debug/kprobes/list": b"",
    f"sys/firmware/efi/efivars/SecureBoot-{_EFI}": b"\6\0\0\0\1",
    f"sys/firmware/efi/efivars/SetupMode-{_EFI}": b"\6\0\0\0\0",
    "sys/fs/pstore/dmesg-ramoops-0": b"Panic#1 Part1\n<4>[  100.000000] Kernel panic - not syncing: Fatal exception\n",
    f"boot/config-{_RELEASE}": b"CONFIG_MODULES=y\n",
    "etc/modprobe.d/local.conf": b"blacklist pcspkr\n",
    "etc/kmodmon/policy.toml": b"",
    "etc/kmodmon/baseline.toml": b"",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedHost:
    """A recorded machine that counts as a live one, and its settings."""

    tree: Path
    settings: Settings

    @property
    def root(self) -> Root:
        """Its interfaces."""
        tree = os.fsencode(self.tree)
        return Root(
            procfs=tree + b"/proc",
            sysfs=tree + b"/sys",
            rootfs=tree,
            tracefs=tree + b"/sys/kernel/tracing",
            securityfs=tree + b"/sys/kernel/security",
            debugfs=tree + b"/sys/kernel/debug",
            dev=tree + b"/dev",
            modules=tree + b"/lib/modules",
            efivars=tree + b"/sys/firmware/efi/efivars",
            pstore=tree + b"/sys/fs/pstore",
            kallsyms=tree + b"/proc/kallsyms",
        )

    def context(self, deadline: float) -> SourceContext:
        """What its sources are made from."""
        return SourceContext(root=self.root, settings=self.settings, clock=SystemClock(), calls=Calls(deadline))

    @contextmanager
    def without_answer(self, *paths: Path) -> Iterator[None]:
        """Replace files by FIFOs; afterwards they answer again, also those who wait."""
        contents = {path: path.read_bytes() for path in paths}
        for path in paths:
            path.unlink()
            os.mkfifo(path)
        try:
            yield
        finally:
            for path, content in contents.items():
                fresh = path.with_name(path.name + ".new")
                fresh.write_bytes(content)
                pipe = path.with_name(path.name + ".pipe")
                path.rename(pipe)
                fresh.rename(path)
                release(pipe)
                pipe.unlink()


def release(pipe: Path) -> None:
    """Let everybody go on who waits for a FIFO: what they read is empty."""
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def make_host(place: Path) -> BlockedHost:
    """Make one with every file that a source reads."""
    tree = place / "host"
    shutil.copytree(_TREE, tree, symlinks=True)
    (tree / "manifest.json").unlink()
    for name, content in _MORE.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    (tree / "dev").mkdir()
    settings = build_settings(
        {
            "files.enabled": False,  # its process has tests of its own
            "parameters.read_timeout": Seconds(0.05),
            "policy.file": tree / "etc/kmodmon/policy.toml",
            "baseline.file": tree / "etc/kmodmon/baseline.toml",
        }
    )
    return BlockedHost(tree=tree, settings=settings)


_recording: list[set[str]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _recording and isinstance(arguments[0], str | bytes):
        _recording[-1].add(os.fsdecode(arguments[0]))


sys.addaudithook(_audit)


def opened(host: BlockedHost) -> Mapping[Path, frozenset[SourceName]]:
    """Every file of the host that a poll source opens, and the sources that open it."""
    files: defaultdict[Path, set[SourceName]] = defaultdict(set)
    context = host.context(deadline=60)
    for source in POLLED:
        _recording.append(set())
        try:
            source.make(context)()
        finally:
            paths = _recording.pop()
        for path in map(Path, paths):
            if path.is_relative_to(host.tree) and path.is_file():
                files[path].add(source.name)
    return {path: frozenset(sources) for path, sources in sorted(files.items())}


def kinds(files: Mapping[Path, frozenset[SourceName]]) -> Mapping[str, Path]:
    """One file of each kind: `sys/module/NAME/version` is one kind for all modules, and so are all parameters."""
    found: dict[str, Path] = {}
    for path in files:
        kind = re.sub(r"/sys/module/[^/]+/(parameters/[^/]+$)?", "/sys/module/*/", str(path))
        found.setdefault(kind, path)
    return found
