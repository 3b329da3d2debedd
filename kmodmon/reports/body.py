"""Parses the lines below the banner of a report, and decides whether a line belongs to a report at all.

Kernel files: kernel/panic.c, lib/dump_stack.c, arch/*/kernel/process*.c, traps.c, dumpstack.c, mm/show_mem.c. Wordings:

- The task line is `CPU: 1 PID: 149 Comm: insmod Tainted: G  OE  5.10.0 #1` up to 6.8, with `UID: 0` between CPU and PID
  in 6.11 and later. 2.6 wrote `Pid: 149, comm: insmod Not tainted 2.6.32 #1`. `[Kdump: loaded]` may stand before the
  taint.
- 6.11 and later print the names of the taint bits on a line of their own: `Tainted: [O]=OOT_MODULE`; 6.8 does not.
- The list of modules may be split over several records, the later ones with flag `c` and a blank in front. `[last
  unloaded: NAME]` up to 5.18 is `[last unloaded: NAME(TAINTS)]` in 6.0 and later; with
  CONFIG_MODULE_UNLOAD_TAINT_TRACKING (6.0 and later) it ends the line `Unloaded tainted modules:` instead.
- The end marker is `---[ end trace NUMBER ]---`, with a number that is always zero in 6.1 and later.
- arm64 writes `Call trace:`, other architectures `Call Trace:`.
"""

import enum
import re
from dataclasses import dataclass

from kmodmon.events.report import LinkedModule
from kmodmon.reports.frame import parse_frame, parse_inline, parse_pointer


class LineKind(enum.IntEnum):
    """What a line is in a report."""

    FOREIGN = 0  # no form that a report has: the line may belong to anything
    BODY = 1  # registers, code, memory state: belongs to a report, and nothing of it is kept
    FRAME = 2  # an entry of a call trace
    POINTER = 3  # the instruction pointer: `RIP:`, `pc :`, `NIP`, `epc :`, `Krnl PSW`
    TRACE = 4  # `Call Trace:` and its like: frames follow
    OTHER_TRACE = 5  # the next frames are another trace: of the allocation, of the free, of the holder of a lock
    BACKTRACE = 6  # `stack backtrace:`: lockdep's own trace, after those of the locks
    TASK = 7  # CPU, process and taint
    TAINT = 8  # the names of the taint bits
    MODULES = 9  # `Modules linked in:`, or a line that continues it
    UNLOADED = 10  # `Unloaded tainted modules:`
    CUT = 11  # `cut here` or a line of `=`: a report begins, or ends
    END = 12  # `end trace`
    END_PANIC = 13  # `end Kernel panic`


_TASK = re.compile(
    r"(?:CPU:?\s*(?P<cpu>\d+)[ :,]+)?(?:UID: \d+ )?(?:[Pp][Ii][Dd]: (?P<pid>\d+),? ?(?:[Cc]omm: (?P<comm>.{0,24}?)))"
    r"(?P<rest>\s+(?:\[?Kdump: loaded\]? |\[?last unloaded)?.{0,12}?(?:Tainted|Not tainted).*|\s*$)"
)
_CPU_TAINT = re.compile(r"CPU:?\s*(?P<cpu>\d+)\s+(?P<rest>(?:Tainted|Not tainted).*)")
_HUNG = re.compile(r"\s+(?:Tainted: |Not tainted )")
_TASK_OLD = re.compile(
    r"(?:Process (?P<comm>.{0,24}?) \(pid: (?P<pid>\d+)|in_atomic\(\): .*?pid: (?P<pid2>\d+), name: (?P<comm2>.*)|"
    r"task:(?P<comm3>.{1,24}?)\s+state:\S+\s+stack:\s*\d+\s+pid:\s*(?P<pid3>\d+)|"
    r"(?:Read|Write|Free|Access|Invalid|Double)\b.{0,60}? by task (?P<comm4>.{0,24})/(?P<pid4>\d+)\s*$|"
    r"TASK(?: =|:) [0-9a-fx]+\[(?P<pid5>\d+)\] '(?P<comm5>.*?)')"
)
_TAINT_NAMES = re.compile(r"Tainted: \[.\]=")
_RELEASE = re.compile(r"\b(?P<release>\d+\.\d+(?:\.\d+)?[\w.+~-]*)")
_UNLOADED = re.compile(r"\[last unloaded: (?P<name>[\w-]+)")
_MODULE = re.compile(r"(?P<name>[\w-]+)(?:\((?P<flags>[A-Za-z+?-]*)\))?$")
_MODULE_LIST = re.compile(r"(?:\s*+[\w-]++(?:\([A-Za-z+?-]*\))?)++(?:\s*\[last unloaded.*)?\s*$")
_TRACE = re.compile(
    r"(?:\([^)]*\))?\s*(?:Call [Tt]race:|[Bb]acktrace:|Function entered at|Trace:|Stack ?[Tt]race:|Call Trace)"
)
_OTHER_TRACE = re.compile(
    r"(?:Allocated(?:\b| in)|Freed(?:\b| in)|Last potentially related|Second to last|Uninit was (?:stored|created)|"
    r"Local variable|Memory was marked|"
    r"The buggy address belongs|kfence-#|allocated by task|freed by task|the existing dependency chain|which lock "
    r"already depends on|-> #\d|"
    r"the (?:first|second) lock's dependencies|(?:\.\.\. )?key\s+at:|hardirqs last|softirqs last|\d+ locks? held "
    r"by|Showing all locks|locks held by|INFO: Allocated|INFO: Freed|INFO: Slab|"
    r"(?:HARDIRQ|SOFTIRQ|IN|INITIAL|RECLAIM_FS|\{).{0,40}(?:USE|state was registered)|page last (?:allocated|free)|"
    r"page_owner tracks|Preemption disabled at|Bytes \d+)"
)
_BACKTRACE = re.compile(r"stack backtrace:|(?:read|write|assert).{0,30} to 0x[0-9a-f]+ of \d+ bytes")
_END = re.compile(r"-{2,}\[ end trace\b|---\[ end trace")
_END_PANIC = re.compile(r"(?:<\d>)?-{2,}\[ end Kernel panic")
_CUT = re.compile(r"(?:-{4,}\s?\[\s?cut here\s?\]\s?-{2,}|8<-{2,} cut here|={20,}$|={60,})")
_BODY = re.compile(
    r"\s*(?:"
    r"[RE]?(?:AX|BX|CX|DX|SI|DI|BP|SP|IP|FLAGS|\d\d): |R\d\d: |[CD]R\d: |CS: |DS: |FS: |GS: |PKRU: |eax: |esi: |"
    r"ds: |EFLAGS: |RSP|RIP|Stack:|Code: |Code; |<TASK>|</TASK>|<IRQ>|</IRQ>|<NMI>|</NMI>|<EOI>|<#\w+>|</#\w+>|"
    r"<<EOE>>|"
    r"Hardware name: |Workqueue: |Sched_ext|Call trace|PGD |\*p[gudm]{2,3}|pgd ?=|\[[0-9a-f]{8,16}\] \*?pgd|#PF: |"
    r"Mem abort info|ESR = |EC = |SET = |EA = |FSC|Data abort info|ISV = |CM = |user pgtable|swapper pgtable|"
    r"pstate: |sp : |x\d+ ?: |r\d+ ?: |lr : |LR is at|LR |ra : |gp : |t\d : |s\d+ ?: |a\d : |status: |scause|epc|"
    r"GPR\d\d: |CFAR: |MSR: |REGS: |DAR: |NIP |XER: |Instruction dump:|LE PAGE_SIZE|BE PAGE_SIZE|--- interrupt|--- "
    r"\[|SMP NR_CPUS|"
    r"Krnl (?:PSW|GPRS|Code)|[ >]+[0-9a-f]{8,16}: |PSW|Last Breaking-Event|Failing address|Fault in |AS:[0-9a-f]|"
    r"Flags: |Control: |Table: |Exception stack|Register r\d|Process |task: |task\.stack|Stack from|Stack :|"
    r"(?:[0-9a-f]{2,4}: |[0-9a-f]{3,4}0: )?(?:[0-9a-f]{4,16}[ :]\s*){2,}|[0-9a-f]{16}\b|"
    r"\(?\s?<?[0-9a-f]{2}>?(?:\s\(?<?[0-9a-f]{2,8}>?\)?){6,}|"
    r"Dumping ftrace|\(ftrace buffer|\-{20,}|CPU: \d|Pid: |NMI backtrace|Sending NMI|Kernel Offset|Rebooting in|"
    r"SMP: |Shutting down|Dumping|note: |Fixing recursive|irq event stamp|"
    r"Memory state around|[>\s]*[0-9a-f]{8,16}: (?:[0-9a-f]{2} ?){8}|\^|page:|page dumped|raw: |flags: |head:|ksm |"
    r"memcg:|aops:|The buggy|which belongs|located \d+ bytes|\(stack is not|kfence|anon flags|index:|"
    r"Read of size|Write of size|Free of addr|Read at addr|Write at addr|Reported by Kernel|value changed|no locks "
    r"held|other info|"
    r"Possible unsafe|CPU0\s|----\s|lock\(|\*\*\* DEADLOCK|\#\d+: |is trying to|but task|already holding|which "
    r"lock|to a lock|hardirqs|softirqs|rcu_scheduler_active|debug_locks|May be due|INFO: lockdep is turned off|"
    r"in_atomic|preempt_count|RCU nest|Preemption|\{[\w-]+\}|"
    r"rcu: |\d+-\.{3}|\d+-[.!A-Z]{3}|\(detected by|\(t=\d|Tasks blocked|blocking rcu|Task dump for|Showing busy|"
    r"workqueue \w|pwq \d|in-flight|pending:|pool \d|task:|Mem-Info|active_anon|active_file|unevictable|Node \d|"
    r"DMA|Normal|lowmem_reserve|"
    r"\d+ total pagecache|\d+ pages |Free swap|Total swap|Swap cache|\[ *\d+\] +\d+ +\d+|\[ *pid|Tasks state|"
    r"oom-kill:|oom_reaper|Killed process|memory: usage|swap: usage|kmem: usage|Memory cgroup stats|anon \d|file "
    r"\d|HighMem|"
    r"slab_\w+ |\"echo 0 >|Not tainted|handlers:|\[<[0-9a-f]+>\] |Disabling IRQ|SLUB: |cache: |node \d|Padding|"
    r"Object |Redzone|Bytes b4|First byte|FIX |Slab 0x|CPU\d+ |BUG_?ON|index -?\d+ is out of|shift exponent|"
    r"division by|signed integer|load of value|member access|load of|store to|left shift|"
    r"comm \"|backtrace|hex dump|unreferenced|min_count|KASAN: |kasan: |general_protection|EIP|Oops|Unable|"
    r"FAULT_FLAG|addr:|file:|vma |pte:|pmd:|CR2|Kernel memory|Trap |Internal|Disabling lock debugging|Tainted:|"
    r"Comm: |IN:|OUT:|sysrq|SysRq"
    r")"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a task line says; None: it does not say."""

    cpu: int | None = None
    pid: int | None = None
    comm: str | None = None
    taint: str | None = None  # the line from `Tainted:` or `Not tainted` on
    release: str | None = None  # of the kernel


def kind_of(text: str, after: LineKind) -> LineKind:
    """Classify a line; `after`: kind of the previous line of the report, because a list may continue on this one."""
    if _CUT.match(text):
        return LineKind.CUT
    if _END.match(text):
        return LineKind.END
    if _END_PANIC.match(text):
        return LineKind.END_PANIC
    if parse_frame(text) is not None or parse_inline(text) is not None:
        return LineKind.FRAME
    return _heading(text, after)


def _heading(text: str, after: LineKind) -> LineKind:
    for pattern, kind in _HEADINGS:
        if pattern.match(text):
            return kind
    if parse_pointer(text) is not None:
        return LineKind.POINTER
    if (
        after is LineKind.MODULES
        and _MODULE_LIST.match(text)
        and (text[:1] == " " or text.count(" ") > 2 or "(" in text)
    ):
        return LineKind.MODULES
    return LineKind.BODY if _BODY.match(text) else LineKind.FOREIGN


_HEADINGS: tuple[tuple[re.Pattern[str], LineKind], ...] = (
    (re.compile(r"Modules linked in:"), LineKind.MODULES),
    (re.compile(r"Unloaded tainted modules:|\s*\[last unloaded"), LineKind.UNLOADED),
    (_TAINT_NAMES, LineKind.TAINT),
    (_TASK, LineKind.TASK),
    (_CPU_TAINT, LineKind.TASK),
    (_HUNG, LineKind.TASK),
    (_TASK_OLD, LineKind.TASK),
    (_BACKTRACE, LineKind.BACKTRACE),
    (_TRACE, LineKind.TRACE),
    (_OTHER_TRACE, LineKind.OTHER_TRACE),
)


def parse_task(text: str) -> Task:
    """Parse the line with CPU, process and taint, in any of its forms."""
    match = _TASK.match(text) or _CPU_TAINT.match(text)
    if match is not None:
        groups = match.groupdict()
        taint, release = _taint(groups.get("rest") or "")
        return Task(
            cpu=_number(groups.get("cpu")),
            pid=_number(groups.get("pid")),
            comm=groups.get("comm"),
            taint=taint,
            release=release,
        )
    match = _TASK_OLD.match(text)
    if match is not None:
        named = {key.rstrip("2345"): value for key, value in match.groupdict().items() if value is not None}
        return Task(pid=_number(named.get("pid")), comm=named.get("comm"))
    taint, release = _taint(text)
    return Task(taint=taint, release=release)


def _taint(rest: str) -> tuple[str | None, str | None]:
    at = max(rest.find("Tainted: "), rest.find("Not tainted"))
    if at < 0:
        return None, None
    text_from = rest[at:]
    release = _RELEASE.search(text_from)
    return text_from, None if release is None else release["release"]


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def parse_modules(text: str) -> tuple[tuple[LinkedModule, ...], str | None]:
    """Parse `Modules linked in:`, or a line that continues it: the modules, and the last one unloaded or None."""
    unloaded = _UNLOADED.search(text)
    listed = (
        text.split("[last unloaded", 1)[0].removeprefix("Modules linked in:").removeprefix("Unloaded tainted modules:")
    )
    match = (_MODULE.match(word) for word in listed.split())
    modules = tuple(
        LinkedModule(name=module["name"], flags=module["flags"] or "") for module in match if module is not None
    )
    return modules, None if unloaded is None else unloaded["name"]


_ARCHES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("x86", re.compile(r"\s*(?:R?[EI]?IP: [0-9a-f]{4}:|EIP: |EIP is at|RAX: |EAX: |#PF: |R[BS]P: )")),
    ("arm64", re.compile(r"\s*(?:pstate: |x29: |Mem abort info|Internal error: Oops: [0-9a-f]{8,}|pc : [\w.]+\+)")),
    ("arm", re.compile(r"\s*(?:PC is at |pc : \[<|Internal error: .*\bARM\b|8<--- cut here|Flags: .*Mode )")),
    ("powerpc", re.compile(r"\s*(?:NIP |NIP: |GPR00: |LE PAGE_SIZE|BE PAGE_SIZE|Instruction dump:)")),
    ("riscv", re.compile(r"\s*(?:epc : |status: .*(?:badaddr|cause)|scause)")),
    ("s390", re.compile(r"\s*(?:Krnl PSW|Krnl GPRS|Failing address: |Last Breaking-Event)")),
    ("mips", re.compile(r"\s*(?:epc   : |Cp0|PrId  : |Cause : |\$ 0   : )")),
    ("loongarch", re.compile(r"\s*(?:ERA: |era: |PRMD: |CRMD: |ESTAT: )")),
    ("sparc", re.compile(r"\s*(?:TSTATE: |TPC: |PSR: [0-9a-f]|I7: <)")),
    ("parisc", re.compile(r"\s*(?:IAOQ\[|IASQ: |PSW: [01]{8})")),
    ("m68k", re.compile(r"\s*(?:PC: \[<|SR: [0-9a-f]{4} )")),
)


def arch_of(text: str) -> str | None:
    """Return the architecture whose kernel alone prints such a line; None for all other lines."""
    for arch, pattern in _ARCHES:
        if pattern.match(text):
            return arch
    return None
