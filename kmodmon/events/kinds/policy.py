"""Event kinds of policy, baseline and watched files."""

from typing import ClassVar

from kmodmon.events.event import EventDetails, EventKind, EventType, member


class PolicyViolated(EventDetails):
    """A new finding: a rule of the policy denies a subject."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("PolicyViolated"),
        message_id="e6c2b0986a254a858d29271060a9e7ca",
        sentence="Policy is violated[, rule {rule}][ by module {module}][: {evidence}]",
        title="Something is not allowed here",
        advice="A rule of the policy denies it: which one, and why, is in KMODMON_FIELDS.\n"
        "`kmodmon check --verbose` shows all findings and what to do about each.",
    )
    rule: str
    check: str
    finding: str  # the stable id of the finding
    subject: str
    reason: str


class BaselineDrifted(EventDetails):
    """A new difference between the host and its baseline."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("BaselineDrifted"),
        message_id="4f07625729d14cc6a5e664e001b671fc",
        sentence="Not as in the baseline[: {kind}][ {name}][, module {module}][: {evidence}]",
        title="Something is not as it was signed off",
        advice="`kmodmon baseline diff` shows all differences, `kmodmon baseline accept` signs them off.",
    )
    drift: str = member(key="kind")  # label `kind`
    name: str
    expected: str | None
    actual: str | None


class FileChanged(EventDetails):
    """A file that affects modules changed."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("FileChanged"),
        message_id="542e2d07f3974fccb8225523462c6cb2",
        sentence="{path|A file} changed[: {change}][, module {module}]",
        title="A file that bears on modules changed",
        advice="Module files, modprobe.d, DKMS, certificates, policy or baseline: the path is in KMODMON_FIELDS. "
        "What is loaded stays as it is until it is loaded anew.",
    )
    tree: str  # label `tree`: one of `kmodmon.subjects.file_changes.TREES`
    path: str | None
    change: str


class TreeChanged(FileChanged):
    """Files below a watched directory were created, written, deleted or moved."""

    count: int
    created: int
    written: int
    deleted: int
    moved: int


class LoadedFileChanged(FileChanged):
    """The file of a loaded module was replaced, changed, deleted or restored."""

    on_disk: str  # value of `kmodmon.subjects.module_file.OnDisk`
    old_sha256: str | None  # of the uncompressed file, hex; None: it could not be read
    sha256: str | None
    signature: str  # verdict on the signature of the file that is there now


class LoadedFilesChanged(FileChanged):
    """The files of many loaded modules changed; one event for all of them."""

    count: int
    modules: tuple[str, ...]  # the first names, in alphabetical order


class KernelInstalled(FileChanged):
    """A kernel was installed beside the running one."""

    release: str
    newer: bool  # than the running kernel
