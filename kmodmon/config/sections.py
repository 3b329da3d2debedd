"""The sections of the settings: one line for each setting, and the only place where a setting is declared.

A field of a section gives the TOML key (`[poll] modules`), the flag (`--poll.modules`), the type that code reads
(``settings.poll.modules`` is a :class:`Seconds`), the check, the default, the help text, the row in docs/settings.md
and the line in the file that `kmodmon export config` writes; `kmodmon.config.settings.SETTINGS` is read from them.
The docstring of a section is its text in docs/settings.md, in that file and in `--help`.

`restart=True`: a change is in force after a restart of the daemon, not after a reload; the daemon logs that.

Rejected: a flat table of `Setting("poll.modules", ...)` rows needs a second, typed declaration or untyped look-ups;
with one object per section a source is handed what it needs (`settings.kmsg`) and not all settings.
"""
# ruff: noqa: RUF009 - setting() is this table's field(): it gives a dataclass field, not a shared value

import dataclasses
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

from kmodmon.config.values import (
    Address,
    Bytes,
    Choice,
    Duration,
    Integer,
    ListenAddress,
    ListOf,
    Location,
    OptionalLocation,
    OptionalText,
    PassedSockets,
    Seconds,
    Size,
    Switch,
    Text,
    ValueType,
)
from kmodmon.kernel.parameter import NO_SECRETS, SECRET_PATTERNS
from kmodmon.types.detail import Detail

T = TypeVar("T")

DEFAULT_PORT = 10069
STATE = "/var/lib/kmodmon"
CONFIGURATION = "/etc/kmodmon"


class LogLevel(enum.StrEnum):
    """The lowest severity of log lines about kmodmon itself; events of the kernel are written at every level."""

    DEBUG = "debug"
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The metadata of a setting's dataclass field, which has its name, type and default."""

    kind: ValueType[object]
    help: str
    key: str = ""  # the last part of the key, where it is not the field's name
    flags: tuple[str, ...] = ()  # further names of the flag; the first is the one that messages name
    restart: bool = False
    environ: str = ""  # environment variable, set by systemd, that replaces the default
    below: str = ""  # of a file: its name below the directory that `environ` gives


class FieldOptions(TypedDict, total=False):
    """The optional fields of :class:`Declared`, as keyword arguments of :func:`setting`."""

    key: str
    flags: tuple[str, ...]
    restart: bool
    environ: str
    below: str


def setting(default: T, kind: ValueType[T], help: str, **more: Unpack[FieldOptions]) -> T:
    """Declare a setting as the default of a dataclass field."""
    return dataclasses.field(default=default, metadata={"declared": Declared(kind=kind, help=help, **more)})


PATH = Location()
TIMER_OFF = "no timer: read at start and when an event asks for it"
NAME_PATTERNS = ListOf(of=Text(what="a name pattern", pattern=r"[^\s/]{1,200}"))
MODULE_NAMES = ListOf(of=Text(what="a module name", pattern=r"\S{1,64}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """HTTP: metrics, API, status page. Read-only; on loopback unless you say otherwise."""

    listen: tuple[Address | PassedSockets, ...] = setting(
        (Address("127.0.0.1", DEFAULT_PORT),),
        ListOf(of=ListenAddress(), least=1, most=16),
        "Addresses to serve HTTP on. Under the shipped systemd unit only this host may connect: network.conf.example. "
        "`systemd`: the sockets that systemd passes; `systemd:NAME`: those with FileDescriptorName=NAME: "
        "socket.conf.example.",
        flags=("--listen", "--web.listen-address"),
        restart=True,
    )
    config_file: Path | None = setting(
        None,
        OptionalLocation(),
        "TLS and basic authentication, in the Prometheus exporter-toolkit's format (YAML); read again when it changes.",
        key="config.file",
        restart=True,
    )
    detail: Detail = setting(
        Detail.PUBLIC,
        Choice(Detail),
        "What a client that has not proved who it is may read: public (no values of parameters that only root may "
        "read, no addresses and registers, no command lines) or full. With basic authentication or a verified client "
        "certificate, and on web.socket, it is always full.",
    )
    hosts: tuple[str, ...] = setting(
        (),
        ListOf(of=Text(what="a host name", pattern=r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")),
        "Names under which clients may ask for this host, beside its addresses, localhost, its host name and its names "
        "in /etc/hosts; `*.example.org`: every name below, `*`: any. A request for another name is refused (421), so "
        "that a web page cannot read this host through its visitor's browser (DNS rebinding).",
    )
    socket: Path | None = setting(
        None,
        OptionalLocation(),
        'Unix socket on which root, the daemon\'s own user and web.group read everything; "": none. Under systemd, '
        "kmodmon.sock in $RUNTIME_DIRECTORY is the default: /run/kmodmon/kmodmon.sock.",
        restart=True,
        environ="RUNTIME_DIRECTORY",
        below="kmodmon.sock",
    )
    group: str = setting(
        "",
        OptionalText(what="the name of a group", pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}"),
        'Group whose processes may use web.socket; "": root and the daemon\'s own user only. The daemon has to be in '
        "it: in the unit, SupplementaryGroups= and SystemCallFilter=@chown.",
        restart=True,
    )
    max_connections: int = setting(
        64, Integer(least=4, most=4096), "Connections served at the same time; more are refused."
    )
    header_timeout: Seconds = setting(
        Seconds(5), Duration(least=0.1, most=300), "Time a client has for the TLS handshake and for a whole request."
    )
    write_timeout: Seconds = setting(
        Seconds(30), Duration(least=0.1, most=3600), "Time a client has to take a whole response."
    )
    idle_timeout: Seconds = setting(
        Seconds(75), Duration(least=1, most=3600), "Time a connection may stay open without a request."
    )


ROOTS = ("{procfs}", "{sysfs}", "{rootfs}")


def names_root(path: Path) -> bool:
    """Tell whether `path` starts with the name of another path setting."""
    return path.parts[:1] != () and path.parts[0] in ROOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """Where the kernel's interfaces are mounted. `{procfs}`, `{sysfs}` and `{rootfs}` stand for those settings."""

    procfs: Path = setting(Path("/proc"), PATH, "procfs of the host.", restart=True)
    sysfs: Path = setting(Path("/sys"), PATH, "sysfs of the host.", restart=True)
    rootfs: Path = setting(
        Path("/"), PATH, "Root directory of the host: module files, modprobe.d, DKMS, package lists.", restart=True
    )
    dev: Path = setting(Path("/dev"), PATH, "Device directory, for kmsg.", restart=True)
    tracefs: Path = setting(Path("{sysfs}/kernel/tracing"), PATH, "tracefs.", restart=True)
    securityfs: Path = setting(Path("{sysfs}/kernel/security"), PATH, "securityfs, for lockdown.", restart=True)
    debugfs: Path = setting(Path("{sysfs}/kernel/debug"), PATH, "debugfs, for the list of kprobes.", restart=True)
    efivars: Path = setting(Path("{sysfs}/firmware/efi/efivars"), PATH, "efivarfs, for Secure Boot.", restart=True)
    pstore: Path = setting(
        Path("{sysfs}/fs/pstore"), PATH, "pstore, for the last words of the previous boot.", restart=True
    )
    modules: Path = setting(
        Path("{rootfs}/lib/modules"), PATH, "Directory that holds the module tree of each kernel release.", restart=True
    )
    kallsyms: Path = setting(Path("{procfs}/kallsyms"), PATH, "Kernel symbols with their modules.", restart=True)

    def __post_init__(self) -> None:
        """Replace `{procfs}`, `{sysfs}` and `{rootfs}` in the other paths."""
        roots = dict(zip(ROOTS, (self.procfs, self.sysfs, self.rootfs), strict=True))
        for field in dataclasses.fields(self):
            path: Path = getattr(self, field.name)
            if names_root(path):
                object.__setattr__(self, field.name, roots[path.parts[0]].joinpath(*path.parts[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSettings:
    """How often a source is read when nothing wakes it. 0: no timer, only at start and when an event asks for it."""

    modules: Seconds = setting(Seconds(15), Duration(least=1, off=TIMER_OFF), "/proc/modules and /sys/module.")
    taint: Seconds = setting(Seconds(15), Duration(least=1, off=TIMER_OFF), "/proc/sys/kernel/tainted.")
    posture: Seconds = setting(
        Seconds(15),
        Duration(least=1, off=TIMER_OFF),
        "Lockdown, signature enforcement, Secure Boot and the other switches.",
    )
    parameters: Seconds = setting(Seconds(60), Duration(least=5, off=TIMER_OFF), "/sys/module/*/parameters/*.")
    crossview: Seconds = setting(
        Seconds(60), Duration(least=5, off=TIMER_OFF), "The views that a hidden module would have to be missing from."
    )
    files: Seconds = setting(
        Seconds(3600), Duration(least=60, off=TIMER_OFF), "Module files on disk, beside the watch on their directories."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSettings:
    """Module parameters. Reading one runs code of its module, with locks held: a read that hangs is given up."""

    enabled: bool = setting(True, Switch(), "Read the parameters of modules.")
    redact: tuple[str, ...] = setting(
        SECRET_PATTERNS,
        NAME_PATTERNS,
        "Parameters whose values are not shown: shell patterns, any case, held against each word of the name (`key` is "
        "in wep_key1 and apiKey, not in keyboard); one with a dot is held against module.parameter. So are "
        "secrets in command lines and in lines of the kernel's log.",
    )
    redact_allow: tuple[str, ...] = setting(NO_SECRETS, NAME_PATTERNS, "Exceptions from redact.")
    max_value_length: int = setting(256, Integer(least=16, most=4096), "Longer values are cut, in characters.")
    read_timeout: Seconds = setting(
        Seconds(2),
        Duration(least=0.05, most=60),
        "A parameter that takes longer is given up until its module is loaded anew.",
    )
    info_series: bool = setting(True, Switch(), "Expose text values as kmodmon_module_parameter_info.")
    max_series: int = setting(50_000, Integer(most=1_000_000), "Parameter series at most; the rest is counted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsgSettings:
    """The kernel log."""

    enabled: bool = setting(True, Switch(), "Read /dev/kmsg.", restart=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UeventSettings:
    """The kernel's device events, which tell of each module that is loaded or unloaded."""

    enabled: bool = setting(True, Switch(), "Listen to kernel uevents.", restart=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Trace events of the module loader, in a tracefs instance of our own."""

    enabled: bool = setting(
        True, Switch(), "Use the trace events module_load, module_free and module_request.", restart=True
    )
    instance: str = setting(
        "kmodmon",
        Text(what="a directory name", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
        "Name of the tracefs instance.",
        restart=True,
    )
    buffer: Bytes = setting(
        Bytes(64 * 1024), Size(least=4096, most=16 * 2**20), "Trace buffer of each CPU.", restart=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSettings:
    """Which process loaded or unloaded a module."""

    enabled: bool = setting(
        True, Switch(), "Look up the process behind a load, an unload and an autoload request.", restart=True
    )
    arguments: bool = setting(True, Switch(), "Keep its command line (redacted like parameters).", restart=True)
    parents_arguments: bool = setting(
        False,
        Switch(),
        "Keep the command lines of its parents as well; otherwise their names and files are kept only.",
        restart=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesSettings:
    """Module files: signature, signer, whether what is on disk is what runs."""

    enabled: bool = setting(True, Switch(), "Examine the file of each loaded module.")
    max_bytes: Bytes = setting(
        Bytes(512 * 2**20), Size(least=2**20, most=4 * 2**30), "Larger module files, unpacked, are not examined."
    )
    settle: Seconds = setting(
        Seconds(2), Duration(least=0.1, most=300), "Quiet time after a change in the module tree before it is examined."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSettings:
    """Certificates to verify module signatures with, beside those of the distribution, the kernel and the firmware."""

    directory: Path = setting(
        Path(CONFIGURATION, "certificates"), PATH, "Directory of trusted certificates (DER or PEM), used if it exists."
    )
    revoked: Path = setting(
        Path(CONFIGURATION, "revoked"), PATH, "Directory of revoked certificates (DER or PEM), used if it exists."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSettings:
    """The state you signed off; see `kmodmon baseline`."""

    file: Path = setting(Path(CONFIGURATION, "baseline.toml"), PATH, "The baseline, used if it exists.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFileSettings:
    """What may be loaded."""

    file: Path = setting(Path(CONFIGURATION, "policy.toml"), PATH, "The rules; the shipped ones if it does not exist.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSettings:
    """What should be there."""

    modules: tuple[str, ...] = setting((), MODULE_NAMES, "Modules that must be loaded; a missing one is a finding.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """Events on disk: what the daemon remembers across restarts."""

    enabled: bool = setting(True, Switch(), "Keep a history.", restart=True)
    directory: Path = setting(
        Path(STATE),
        PATH,
        "Directory of the database; systemd's $STATE_DIRECTORY replaces the default.",
        restart=True,
        environ="STATE_DIRECTORY",
    )
    max_age: Seconds = setting(
        Seconds(90 * 86_400), Duration(least=3600, off="for ever"), "Older events are removed; 0: never."
    )
    max_bytes: Bytes = setting(
        Bytes(256 * 2**20),
        Size(least=2**20),
        "When the database is larger, events go: first those that users can provoke, then the oldest.",
    )
    seal_interval: Seconds = setting(
        Seconds(900),
        Duration(least=10),
        "Time between two seals; only if `kmodmon events --setup-seal` was run.",
    )
    queue: int = setting(
        10_000,
        Integer(least=100, most=1_000_000),
        "Events that wait for the disk; more are lost, and counted.",
        restart=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """Timestamp metrics of what happened, so that an alert needs no luck between two scrapes."""

    recent: Seconds = setting(Seconds(86_400), Duration(least=60), "How long they stay after it happened.")
    max_series: int = setting(1000, Integer(least=1, most=100_000), "How many are kept; the rest is counted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """What goes to the system log."""

    events: bool = setting(True, Switch(), "Write every event to the journal (or to stderr, if that is no journal).")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """kmodmon's words about itself, on stderr or in the journal."""

    level: LogLevel = setting(LogLevel.INFO, Choice(LogLevel), "Least grave line that is written.")
