"""An unfinished report: its banner, and what its lines have given so far. Mutable; only this package uses it."""

import copy
import re
from dataclasses import dataclass, field

from kmodmon.events.report import FaultReason, Frame, KernelReport, LinkedModule, ReportClass
from kmodmon.kernel.taint import Letters, parse_tainted_text
from kmodmon.reports.blame import blame, culprits, is_helper, plain
from kmodmon.reports.body import LineKind, arch_of, parse_modules, parse_task
from kmodmon.reports.fingerprint import fingerprint
from kmodmon.reports.frame import first_of_arm, parse_frame, parse_inline, parse_pointer
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.signatures.signature import LogSignature, SignatureMatch
from kmodmon.types.text import bounded

MAX_FRAMES = 64
MAX_LINKED = 512
MAX_EVIDENCE = 24
MAX_TEXT = 240
MAX_LINES = 2000  # of one report; an all-CPU backtrace of a big machine is longer, and is closed here

# A timer finds these: where the CPU was at that moment is not where it loops.
_SAMPLED = frozenset({ReportClass.SOFT_LOCKUP, ReportClass.HARD_LOCKUP, ReportClass.RCU_STALL})
_NUMBERS = re.compile(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b")


@dataclass(slots=True, kw_only=True)
class Draft:
    """One unfinished report. None: no line of it has said so yet."""

    signature: LogSignature  # changes only from a weak or general one to that of the banner
    groups: dict[str, str | None]  # named groups of the signature's match
    first: LogLine
    last: LogLine
    at: int  # the assembler's count of lines at the last line of this report
    caller: str | None  # None: kernel without CONFIG_PRINTK_CALLER
    header: bool  # the banner has come, not only a detector's line before it
    died: bool  # the line `Oops: 0002 [#1]` has come
    ended: bool = False  # the end marker has come
    panic: bool  # a panic has come: its dump follows, also after the end marker
    lines: int = 0
    previous: LineKind = LineKind.FOREIGN  # of the last body line
    other: bool = False  # the next frames belong to another trace: who allocated, who freed, another CPU
    traces: int = 0  # headings `Call Trace:` so far
    cpu: int | None = None
    pid: int | None = None
    comm: str | None = None
    arch: str | None = None
    release: str | None = None
    taint: Letters | None = None
    named_taint: bool = False  # `taint` is from the line with names (`Tainted: [O]=OOT_MODULE`, since 6.11)
    banner: Frame | None = None  # the function in the first line
    pointer: Frame | None = None  # where the instruction pointer was
    pointer_named: bool = False  # `pointer` is final
    frames: list[Frame] = field(default_factory=list)
    linked: list[LinkedModule] = field(default_factory=list)
    last_unloaded: str | None = None
    evidence: list[str] = field(default_factory=list)  # the first MAX_EVIDENCE lines

    def copy(self) -> "Draft":
        """Return a copy that can be added to while this one stays as it is."""
        new = copy.copy(self)
        new.frames, new.linked, new.evidence = list(self.frames), list(self.linked), list(self.evidence)
        return new

    def add_line(self, line: LogLine, text: str, at: int) -> None:
        """Count a line of the report, and keep the first ones as evidence."""
        self.last, self.at, self.lines = line, at, self.lines + 1
        if len(self.evidence) < MAX_EVIDENCE:
            self.evidence.append(bounded(text, MAX_TEXT))

    def add_banner(self, match: SignatureMatch) -> None:
        """Take function, CPU and task from a banner, where no earlier line gave them."""
        groups = match.groups
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

    def add_body(self, kind: LineKind, text: str) -> None:
        """Take what a body line gives."""
        if self.arch is None:
            self.arch = arch_of(text)
        match kind:
            case LineKind.FRAME:
                self._add_frame(text)
            case LineKind.POINTER:
                self._add_pointer(text)
            case LineKind.TASK | LineKind.TAINT:
                self._add_task(kind, text)
            case LineKind.MODULES | LineKind.UNLOADED:
                self._add_modules(kind, text)
            case LineKind.TRACE:
                self._begin_trace()
            case LineKind.OTHER_TRACE:
                self.other = True
            case LineKind.BACKTRACE:
                self.frames.clear()
                self.other = False
            case _:
                pass
        self.previous = kind

    def _begin_trace(self) -> None:
        self.traces += 1
        self.other = self.other or (self.traces > 1 and bool(self.frames))

    def _add_frame(self, text: str) -> None:
        if self.other or len(self.frames) >= MAX_FRAMES:
            return
        if not self.frames:
            callee = first_of_arm(text)
            if callee is not None:
                self.frames.append(callee)
        frame = parse_frame(text)
        if not self.traces and self.pointer is None and self.evidence and self.evidence[-1].rstrip().endswith("RIP:"):
            self.pointer = frame  # 2.6 x86-64 wrote the address on the line after `RIP:`
            return
        if frame is None:
            inlined = parse_inline(text)
            frame = None if inlined is None else Frame(function=inlined)
        if frame is not None:
            self.frames.append(frame)

    def _add_pointer(self, text: str) -> None:
        if self.pointer_named or self.frames:
            return  # a summary after the trace, or that of another CPU
        pointer = parse_pointer(text)
        if pointer is not None and not pointer.user:
            # `IP: [<...>] func` comes right below the banner on older kernels, `EIP: 0060:[<...>]` without a name
            # before the line that has it: only one with a name is final.
            self.pointer = pointer.frame
            self.pointer_named = pointer.frame is not None

    def _add_task(self, kind: LineKind, text: str) -> None:
        task = parse_task(text)
        has_both = self.taint is not None and task.taint is not None
        if has_both and kind is LineKind.TASK:
            return  # the second dump, of the panic, has it again
        self.cpu = task.cpu if self.cpu is None else self.cpu
        self.pid = task.pid if self.pid is None else self.pid
        self.comm = self.comm or task.comm
        self.release = self.release or task.release
        if kind is LineKind.TAINT:
            if not self.named_taint:
                self.taint, self.named_taint = parse_tainted_text(text), True
        elif self.taint is None and task.taint is not None:
            self.taint = parse_tainted_text(task.taint)

    def _add_modules(self, kind: LineKind, text: str) -> None:
        modules, unloaded = parse_modules(text)
        if kind is LineKind.MODULES:
            self.linked += modules[: MAX_LINKED - len(self.linked)]
        self.last_unloaded = self.last_unloaded or unloaded

    # The finished report.

    def culprit(self) -> Frame | None:
        """Return the function that the report is about.

        It is that of the instruction pointer, else that of the banner, else the first of the trace that is no helper.
        """
        for frame in (self.pointer, self.banner):
            if frame is not None and not _is_trap(frame.function):
                return frame
        reliable = [frame for frame in self.frames if frame.reliable]
        if not reliable:  # the unwinder of 4.9 marked every frame with `?`
            return next((frame for frame in self.frames if not is_helper(frame.function)), None)
        return next(iter(culprits(reliable)), reliable[0])

    def report(self) -> KernelReport:
        """Return the finished report."""
        frames, linked = tuple(self.frames), tuple(self.linked)
        culprit = self.culprit()
        report_class = self.signature.report_class
        module, reason = blame(self.banner, self.pointer, frames, linked, sampled=report_class in _SAMPLED)
        if module is None and culprit is None:
            module = self.groups.get("module")
            reason = None if module is None else FaultReason.NAMED
        title = self._title(culprit)
        return KernelReport(
            report_class=report_class,
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
        if culprit is None:
            return title
        return f"{title} in {Frame(function=plain(culprit.function), module=culprit.module)}"

    def fingerprint(self, culprit: Frame | None) -> str:
        """Return the same for the same bug: from class, signature, subject and functions, and nothing that varies."""
        names = [frame.function for frame in culprits(self.frames)[:3]]
        subject = _NUMBERS.sub("N", self._subject())
        if culprit is not None and not is_helper(culprit.function):
            names.insert(0, culprit.function)
        functions = dict.fromkeys(plain(name) for name in names)
        return fingerprint(self.signature.report_class.value, self.signature.name, subject, *functions)


class _Missing(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "unknown" if key != "file" else "unknown place"


def _source(path: str) -> str:
    # The path of an out-of-tree module begins with the directory it was built in, up to 6.12: only the part from a
    # directory of the kernel tree on, or the file's name, is the same on every machine.
    parts = path.split("/")
    for at, part in enumerate(parts):
        if part in _TREE:
            return "/".join(parts[at:])
    return parts[-1]


_TREE_DIRECTORIES = """
arch block crypto drivers fs include init io_uring ipc kernel lib mm net rust samples security sound virt
"""
_TREE = frozenset(_TREE_DIRECTORIES.split())


def _is_trap(function: str) -> bool:
    return plain(function).lstrip("_") in _TRAPS


# Functions with the BUG() or WARN() of a detector: the report is about their caller.
_TRAP_FUNCTIONS = """
warn panic refcount_warn_saturate list_del_entry_valid list_add_valid list_del_entry_valid_or_report
list_add_valid_or_report list_add list_del_entry usercopy_abort usercopy_warn fortify_panic fortify_report
slab_err warn_slowpath_fmt warn_slowpath_null warn_slowpath_common refcount_error_report
refcount_sub_and_test_checked refcount_inc_checked refcount_inc_not_zero_checked refcount_add_checked
dump_stack dump_stack_lvl show_stack debug_print_object asan_memcpy asan_memset asan_memmove
"""
_TRAPS = frozenset(_TRAP_FUNCTIONS.split())
