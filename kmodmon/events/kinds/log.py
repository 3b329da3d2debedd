"""Event kinds of the kernel log: reports, forgeries, losses."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from kmodmon.events.event import EventDetails, EventKind, EventType, member
from kmodmon.types.units import JsonObject

if TYPE_CHECKING:  # a command that shows events makes none
    from kmodmon.events.report import KernelReport


class KernelReported(EventDetails):
    """The kernel reported a failure of its own."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("KernelReport"),
        message_id="5710123c711b4c2597cbee9577ad0fb5",
        sentence="[Unconfirmed{unconfirmed}: ]{title|The kernel reported a failure}[ in module {module}]",
        title="The kernel reported a failure of its own",
        advice="Class, signature, the module at fault and why it is that are in KMODMON_FIELDS, the first lines "
        "in KMODMON_EVIDENCE. `confirmed` is false when the kernel's own counters and taint bits do not know of it: "
        "then the text is a forgery, as a rule.\n"
        "`kmodmon events --type KernelReport --since 1h`, `dmesg`.",
        provokable=True,
    )
    report: "KernelReport"

    @property
    def signature(self) -> str:
        """The log signature of the report."""
        return self.report.signature

    @property
    def believed(self) -> bool:
        """Whether the kernel's own numbers confirm the report, or cannot tell."""
        return not self.report.unconfirmed

    def fields(self) -> JsonObject:
        """The report's own fields, and when it was printed; `unconfirmed` is there only when it is true."""
        fields = {**self.report.fields(), "printk_usec": self.report.printk_usec}
        return fields if self.believed else {**fields, "unconfirmed": True}


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
    """The kernel log has records that imitate a kernel report: user space wrote them, or had the kernel print them."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("LogForged"),
        message_id="a1aa49ea7f19431bb76a600545c58f51",
        sentence="A process wrote into the kernel log what looks like {signature|a kernel report}[: {evidence}]",
        title="A process wrote words of a kernel report into the kernel log",
        advice="It was no report of the kernel, and nothing was counted as one. Whoever may write /dev/kmsg tries "
        "to mislead monitoring, or a program repeats what it read. Facility 0 is the kernel's own: a user chose text "
        "that the kernel printed, and neither its counters nor its taint bits know of such a report.",
        provokable=True,
    )
    count: int  # records since the previous event of this kind
    signature: str | None  # that one of them imitates; this and the fields below are None if no record was kept
    facility: int | None  # syslog facility of that record
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


class ReportsSuppressed(EventDetails):
    """More different kernel reports came than are told one by one."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ReportsSuppressed"),
        message_id="5a49c73dde9845319232d09955990cde",
        sentence="{count|Some} kernel reports were counted and not told one by one[: {signatures}][, {others} others]",
        title="More different kernel reports came than are told one by one",
        advice="The kernel falls apart, or somebody forges reports to hide a real one. Reports that the kernel's own "
        "counters confirm have a share of their own, which others do not use up.\n"
        "`kmodmon events --type KernelReport --since 1h`, `dmesg`.",
        provokable=True,
    )
    count: int  # reports since the previous event of this kind
    signatures: Mapping[str, int]  # reports by log signature, the most frequent ones
    others: int = member(default=0, optional=True)  # reports of other signatures
