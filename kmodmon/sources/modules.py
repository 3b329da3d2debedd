"""/proc/modules and /sys/module/NAME: the loaded modules.

Interfaces: kernel/module/procfs.c, kernel/module/sysfs.c (Documentation/ABI/testing/sysfs-module). World readable; real
addresses need CAP_SYSLOG and kptr_restrict < 2. Absent: a kernel without CONFIG_MODULES has no /proc/modules.

One read() of the list gives a page; a load or unload between two of them makes an unrelated module vanish or appear
twice. So when a list longer than a page has other names than the list before, it is read again until two passes agree;
/sys/module decides about names on which they still disagree.

The list is read every few seconds and may be long, so only differences cost work. An unchanged list costs one
comparison of bytes; a list in which lines changed and no module was loaded or unloaded (reference counts change all the
time) costs those lines. Attributes are read when a module appears, and again when its sysfs directory is another one: a
module that was loaded anew between two reads may have the same line. One listing of /sys/module shows that for all
modules. It is made only when the kernel has sent any uevent since, as it does whenever a module's directory appears or
disappears (/sys/kernel/uevent_seqnum, lib/kobject_uevent.c; every time where that file cannot be read).
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import compress, count
from operator import ne
from types import MappingProxyType
from typing import TypeVar

from kmodmon.kernel.modules import ModuleLine, ModulesFile, is_complete, merge_passes, parse_modules
from kmodmon.kernel.sysmodule import parse_build_id, parse_size, parse_version, sysfs_name
from kmodmon.lifecycle.inventory import NO_ATTRIBUTES, Module, ModuleAttributes
from kmodmon.lifecycle.signals import ModulesRead
from kmodmon.sources.source import PollSource, Reading, SourceContext
from kmodmon.system.root import NUMBER, PAGE, TABLE, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Absent, Failed, Outcome, Read
from kmodmon.types.source_name import SourceName

T = TypeVar("T")

_PASSES = 5  # over the list, until two agree


class ModulesReader:
    """Reads the module list consistently; caches bytes, lines and attributes between reads."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._raw: bytes | None = None
        self._texts: list[bytes] = []  # lines of `_raw`; empty: not every line is one module
        self._lines: dict[bytes, ModuleLine] = {}
        self._modules: dict[str, Module] = {}  # never modified, because `_state` shares it; replaced instead
        self._state = ModulesRead(modules=MappingProxyType(self._modules))
        self._listing: Mapping[bytes, int] = MappingProxyType({})
        self._uevents: str | None = None  # uevent_seqnum when `_listing` was made; None: it could not be read
        self._unread = False  # the attributes of some module have not been read

    def __call__(self) -> Reading:
        """Read the list; the outcome has the same object again when nothing changed."""
        outcome = self.read_list()
        return Reading(outcome=outcome, unreadable=outcome.value.skipped if isinstance(outcome, Read) else 0)

    def read_list(self) -> Outcome[ModulesRead]:
        """Read the list; the same object again when nothing changed."""
        outcome = self._root.read(self._root.proc(b"modules"), TABLE)
        match outcome:
            case Read(raw):
                if raw != self._raw and not self._same_modules(raw):
                    self._changed(raw)
                self._renewed()
                return Read(self._state)
            case Absent() | Failed():
                self._raw = None
                return outcome

    def _same_modules(self, raw: bytes) -> bool:
        """Replace the lines that differ, if each is still about the same module; otherwise do nothing."""
        texts = raw.split(b"\n")
        if len(texts) != len(self._texts) or len(self._modules) != len(self._lines):
            return False  # the second: a module is listed twice, and its later line counts
        changed = tuple(compress(count(), map(ne, self._texts, texts)))
        file = parse_modules(b"\n".join(texts[at] for at in changed))
        before = [self._lines.get(self._texts[at]) for at in changed]
        if file.skipped or [line.name for line in file.lines] != [line and line.name for line in before]:
            return False
        for at, line in zip(changed, file.lines, strict=True):
            del self._lines[self._texts[at]]
            self._lines[texts[at]] = line
            self._texts[at] = texts[at]
        self._raw = raw
        self._update({line.name: self._module(line) for line in file.lines})
        return True

    def _changed(self, raw: bytes) -> None:
        file = self._parse(raw)
        names = {line.name for line in file.lines}
        if not is_complete(raw) and names != self._modules.keys():
            file = self._confirmed(file)
        else:
            self._raw = raw
        texts = [] if self._raw is None else self._raw.split(b"\n")
        self._texts = texts if len(texts) == len(self._lines) + 1 else []
        modules = {line.name: self._module(line) for line in file.lines}
        self._modules, self._unread = {}, False
        self._update(modules, len(file.skipped))

    def _update(self, modules: dict[str, Module], skipped: int = 0) -> None:
        """Add these modules to those of the last read, or replace them."""
        self._modules = {**self._modules, **modules}
        self._state = ModulesRead(modules=MappingProxyType(self._modules), skipped=skipped)
        self._unread = self._unread or any(module.attributes is NO_ATTRIBUTES for module in modules.values())

    def _confirmed(self, file: ModulesFile) -> ModulesFile:
        """Read again until two passes agree; a name that stays doubtful is loaded if sysfs has its directory."""
        self._raw = None
        for _ in range(_PASSES):
            outcome = self._root.read(self._root.proc(b"modules"), TABLE)
            if not isinstance(outcome, Read):
                return file
            again = self._parse(outcome.value)
            merged = merge_passes(file, again)
            if not merged.doubtful:
                self._raw = outcome.value
                return again
            file = again
        lines = tuple(line for line in merged.lines if line.name not in merged.doubtful or self._in_sysfs(line.name))
        return ModulesFile(lines=lines, skipped=file.skipped)

    def _parse(self, raw: bytes) -> ModulesFile:
        """Parse only the lines that were not in the last read, if every line is a whole one."""
        texts = raw.split(b"\n")
        fresh = [text for text in texts if text and text not in self._lines]
        parsed = parse_modules(b"\n".join(fresh) + b"\n") if fresh else ModulesFile(lines=())
        if parsed.skipped or len(parsed.lines) != len(fresh):
            return self._parse_odd(raw)
        lines = {**self._lines, **dict(zip(fresh, parsed.lines, strict=True))}
        self._lines = {text: lines[text] for text in texts if text}
        return ModulesFile(lines=tuple(self._lines.values()))

    def _parse_odd(self, raw: bytes) -> ModulesFile:
        """Parse with the names of sysfs, because a name holds a newline or a line is damaged."""
        self._lines = {}
        match self._root.directories(self._root.sys(b"module")):
            case Read(names):
                return parse_modules(raw, names)
            case _:
                return parse_modules(raw)

    def _in_sysfs(self, name: str) -> bool:
        return self._instance(name) is not None

    def _directory(self, name: str) -> bytes | None:
        directory = sysfs_name(name)
        return None if directory is None else self._root.sys(b"module", directory)

    def _instance(self, name: str) -> int | None:
        directory = self._directory(name)
        if directory is None:
            return None
        try:
            return os.stat(directory).st_ino
        except OSError:
            return None

    def _renewed(self) -> None:
        """Read attributes that are missing, and those of modules whose sysfs directory is another one."""
        uevents = self._root.text(self._root.sys(b"kernel", b"uevent_seqnum"), NUMBER)
        if uevents is not None and uevents == self._uevents and not self._unread:
            return
        listing = self._root.inodes(self._root.sys(b"module"))
        if not isinstance(listing, Read):
            return
        self._uevents = uevents
        if listing.value == self._listing and not self._unread:
            return
        self._listing = listing.value
        renewed = {}
        for name, module in self._modules.items():
            directory = self._directory(name)
            instance = None if directory is None else listing.value.get(directory.rpartition(b"/")[2])
            if instance is not None and instance != module.attributes.instance:
                renewed[name] = replace(module, attributes=self._attributes(name, instance))
        if renewed:
            self._update(renewed, self._state.skipped)
        self._unread = any(module.attributes is NO_ATTRIBUTES for module in self._modules.values())

    def _module(self, line: ModuleLine) -> Module:
        before = self._modules.get(line.name)
        attributes = NO_ATTRIBUTES
        if before is not None and before.state is line.state:
            attributes = before.attributes
        module = Module(
            name=line.name,
            size=line.size,
            refcnt=line.refcnt,
            holders=line.holders,
            permanent=line.permanent,
            state=line.state,
            address=line.address,
            taint=line.taint,
            attributes=attributes,
        )
        return before if module == before else module

    def _attributes(self, name: str, instance: int) -> ModuleAttributes:
        directory = self._directory(name)
        assert directory is not None  # its inode was just read
        return ModuleAttributes(
            instance=instance,
            version=self._parsed(directory + b"/version", parse_version),
            srcversion=self._parsed(directory + b"/srcversion", parse_version),
            coresize=self._parsed(directory + b"/coresize", parse_size),
            initsize=self._parsed(directory + b"/initsize", parse_size),
            build_id=self._parsed(directory + b"/notes/.note.gnu.build-id", parse_build_id),
        )

    def _parsed(self, path: bytes, parse: Callable[[bytes], T | None]) -> T | None:
        # A module may be unloaded while its attributes are read (ENODEV, ENOENT): they stay unknown until it is gone.
        outcome = self._root.read(path, PAGE)
        if not isinstance(outcome, Read):
            return None
        try:
            return parse(outcome.value)
        except ParseError:
            return None


def _make(context: SourceContext) -> ModulesReader:
    return ModulesReader(context.root)


SOURCE = PollSource(
    name=SourceName.MODULES,
    make=_make,
    every=lambda settings: settings.poll.modules,
    cheap=True,
    interfaces=("/proc/modules", "/sys/module/<module>/{version,srcversion,coresize,initsize,notes}"),
    remedy="mount procfs and sysfs of the host where --path.procfs and --path.sysfs say",
)
