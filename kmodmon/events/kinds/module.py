"""Event kinds of modules: loads, unloads, changes, hiding, requests, contradictions."""

from typing import ClassVar

from kmodmon.events.event import Actor, Event, EventDetails, EventKind, EventType, member

ROOT = "root"
"""Begins the shares of the budget for what root did by itself: nothing that users cause draws on them."""

_KERNELS_MODPROBE = ("-q", "--")  # kernel/module/kmod.c call_modprobe()


def _failure_name(event: Event) -> str:
    """The refusal; in a share of root's, the process: each attempt of root's is told."""
    actor = event.actor
    return str(actor.process.pid) if actor is not None and _is_roots_attempt(event, actor) else _refusal(event)


def _failure_share(event: Event) -> str:
    """A share for each refusal of root's: a service that tries the same again and again uses up its own."""
    actor = event.actor
    return f"{ROOT} {_refusal(event)}" if actor is not None and _is_roots_attempt(event, actor) else ""


def _refusal(event: Event) -> str:
    details = event.details
    return f"{event.module or ''} {details.reason if isinstance(details, ModuleLoadFailed) else ''}"


def _is_roots_attempt(event: Event, actor: Actor) -> bool:
    """Whether root started the tool, and told it to load what was refused, if the refusal says what.

    A refusal in the log is tied to the only tool that was started shortly before, which may be root's, and its text may
    be a user's. So a module that the tool does not name is not root's.
    """
    if actor.uid != 0 or actor.requester is not None:
        return False
    words = actor.process.cmdline
    if words is None:
        return actor.name != "modprobe" and event.module is None
    return words[1:3] != _KERNELS_MODPROBE and (event.module is None or event.module in map(_stem, words[1:]))


def _stem(argument: str) -> str:
    return argument.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _request_name(event: Event) -> str:
    return event.details.name if isinstance(event.details, ModuleRequested) else ""


def _request_share(event: Event) -> str:
    return ROOT if event.actor is not None and event.actor.uid == 0 else ""


class ModuleLoaded(EventDetails):
    """A module that was not loaded is loaded."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleLoaded"),
        message_id="544cfd9483ef40cc9e92b0de0e0f02da",
        sentence="Module {module} was loaded[ by {actor}][, signature {signature}][, taints {taints}][ while "
        "kmodmon was not running{while_down}]",
        title="Module @KMODMON_MODULE@ was loaded",
        advice="Foreign code is part of the kernel now. Who loaded it is in KMODMON_ACTOR_*, what taints it has "
        "and whether it is signed in KMODMON_FIELDS.\n"
        "`kmodmon modules @KMODMON_MODULE@` shows it, `kmodmon events --module @KMODMON_MODULE@` its "
        "history.",
    )
    signature: str  # verdict of the kernel at the load: `unsigned` if it gave the letter E, else `valid`
    taints: str  # letters of the module, in bit order
    size: int | None  # bytes; None: no reading of /proc/modules ever showed it
    state: str | None  # of /proc/modules; None as for `size`
    version: str | None
    srcversion: str | None
    build_id: str | None  # hex
    init_ms: float | None  # how long init ran; None: the trace does not say
    signals: tuple[str, ...] = member(key="witnesses")  # list, uevent, trace: what showed it
    while_down: bool = member(default=False, optional=True)  # it was loaded while kmodmon was not running


class ModuleUnloaded(EventDetails):
    """A loaded module was unloaded."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleUnloaded"),
        message_id="a990805b6a0e4dd69ac9c9aeaa0a1e66",
        sentence="Module {module} was unloaded[ by {actor}][ while kmodmon was not running{while_down}]",
        title="Module @KMODMON_MODULE@ was unloaded",
        advice="What it did to the kernel's taint stays until reboot; `kmodmon taint` names it as cause.",
    )
    taints: str
    srcversion: str | None
    lifetime_ms: float | None  # None: it was loaded before kmodmon started
    while_down: bool = member(default=False, optional=True)


class ModuleTransient(EventDetails):
    """A module was loaded and unloaded between two readings of the module list."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleTransient"),
        message_id="58d835d8b2e34c5e8d3c32521189a460",
        sentence="Module {module} was loaded and gone again before it could be read[, loaded by {actor}][, taints "
        "{taints}]",
        title="Module @KMODMON_MODULE@ came and went",
        advice="Its whole life passed between two looks at the list of modules; the trace or a uevent told of it. "
        "A module that unloads itself at once may have left code or hooks behind.\n"
        "`kmodmon events --module @KMODMON_MODULE@` shows who loaded it.",
    )
    signature: str
    taints: str
    loaded: int | None  # CLOCK_REALTIME of the load, microseconds
    lifetime_ms: float | None
    unloaded_by: str | None


class ModuleLoadFailed(EventDetails):
    """The kernel refused to load a module, or its init function failed."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleLoadFailed"),
        message_id="13455d9c046643b0b0939a0d1f023d50",
        sentence="{module|A module} could not be loaded[: {reason}][ ({symbol})][, wanted by {actor}]"
        "[, {repeats} times more since it was last told][, {untold} others before it]",
        title="A module could not be loaded",
        advice="The kernel refused it, or its init function failed; the reason is in KMODMON_FIELDS.\n"
        "`kmodmon explain 'MESSAGE'` says what the kernel's line means; `kmodmon preflight FILE.ko` lists "
        "every obstacle.",
        provokable=True,
        budget_name=_failure_name,
        budget_share=_failure_share,
    )
    reason: str  # label `reason`
    repeats: int = member(default=0, optional=True)  # the same module and reason, since it was last told
    unreported: int = member(default=0, key="untold", optional=True)  # others


class ModuleInitFailed(ModuleLoadFailed):
    """A load that was traced, and whose init function failed."""

    taints: str
    error: int | None  # what init returned, a negative errno; None: the trace does not say
    signals: tuple[str, ...] = member(key="witnesses")
    while_down: bool = member(default=False, optional=True)


class ModuleRefused(ModuleLoadFailed):
    """A load that the kernel refused, by a line of the kernel log."""

    signature: str  # the log signature of the refusal
    symbol: str | None  # the symbol, parameter or file that it failed for
    comm: str | None
    printk_usec: int | None  # printk's clock


class ModuleChanged(EventDetails):
    """A module was loaded as another build than the time before, or changed while it was loaded."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleChanged"),
        message_id="cfd23bd7b8ab462db5369a1cffe591f5",
        sentence="Module {module} is not the one it was[, srcversion {old_srcversion} became {srcversion}][, taints "
        "{old_taints} became {taints}]",
        title="Module @KMODMON_MODULE@ is another build than before",
        advice="The name is the same, srcversion or build-id is not: an upgrade, a rebuild, or a replacement. A "
        "change while the module stays loaded is none of these: somebody wrote kernel memory.\n"
        "`kmodmon modules @KMODMON_MODULE@` shows it, `kmodmon events --module @KMODMON_MODULE@` its "
        "history.",
    )
    old_srcversion: str | None
    srcversion: str | None
    old_build_id: str | None
    build_id: str | None
    old_taints: str
    taints: str
    taint_bits: int  # taint bits that it gained while it was loaded, as a mask
    while_loaded: bool


class ModuleHidden(EventDetails):
    """A loaded module is missing from a view of the kernel that must show every loaded module."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleHidden"),
        message_id="bc6ffdbdd20240899c80595765a239e5",
        sentence="Module {module} is loaded but hidden[ from {missing_from}][ ({evidence})]",
        title="Module @KMODMON_MODULE@ hides",
        advice="Some views of the kernel show the module and others, which must show it, do not; both are in "
        "KMODMON_EVIDENCE. This is what rootkits do.\n"
        "Treat the host as compromised: take it off the network and save its memory before it reboots. "
        "`kmodmon modules --hidden` shows what is known.",
    )
    missing_from: tuple[str, ...]
    seen_in: tuple[str, ...]
    confidence: str


class ModuleUnhidden(EventDetails):
    """A hidden module is shown by all views again, or by none any more."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleUnhidden"),
        message_id="20725e4851254de290b56a0aeb33c57f",
        sentence="Module {module} is not hidden any more",
        title="Module @KMODMON_MODULE@ is not hidden any more",
        advice="What hid it may come back, and may have done more than hide.\n"
        "`kmodmon events --module @KMODMON_MODULE@` shows since when it was hidden.",
    )
    missing_from: tuple[str, ...]
    since: int  # CLOCK_REALTIME, microseconds: when it was found hidden


class ModuleRequested(EventDetails):
    """A process made the kernel request a module (request_module() in the kernel)."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModuleRequested"),
        message_id="1f5e632a0f7c4cf0a4507171b95579af",
        sentence="The kernel was made to ask for module {name|?}[ by {actor}][, {untold} more before it]",
        title="A process made the kernel ask for a module",
        advice="Mounting a file system or opening a socket of an unknown kind does that; users without privileges "
        "can do it, to reach code that is seldom used.\n"
        "The requester is in KMODMON_ACTOR_*. What nobody needs is refused with `install NAME /bin/false` "
        "in modprobe.d.",
        provokable=True,
        budget_name=_request_name,
        budget_share=_request_share,
    )
    name: str  # the module or alias that was asked for
    repeats: int = 0  # requests of this name since it was last reported
    unreported: int = member(default=0, key="untold", optional=True)  # other names


class SignalsContradicted(EventDetails):
    """The sources of evidence about one module contradict each other."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("WitnessContradicted"),
        message_id="1d04f2ebb3424f7fb669a248bef45314",
        sentence="What the kernel says of {module|its modules} is contradictory[: {evidence}]",
        title="What the kernel says of its modules is contradictory",
        advice="List, uevents and trace tell of the same lives; here they do not agree, as KMODMON_EVIDENCE says. "
        "Something is hidden or forged, or a witness was switched off for a while.\n"
        "`kmodmon modules --hidden`, `kmodmon doctor`.",
    )
    contradiction: str = member(key="kind")  # left_list, never_traced, ... (`kmodmon.lifecycle.pending`)
