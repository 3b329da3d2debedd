"""A report in the making: one banner and what its lines have told so far. Mutable, and never seen outside the room."""

import copy
import re
from dataclasses import dataclass, field

from kmodmon.events.report import FaultReason, Frame, KernelReport, LinkedModule
from kmodmon.kernel.taint import Letters, parse_tainted_text
from kmodmon.reports.blame import blame, culprits, is_helper, plain
from kmodmon.reports.body import LineKind, arch_of, parse_modules, parse_task
from kmodmon.reports.fingerprint import fingerprint
from kmodmon.reports.frame import first_of_arm, parse_frame, parse_inline, parse_pointer
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.signatures.signature import LogSignature, MatchStage, SignatureMatch
from kmodmon.types.text import bounded

MAX_FRAMES = 64
MAX_LINKED = 512
MAX_EVIDENCE = 24
MAX_TEXT = 240
MAX_LINES = 2000  # of one report; an all-CPU backtrace of a big machine is longer, and is closed here

_NUMBERS = re.compile(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b")


@dataclass(slots=True, kw_only=True)
class Draft:
    """What one report is made of; `signature` changes only from a weak or general one to the banner's own."""

    signature: LogSignature
    groups: dict[str, str | None]
    first: LogLine
    last: LogLine
    at: int  # count of the recogniser's lines at the last own line
    began: int
    caller: str | None
    stage: MatchStage
    header: bool = False
    died: bool = False
    ended: bool = False
    panic: bool = False
    lines: int = 1
    previous: LineKind = LineKind.FOREIGN
    trace: bool = False  # frames that come are the report's own
    other: bool = False  # frames that come are somebody else's
    traces: int = 0
    cpu: int | None = None
    pid: int | None = None
    comm: str | None = None
    arch: str | None = None
    release: str | None = None
    taint: Letters | None = None
    named_taint: bool = False
    banner: Frame | None = None
    pointer: Frame | None = None
    pointed: bool = False
    frames: list[Frame] = field(default_factory=list)
    linked: list[LinkedModule] = field(default_factory=list)
    last_unloaded: str | None = None
    evidence: list[str] = field(default_factory=list)

    def copy(self) -> "Draft":
        """A draft that can be written on while the old state stays as it was."""
        new = copy.copy(self)
        new.frames, new.linked, new.evidence = list(self.frames), list(self.linked), list(self.evidence)
        return new

    def add_line(self, line: LogLine, text: str, at: int) -> None:
        """Count an own line and keep the first ones as evidence."""
        self.last, self.at, self.lines = line, at, self.lines + 1
        if len(self.evidence) < MAX_EVIDENCE:
            self.evidence.append(bounded(text, MAX_TEXT))

    def take_banner(self, found: SignatureMatch) -> None:
        """Keep what a banner's groups say, if nothing earlier said it."""
        groups = found.groups
        function = groups.get("function") or groups.get("function2")
        if function and self.banner is None:
            offset = groups.get("offset")
            self.banner = Frame(
                function=function.lstrip("."),
                offset=None if offset is None else int(offset, 16),
                module=groups.get("module"),
            )
        cpu, pid = groups.get("cpu") or groups.get("cpu2"), groups.get("pid")
        self.cpu = int(cpu) if self.cpu is None and cpu and cpu.isdecimal() else self.cpu
        self.pid = int(pid) if self.pid is None and pid else self.pid
        self.comm = self.comm or groups.get("comm")

    def take(self, kind: LineKind, text: str) -> None:
        """Keep what a body line says."""
        if self.arch is None:
            self.arch = arch_of(text)
        match kind:
            case LineKind.FRAME:
                self._take_frame(text)
            case LineKind.POINTER:
                self._take_pointer(text)
            case LineKind.TASK | LineKind.TAINT:
                self._take_task(kind, text)
            case LineKind.MODULES | LineKind.UNLOADED:
                self._take_modules(kind, text)
            case LineKind.TRACE:
                self._begin_trace()
            case LineKind.OTHER_TRACE:
                self.other = True
            case LineKind.BACKTRACE:
                self.frames.clear()
                self.other, self.trace, self.traces = False, True, 0
            case _:
                pass
        self.previous = kind

    def _begin_trace(self) -> None:
        self.traces += 1
        self.trace = not self.other and not (self.frames and self.traces > 1)

    def _take_frame(self, text: str) -> None:
        if self.other or len(self.frames) >= MAX_FRAMES or (self.traces > 1 and not self.trace):
            return
        if not self.frames:
            callee = first_of_arm(text)
            if callee is not None:
                self.frames.append(callee)
        frame = parse_frame(text)
        if not self.trace and self.pointer is None and self.evidence and self.evidence[-1].rstrip().endswith("RIP:"):
            self.pointer = frame  # 2.6 x86-64: the address stands on the line after `RIP:`
            return
        if frame is None:
            inlined = parse_inline(text)
            frame = None if inlined is None else Frame(function=inlined)
        if frame is not None:
            self.frames.append(frame)

    def _take_pointer(self, text: str) -> None:
        if self.pointed or self.frames:
            return  # a summary after the trace, or another CPU's
        pointer = parse_pointer(text)
        if pointer is not None and not pointer.user:
            # `IP: [<...>] func` comes right below the banner on older kernels, `EIP: 0060:[<...>]` without a name
            # before the line that has it: only a named one settles it.
            self.pointer = pointer.frame
            self.pointed = pointer.frame is not None

    def _take_task(self, kind: LineKind, text: str) -> None:
        task = parse_task(text)
        if (
            kind is LineKind.TASK
            and self.previous is not LineKind.FOREIGN
            and self.taint is not None
            and task.taint is not None
        ):
            return  # the second dump, of the panic, says it again
        self.cpu = self.cpu if self.cpu is not None else task.cpu
        self.pid = self.pid if self.pid is not None else task.pid
        self.comm = self.comm or task.comm
        self.release = self.release or task.release
        if kind is LineKind.TAINT:
            if not self.named_taint:
                self.taint, self.named_taint = parse_tainted_text(text), True
        elif self.taint is None and task.taint is not None:
            self.taint = parse_tainted_text(task.taint)

    def _take_modules(self, kind: LineKind, text: str) -> None:
        modules, unloaded = parse_modules(text)
        if kind is LineKind.MODULES and len(self.linked) < MAX_LINKED:
            self.linked += modules[: MAX_LINKED - len(self.linked)]
        self.last_unloaded = self.last_unloaded or unloaded

    # What the lines amount to.

    def culprit(self) -> Frame | None:
        """The function the report is about: the instruction's, the banner's, else the first that is no helper."""
        for frame in (self.pointer, self.banner):
            if frame is not None and not _is_trap(frame.function):
                return frame
        reliable = [frame for frame in self.frames if frame.reliable]
        if not reliable:  # an unwinder that trusts nothing: 4.9 marked every frame with `?`
            return next((frame for frame in self.frames if not is_helper(frame.function)), None)
        return next(iter(culprits(reliable)), reliable[0])

    def report(self) -> KernelReport:
        """Close the draft."""
        frames, linked = tuple(self.frames), tuple(self.linked)
        culprit = self.culprit()
        module, reason = blame(self.banner, self.pointer, frames, linked)
        if module is None and culprit is None:
            module = self.groups.get("module")
            reason = None if module is None else FaultReason.NAMED
        title = self._title(culprit)
        return KernelReport(
            report_class=self.signature.report_class,
            signature=self.signature.name,
            title=title,
            severity=self.signature.severity,
            fingerprint=self.fingerprint(culprit),
            first_line=self.first.number,
            last_line=self.last.number,
            cpu=self.cpu,
            pid=self.pid,
            comm=self.comm,
            arch=self.arch,
            release=self.release,
            taint=self.taint,
            function=None if culprit is None else culprit.function,
            offset=None if culprit is None else culprit.offset,
            module=module,
            module_reason=reason,
            frames=frames,
            linked=linked,
            last_unloaded=self.last_unloaded,
            panic=self.panic,
            printk_usec=self.first.printk_usec,
            lines=self.lines,
            evidence=tuple(self.evidence),
        )

    def _subject(self) -> str:
        groups = {key: bounded(value, 80) for key, value in self.groups.items() if value is not None}
        for key, value in tuple(groups.items()):  # alternatives of one pattern: kind, kind2, kind3
            groups.setdefault(key.rstrip("23456789"), value)
        if "file" in groups:
            groups["file"] = _source(groups["file"])
        return self.signature.title.format_map(_Missing(groups))

    def _title(self, culprit: Frame | None) -> str:
        title = _NUMBERS.sub("N", self._subject()) if "{what}" in self.signature.title else self._subject()
        return (
            title if culprit is None else f"{title} in {Frame(function=plain(culprit.function), module=culprit.module)}"
        )

    def fingerprint(self, culprit: Frame | None) -> str:
        """The same for the same bug: class, signature, subject, the functions that do the work; nothing that varies."""
        names = [frame.function for frame in culprits(self.frames)[:3]]
        subject = _NUMBERS.sub("N", self._subject())
        if culprit is not None and not is_helper(culprit.function):
            names.insert(0, culprit.function)
        parts = (
            self.signature.report_class.value,
            self.signature.name,
            subject,
            *dict.fromkeys(plain(name) for name in names),
        )
        return fingerprint(*parts)


class _Missing(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "unknown" if key != "file" else "unknown place"


def _source(path: str) -> str:
    # Out-of-tree modules are built under somebody's home: only what the kernel tree has in common is the same bug.
    parts = path.split("/")
    for at, part in enumerate(parts):
        if part in _TREE:
            return "/".join(parts[at:])
    return parts[-1]


_TREE = frozenset(
    {
        "arch",
        "block",
        "crypto",
        "drivers",
        "fs",
        "include",
        "init",
        "io_uring",
        "ipc",
        "kernel",
        "lib",
        "mm",
        "net",
        "rust",
        "samples",
        "security",
        "sound",
        "virt",
    }
)


def _is_trap(function: str) -> bool:
    return plain(function).lstrip("_") in _TRAPS


# Where a BUG() or WARN() traps for somebody else: the caller is what the report is about.
_TRAPS = frozenset(
    {
        "warn",
        "panic",
        "refcount_warn_saturate",
        "list_del_entry_valid",
        "list_add_valid",
        "list_del_entry_valid_or_report",
        "list_add_valid_or_report",
        "list_add",
        "list_del_entry",
        "usercopy_abort",
        "usercopy_warn",
        "fortify_panic",
        "fortify_report",
        "slab_err",
        "warn_slowpath_fmt",
        "warn_slowpath_null",
        "warn_slowpath_common",
        "refcount_error_report",
        "refcount_sub_and_test_checked",
        "refcount_inc_checked",
        "refcount_inc_not_zero_checked",
        "refcount_add_checked",
        "dump_stack",
        "dump_stack_lvl",
        "show_stack",
        "debug_print_object",
        "asan_memcpy",
        "asan_memset",
        "asan_memmove",
    }
)
