"""Event kinds of the trust posture: settings, lockdown, module parameters."""

from typing import ClassVar

from kmodmon.events.event import Event, EventDetails, EventKind, EventType, member


class SettingChanged(EventDetails):
    """A setting of the trust posture changed; each subclass is an event kind of its own."""

    setting: str
    old: int | str
    new: int | str
    direction: str  # weakened, hardened, or changed where the values have no order


class LockdownChanged(SettingChanged):
    """The lockdown mode changed."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("LockdownChanged"),
        message_id="523a12963ef44e39a9589ebbea770996",
        sentence="Lockdown changed[ from {old}][ to {new}]",
        title="The kernel's lockdown mode changed",
        advice="It can only be tightened while the kernel runs. A weaker mode means a reboot with other options, "
        "or a changed kernel.\n"
        "`kmodmon status`.",
    )


def _denial_name(event: Event) -> str:
    details = event.details
    return f"{details.comm} {details.what}" if isinstance(details, LockdownDenied) else ""


class LockdownDenied(EventDetails):
    """Lockdown denied an operation to a process, by a line of the kernel log."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("LockdownDenied"),
        message_id="4e3efd60c08848af9f48db00d4bf0ae1",
        sentence="Lockdown refused {what|something}[ to {comm}]",
        title="Lockdown refused something",
        advice="A process wanted what a locked-down kernel does not allow even root. KMODMON_FIELDS says what, "
        "and who.",
        provokable=True,
        budget_name=_denial_name,
    )
    signature: str  # the log signature of the refusal
    what: str | None  # the operation, in the words of the kernel; None: the line does not say
    comm: str | None  # name of the task
    printk_usec: int | None  # printk's clock
    repeats: int = member(default=0, optional=True)  # the same of the same task, since it was last told
    unreported: int = member(default=0, key="untold", optional=True)  # others


class ModulesDisabled(SettingChanged):
    """kernel.modules_disabled changed."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ModulesDisabled"),
        message_id="72543aa8776f4b6ea1b5c70e3b4f67c3",
        sentence="Disabling of module loading (modules_disabled) changed[ from {old}][ to {new}]",
        title="Loading of modules was switched off, or is possible again",
        advice="kernel.modules_disabled stays set until reboot; that it fell within one means a reboot or a "
        "changed kernel.",
    )


class SignatureEnforcementChanged(SettingChanged):
    """Whether the kernel refuses unsigned modules changed."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("SignatureEnforcementChanged"),
        message_id="48390dcc741343f29ccd1b717072ce90",
        sentence="Enforcement of module signatures changed[ from {old}][ to {new}][: {explanation}]",
        title="Enforcement of module signatures changed",
        advice="KMODMON_FIELDS says which of parameter, command line, configuration and lockdown decides now.\n"
        "`kmodmon status`.",
    )
    deciders: tuple[str, ...]
    explanation: str


class PostureChanged(SettingChanged):
    """Any other setting of the trust posture changed."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("PostureChanged"),
        message_id="5e5d8527823844f59ba155eafcc96c6e",
        sentence="{setting|A setting} changed[ from {old}][ to {new}][, {direction}]",
        title="A setting that bears on the kernel's trust changed",
        advice="Setting, old and new value and the direction are in KMODMON_FIELDS. `kmodmon status`.",
    )


class ParameterChanged(EventDetails):
    """The value of a parameter of a loaded module changed between two readings."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ParameterChanged"),
        message_id="b5ebffb02e4740778accf67b9252dadb",
        sentence="Parameter {parameter|?}[ of module {module}] changed[ from {old}][ to {new}]",
        title="A parameter of module @KMODMON_MODULE@ changed",
        advice="Parameters change how a module works while it runs. Old and new value are in KMODMON_FIELDS, "
        "hidden if the name sounds like a secret.",
    )
    parameter: str
    old: str  # redacted and bounded
    new: str
    redacted: bool
