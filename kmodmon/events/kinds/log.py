"""Event kinds of the kernel log: reports, forgeries, losses."""

from typing import TYPE_CHECKING, ClassVar

from kmodmon.events.event import EventDetails, EventKind, EventType
from kmodmon.types.units import JsonObject

if TYPE_CHECKING:  # a command that shows events makes none
    from kmodmon.events.report import KernelReport


class KernelReported(EventDetails):
    """The kernel reported a failure of its own."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("KernelReport"),
        message_id="5710123c711b4c2597cbee9577ad0fb5",
        sentence="{title|The kernel reported a failure}[ in module {module}]",
        title="The kernel reported a failure of its own",
        advice="Class, signature, the module at fault and why it is that are in KMODMON_FIELDS, the first lines "
        "in KMODMON_EVIDENCE.\n"
        "`kmodmon events --type KernelReport --since 1h`, `dmesg`.",
        provokable=True,
    )
    report: "KernelReport"

    @property
    def signature(self) -> str:
        """The log signature of the report."""
        return self.report.signature

    def fields(self) -> JsonObject:
        """The report's own fields, and when it was printed."""
        return {**self.report.fields(), "printk_usec": self.report.printk_usec}


class PreviousBootReported(KernelReported):
    """A report of an earlier boot, from a dump that pstore kept."""

    dump: str  # kind and backend of the dump: `dmesg-efi`, `console-ramoops`
    dump_reason: str | None
    dump_realtime: int | None  # CLOCK_REALTIME, microseconds: when the dump was written
    dump_parts_missing: int
    kernel_only: bool  # False: the text does not say which lines user space wrote
    unreported: int = 0  # further reports of earlier boots that are only counted

    def fields(self) -> JsonObject:
        """The report's own fields, and those of the dump."""
        fields = {
            **KernelReported.fields(self),
            "previous_boot": True,
            "dump": self.dump,
            "dump_reason": self.dump_reason,
            "dump_realtime": self.dump_realtime,
            "dump_parts_missing": self.dump_parts_missing,
            "kernel_only": self.kernel_only,
        }
        return {**fields, "untold": self.unreported} if self.unreported else fields


class LogForged(EventDetails):
    """Records of the kernel log imitate a kernel report: user space wrote them, or chose a name or text in them."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("LogForged"),
        message_id="a1aa49ea7f19431bb76a600545c58f51",
        sentence="A process brought into the kernel log what looks like {signature|a kernel report}[: {evidence}]",
        title="A process brought words of a kernel report into the kernel log",
        advice="It was no report of the kernel, and nothing was counted as one. Whoever may write /dev/kmsg tries "
        "to mislead monitoring, or a program repeats what it read. With facility 0 the kernel printed the record: any "
        "user can choose the name of a task, or an option of a mount, that the kernel prints.",
        provokable=True,
    )
    count: int  # records since the previous event of this kind
    signature: str | None  # that one of them imitates; this and the fields below are None if no record was kept
    facility: int | None  # syslog facility of that record; 0: the kernel printed text that a user chose
    seq: int | None  # sequence number of that record


class LogLost(EventDetails):
    """Records of the kernel log were overwritten before they were read."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("LogLost"),
        message_id="334b48ed764e42128df85de79b34a2a4",
        sentence="{lost|Some} records of the kernel log were lost",
        title="Records of the kernel log were overwritten before they were read",
        advice="A flood, or kmodmon was held up; reports may have been among them.\n"
        "A larger ring (`log_buf_len=`) holds more; `kmodmon doctor` shows how the source does.",
        provokable=True,
    )
    lost: int  # records since the previous event of this kind
    next_seq: int | None  # sequence number of the record that is read next
    lost_in_all: int  # records lost since the boot
