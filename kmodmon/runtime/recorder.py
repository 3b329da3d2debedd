"""Copying a host's kernel interfaces into a directory, redacted, so that --root can read them.

Copied, as plain files, are the interfaces of modules, parameters, taint and posture. Not copied are module files,
firmware variables, modprobe.d, the log, and the interfaces that are compared to find hidden modules. What cannot be
read is in the manifest with its errno, and fails with the same errno when the tree is read. Addresses are replaced by
zeros, values of secret parameters removed, and only arguments that concern modules are kept of the command line; names
of modules are kept.
"""

import errno
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from kmodmon.config.sections import ParameterSettings
from kmodmon.kernel.kconfig import parse_kconfig
from kmodmon.kernel.parameter import REDACTED
from kmodmon.kernel.sysctl import COUNTERS, HARDENING
from kmodmon.sources.deadline import DeadlineReader
from kmodmon.sources.parameters import PARAMETER, is_hidden
from kmodmon.sources.timed_call import DEADLINE, HungError, call_in_time
from kmodmon.system.root import MANIFEST, PAGE, TABLE, Root
from kmodmon.types.error import KmodmonError, ParseError
from kmodmon.types.outcome import Absent, Failed, Outcome, Read
from kmodmon.types.text import safe_text

T = TypeVar("T")

_KERNEL_FILES = ("tainted", "modules_disabled", "modprobe", "printk_devkmsg", "osrelease", "arch")
_ATTRIBUTES = (b"initstate", b"coresize", b"initsize", b"refcnt", b"taint", b"srcversion", b"version")
_KEPT_ARGUMENTS = re.compile(
    rb"(?:nomodule|lockdown|lsm|module_blacklist|module\.sig_enforce|modprobe\.blacklist|panic_on_taint)(?:=.*)?"
)
_OPTION = re.compile(rb"(?:# )?(CONFIG_[A-Za-z0-9_]+)")
_ADDRESS = re.compile(rb"0x[0-9a-f]{8,16}")
_BTIME = re.compile(rb"^btime [0-9]+$", re.MULTILINE)
_NO_BOOT = b"00000000-0000-0000-0000-000000000000\n"

Redaction: TypeAlias = Callable[[bytes], bytes]


def _without_addresses(raw: bytes) -> bytes:
    return _ADDRESS.sub(lambda address: b"0x" + b"0" * (len(address[0]) - 2), raw)


def _kept_arguments(raw: bytes) -> bytes:
    # Arguments that do not concern modules (root=UUID=…, tokens for other programs) are left out.
    return b" ".join(word for word in raw.split() if _KEPT_ARGUMENTS.fullmatch(word)) + b"\n"


def _kept_options(raw: bytes) -> bytes:
    # Of some ten thousand options only those that kmodmon reads.
    try:
        kept = parse_kconfig(raw).values
    except ParseError:
        return raw
    return b"".join(
        line + b"\n" for line in raw.splitlines() if (option := _OPTION.match(line)) and option[1].decode() in kept
    )


@dataclass(slots=True)
class Recorder:
    """Copies the interfaces of a host into the directory `target`."""

    root: Root
    target: Path
    settings: ParameterSettings
    deadline: float = DEADLINE  # seconds for one file
    copied: int = 0  # files
    failures: dict[str, str] = field(default_factory=dict)  # name of the errno by path in the copy

    def record(self) -> None:
        """Make the copy; raises KmodmonError when the directory is not empty or cannot be written."""
        try:
            self.target.mkdir(parents=True, exist_ok=True)
            if any(self.target.iterdir()):
                raise KmodmonError(f"{self.target}: is not empty; name a new directory")
            self._copy_all()
            manifest = {"format": 1, "failures": dict(sorted(self.failures.items()))}
            (self.target / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        except OSError as error:
            raise KmodmonError(f"{self.target}: cannot be written: {error.strerror}") from error

    def _copy_all(self) -> None:
        root = self.root
        self._copy(root.proc(b"modules"), b"proc/modules", _without_addresses)
        self._copy(root.proc(b"version"), b"proc/version")
        self._copy(root.proc(b"cmdline"), b"proc/cmdline", _kept_arguments)
        self._copy(root.proc(b"stat"), b"proc/stat", lambda raw: b"\n".join(_BTIME.findall(raw)) + b"\n")
        self._copy(root.proc(b"sys/kernel/random/boot_id"), b"proc/sys/kernel/random/boot_id", lambda raw: _NO_BOOT)
        for name in _KERNEL_FILES:
            self._copy(root.proc(b"sys/kernel", name.encode()), b"proc/sys/kernel/" + name.encode())
        for setting in (*HARDENING, *COUNTERS):
            path = "/".join(setting.path).encode()
            below = root.proc if setting.mount == "procfs" else root.sys
            self._copy(below(path), (b"proc/" if setting.mount == "procfs" else b"sys/") + path)
        for file in (b"lockdown", b"lsm"):
            self._copy(root.securityfs + b"/" + file, b"sys/kernel/security/" + file)
        self._copy_livepatches()
        self._copy_modules()
        self._copy_release()

    def _copy_livepatches(self) -> None:
        for patch in self._directories(self.root.sys(b"kernel/livepatch"), b"sys/kernel/livepatch"):
            for name in (b"enabled", b"transition", b"replace", b"stack_order"):
                below = b"/".join((b"kernel/livepatch", patch, name))
                self._copy(self.root.sys(below), b"sys/" + below)

    def _copy_modules(self) -> None:
        parameters: list[bytes] = []
        for module in self._directories(self.root.sys(b"module"), b"sys/module"):
            base = b"module/" + module
            self._make_directory(b"sys/" + base)
            for name in _ATTRIBUTES:
                self._copy(self.root.sys(base, name), b"/".join((b"sys", base, name)))
            note = base + b"/notes/.note.gnu.build-id"
            self._copy(self.root.sys(note), b"sys/" + note)
            listed = self._in_time(partial(self.root.names, self.root.sys(base, b"parameters")))
            if isinstance(listed, Read):
                parameters += (base + b"/parameters/" + name for name in listed.value)
        self._copy_parameters(parameters)

    def _copy_parameters(self, parameters: list[bytes]) -> None:
        reader = DeadlineReader(lambda path: self.root.read(path, PARAMETER), self.settings.read_timeout)
        answers = reader.read_all([(path.split(b"/")[1], self.root.sys(path)) for path in parameters])
        for path in parameters:
            match answers.outcomes.get(self.root.sys(path), Failed("not read", errno.ETIMEDOUT)):
                case Read(raw):
                    module, _, name = (safe_text(part) for part in path.split(b"/")[-3:])
                    is_secret = is_hidden(self.settings, module, name)
                    self._write(b"sys/" + path, REDACTED.encode() + b"\n" if is_secret else raw)
                case Failed(_, number):
                    self._failed(b"sys/" + path, number)
                case Absent():
                    continue

    def _copy_release(self) -> None:
        outcome = self._in_time(lambda: self.root.read(self.root.proc(b"sys/kernel/osrelease"), PAGE))
        release = outcome.value.strip() if isinstance(outcome, Read) else b""
        if release:
            name = release + b"/modules.builtin"
            self._copy(self.root.modules + b"/" + name, b"lib/modules/" + name)
            config = b"boot/config-" + release
            self._copy(self.root.host(config), config, _kept_options)

    def _directories(self, path: bytes, to: bytes) -> Iterable[bytes]:
        match self._in_time(lambda: self.root.directories(path)):
            case Read(names):
                self._make_directory(to)
                return names
            case Failed(_, number):
                self._failed(to, number)
        return ()

    def _copy(self, path: bytes, to: bytes, redact: Redaction = bytes) -> None:
        match self._in_time(lambda: self.root.read(path, TABLE)):
            case Read(raw):
                self._write(to, redact(raw))
            case Failed(_, number):
                self._failed(to, number)
            case Absent():
                return

    def _in_time(self, read: Callable[[], Outcome[T]]) -> Outcome[T]:
        try:
            return call_in_time(read, self.deadline)
        except HungError as error:
            return Failed(error.why, error.errno, hung=True)

    def _failed(self, to: bytes, number: int | None) -> None:
        self.failures[os.fsdecode(to)] = errno.errorcode.get(number or errno.EIO, "EIO")
        self._make_directory(os.path.dirname(to))

    def _make_directory(self, to: bytes) -> None:
        os.makedirs(os.path.join(os.fsencode(self.target), to), exist_ok=True)

    def _write(self, to: bytes, raw: bytes) -> None:
        self._make_directory(os.path.dirname(to))
        with open(os.path.join(os.fsencode(self.target), to), "wb") as stream:
            stream.write(raw)
        self.copied += 1
