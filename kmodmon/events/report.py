"""A report of the kernel about its own failure, assembled from lines of the kernel log."""

import enum
from dataclasses import dataclass

from kmodmon.events.event import Severity
from kmodmon.kernel.taint import Letters
from kmodmon.types.units import JsonObject


class ReportClass(enum.StrEnum):
    """Classes of reports; the values are public."""

    OOPS = "oops"
    BUG = "bug"
    WARNING = "warning"
    PANIC = "panic"
    STACK_OVERFLOW = "stack_overflow"
    CORRUPTION = "corruption"
    REFCOUNT = "refcount"
    SOFT_LOCKUP = "soft_lockup"
    HARD_LOCKUP = "hard_lockup"
    RCU_STALL = "rcu_stall"
    HUNG_TASK = "hung_task"
    WORKQUEUE_STALL = "workqueue_stall"
    LOCKDEP = "lockdep"
    ATOMIC_SLEEP = "atomic_sleep"
    KASAN = "kasan"
    KFENCE = "kfence"
    KMSAN = "kmsan"
    KCSAN = "kcsan"
    UBSAN = "ubsan"
    LEAK = "leak"
    OOM = "oom"
    PAGE_ALLOCATION = "page_allocation"
    NETDEV_REFCOUNT = "netdev_refcount"
    MACHINE_CHECK = "machine_check"
    IO_ERROR = "io_error"
    FILESYSTEM = "filesystem"
    NMI = "nmi"
    MODULE_TAINT = "module_taint"
    MODULE_LOAD_FAILURE = "module_load_failure"
    LOCKDOWN_DENIAL = "lockdown_denial"
    OTHER = "other"

    @property
    def is_notice(self) -> bool:
        """Whether it has an event kind of its own and is no failure of the kernel; listed only on request."""
        return self in _NOTICES


_NOTICES = frozenset({ReportClass.MODULE_TAINT, ReportClass.MODULE_LOAD_FAILURE, ReportClass.LOCKDOWN_DENIAL})


class LoadFailure(enum.StrEnum):
    """Why the kernel refused a module, by its log line; the values are public (metric label `reason`)."""

    UNSIGNED = "unsigned"
    KEY_UNAVAILABLE = "key_unavailable"
    KEY_REJECTED = "key_rejected"
    UNSUPPORTED_CRYPTO = "unsupported_crypto"
    BAD_SIGNATURE = "bad_signature"
    HASH_REVOKED = "hash_revoked"
    LOCKDOWN = "lockdown"
    LSM = "lsm"
    BLACKLISTED = "blacklisted"
    UNKNOWN_SYMBOL = "unknown_symbol"
    GPL_ONLY_SYMBOL = "gpl_only_symbol"
    SYMBOL_VERSION = "symbol_version"
    VERSION_MAGIC = "version_magic"
    NAMESPACE = "namespace"
    DUPLICATE_SYMBOL = "duplicate_symbol"
    ALREADY_LOADED = "already_loaded"
    BAD_FORMAT = "bad_format"
    BAD_PARAMETER = "bad_parameter"
    DECOMPRESSION = "decompression"
    NO_MEMORY = "no_memory"
    INIT = "init"
    LIVEPATCH = "livepatch"
    REQUEST_MODULE = "request_module"
    TIMEOUT = "timeout"


class FaultReason(enum.StrEnum):
    """The evidence by which a report is attributed to a module, the strongest first; the values are public."""

    BANNER = "banner"  # the report's first line names one of the module's functions
    INSTRUCTION = "instruction"  # the instruction pointer was in the module
    BELOW_DETECTOR = "below_detector"  # the first frame below the code that detected the error
    TAINTING_FRAME = "tainting_frame"  # the first frame of an out-of-tree or otherwise tainting module
    NAMED = "named"  # the line itself names the module


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One entry of a call trace."""

    function: str
    offset: int | None = None  # bytes from the start of the function; None: not printed
    size: int | None = None  # bytes of the function; None: not printed
    module: str | None = None  # None: built into the kernel
    reliable: bool = True  # False: printed with `?`, an address on the stack that the unwinder does not vouch for

    def __str__(self) -> str:
        return self.function if self.module is None else f"{self.function} [{self.module}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedModule:
    """One module of `Modules linked in:`."""

    name: str
    flags: str = ""  # taint letters, then `+` while it is coming or `-` while it is going

    @property
    def tainting(self) -> bool:
        """Whether it is out-of-tree, unsigned, proprietary, forced or staging."""
        return not _SUSPECT.isdisjoint(self.flags)


_SUSPECT = frozenset("POEFCX")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelReport:
    """One report; None: the lines do not say. All texts are safe texts."""

    report_class: ReportClass
    signature: str
    title: str  # without addresses, process ids and times, so that it is the same for the same bug
    severity: Severity
    fingerprint: str  # the same for the same bug
    first_line: int  # sequence number of the record, or number of the line in a saved log
    last_line: int
    cpu: int | None = None
    pid: int | None = None
    comm: str | None = None
    arch: str | None = None
    release: str | None = None
    taint: Letters | None = None  # no flags: the line says `Not tainted`
    function: str | None = None
    offset: int | None = None
    module: str | None = None
    module_reason: FaultReason | None = None
    frames: tuple[Frame, ...] = ()
    linked: tuple[LinkedModule, ...] = ()
    last_unloaded: str | None = None
    panic: bool = False
    reason: LoadFailure | None = None  # only of a refused module
    symbol: str | None = None  # only of a refused module: the symbol, parameter or file that was the reason
    printk_usec: int | None = None  # stamp of the first line by printk's clock
    lines: int = 1  # number of lines
    evidence: tuple[str, ...] = ()  # the first lines
    confirmed: bool | None = None  # whether counters or taint bits of the kernel confirm it; None: it cannot be told

    @property
    def unconfirmed(self) -> bool:
        """Whether the kernel would have counted a real report of this kind, and did not."""
        return self.confirmed is False

    @property
    def taint_letters(self) -> str | None:
        """The letters of set bits, ascending by bit, unknown ones last; empty: `Not tainted`; None: not printed."""
        if self.taint is None:
            return None
        return "".join(flag.letter for flag in self.taint.flags) + self.taint.unknown

    def to_json(self) -> JsonObject:
        """The public short form of `kmodmon explain --log --json`."""
        return {
            "class": self.report_class.value,
            "signature": self.signature,
            "title": self.title,
            "severity": self.severity.value,
            "module": self.module,
            "function": self.function,
            "taint": self.taint_letters,
            "panic": self.panic,
            "fingerprint": self.fingerprint,
            "first_line": self.first_line,
            "last_line": self.last_line,
        }

    def fields(self) -> JsonObject:
        """The public long form: `fields` of a KernelReport event, and /api/v1/reports."""
        return {
            **self.to_json(),
            "module_reason": None if self.module_reason is None else self.module_reason.value,
            "cpu": self.cpu,
            "pid": self.pid,
            "comm": self.comm,
            "arch": self.arch,
            "release": self.release,
            "offset": self.offset,
            "frames": [str(frame) if frame.reliable else f"? {frame}" for frame in self.frames],
            "linked": {module.name: module.flags for module in self.linked},
            "last_unloaded": self.last_unloaded,
            "reason": None if self.reason is None else self.reason.value,
            "symbol": self.symbol,
            "lines": self.lines,
            "confirmed": self.confirmed,
        }
