"""Makes the subjects that rules are applied to, each with the facts that conditions name.

Every loaded module and every setting of the posture is a subject. The other subjects are unusual by themselves: a
hidden module, a blacklisted module, a parameter that every user may write. They have the facts of their module too, so
that a rule can make exceptions, for example for a signer.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from kmodmon.kernel.module_name import kernel_name
from kmodmon.kernel.taint import FLAGS, Flag, Tier, decode, parse_letters
from kmodmon.lifecycle.inventory import Module
from kmodmon.lifecycle.pending import SETTLE_USEC
from kmodmon.state.state import State
from kmodmon.state.trust import kernel_verifies, provenance_of, record_of
from kmodmon.subjects.files import FileRecord
from kmodmon.subjects.modprobe import refusals
from kmodmon.subjects.module_file import OnDisk
from kmodmon.subjects.rules import Check
from kmodmon.subjects.source import SourceStatus
from kmodmon.subjects.taint import TaintEntry
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Instant

PATIENCE_USEC = 30_000_000  # longest wait for the examination of a file, which takes a second if nothing is wrong
_OTHERS_WRITE = 0o002
_MOST_CACHED = 4096  # subjects
MODPROBES = frozenset({"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe", "/usr/bin/modprobe"})
_TIERS = (Tier.SECURITY, Tier.DEGRADED, Tier.INFORMATIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One subject of rules. None: not known, or the subject has no such fact."""

    check: Check
    name: str
    module: str | None = None
    signature: str | None = None
    signer: str | None = None
    origin: str | None = None
    path: str | None = None
    package: str | None = None
    on_disk: str | None = None
    file_signature: str | None = None
    taint: str = ""
    tier: str | None = None
    parameter: str | None = None
    setting: str | None = None
    value: str | None = None
    kind: str | None = None
    evidence: tuple[str, ...] = ()
    pending: bool = False  # the file of its module is still to be examined
    settled_signature: bool = True  # the examination of the file cannot change `signature`

    def __hash__(self) -> int:
        return hash((self.check, self.name, self.taint))


def subjects(state: State, at: Instant, cache: "SubjectCache") -> Iterator[Subject]:
    """Give all subjects of the state but drift, missing modules and refused files."""
    verifies = kernel_verifies(state)
    modules = {
        name: cache.module(state, module, is_pending(state, module, at), verifies)
        for name, module in state.inventory.modules.items()
    }
    yield from modules.values()
    yield from _hidden(state, modules)
    yield from _blacklisted(state, modules)
    yield from _writable(state, modules)
    yield from _posture(state)
    yield from _taint(state, at)


class SubjectCache:
    """The latest subject of each module, with the values that it was made from."""

    def __init__(self) -> None:
        self._subjects: dict[str, tuple[tuple[object, ...], FileRecord | None, tuple[Flag, ...], Subject]] = {}

    def module(self, state: State, module: Module, pending: bool, verifies: bool | None) -> Subject:
        """Give the subject of a module; `verifies`: whether this kernel verifies signatures, None: unknown."""
        record, flags = state.files.records.get(module.name), state.taint.flags
        grounds = (module.taint, module.attributes.instance, pending, verifies)
        cached = self._subjects.get(module.name)
        if cached is not None and cached[0] == grounds and cached[1] is record and cached[2] is flags:
            return cached[3]
        if len(self._subjects) >= _MOST_CACHED:
            self._subjects.clear()
        subject = _module(state, module, pending, verifies)
        self._subjects[module.name] = (grounds, record, flags, subject)
        return subject


def _module(state: State, module: Module, pending: bool, verifies: bool | None) -> Subject:
    provenance = provenance_of(state, module)
    record = state.files.records.get(module.name)
    file, now = provenance.file, None if record is None else record.file
    package = None if file is None or file.package is None else file.package.name
    return Subject(
        check=Check.MODULE,
        name=module.name,
        module=module.name,
        signature=provenance.signature.value,
        signer=provenance.signer,
        origin=None if pending else provenance.origin.value,
        path=None if file is None else file.path,
        package=package,
        on_disk=None if provenance.on_disk is None else provenance.on_disk.value,
        file_signature=None if now is None or pending else now.signature.verdict.value,
        taint=module.taint,
        tier=tier_of(module.taint, state.taint.flags),
        evidence=tuple(_evidence(module, provenance.on_disk, None if now is None or pending else now.path)),
        pending=pending,
        # A kernel that verifies gives the letter E to unsigned and invalid modules, which only the file distinguishes.
        settled_signature="E" not in module.taint and verifies is not False,
    )


def is_pending(state: State, module: Module, at: Instant) -> bool:
    """Whether a judgement waits for the examination of the module's file."""
    if record_of(state, module) is not None:
        return False
    source = state.sources.get(SourceName.FILES)
    to_come = state.files.expected or (source is not None and source.status is SourceStatus.NOT_READ)
    if not to_come:
        return False
    loaded_at = _loaded_at(state, module.name)
    since = state.started if loaded_at is None else max(state.started, loaded_at, key=_clock)
    return at.monotonic_usec - since.monotonic_usec < PATIENCE_USEC


def _loaded_at(state: State, name: str) -> Instant | None:
    # /proc/modules may show a module before the trace is read.
    loaded, coming = state.inventory.loaded.get(name), state.lifecycle.pending_loads.get(name)
    if loaded is not None:
        return loaded.at
    return None if coming is None else coming.since


def _clock(at: Instant) -> int:
    return at.monotonic_usec


def unloaded_subject(name: str, taint: str, signature: str) -> Subject:
    """A module that was loaded and unloaded before its file could be examined."""
    return Subject(
        check=Check.MODULE, name=name, module=name, taint=taint, signature=signature, tier=tier_of(taint),
        evidence=("it is gone again",),
    )  # fmt: skip


def tier_of(letters: str, flags: tuple[Flag, ...] = FLAGS) -> str | None:
    """The worst tier among taint letters; None: no letters."""
    if not letters:
        return None
    parsed = parse_letters(letters, flags)
    tiers = {flag.tier for flag in parsed.flags} | ({Tier.DEGRADED} if parsed.unknown else set())
    return next((tier.value for tier in _TIERS if tier in tiers), None)


def missing_subjects(names: Iterable[str]) -> Iterator[Subject]:
    """Give subjects for expected modules that are missing."""
    return (Subject(check=Check.MISSING, name=name, module=name, evidence=("expected.modules",)) for name in names)


def _evidence(module: Module, on_disk: OnDisk | None, path: str | None) -> Iterator[str]:
    if module.taint:
        yield f"/proc/modules: ({module.taint})"
    if path is not None:
        yield path if on_disk in (None, OnDisk.SAME, OnDisk.UNKNOWN) else f"{path}: another build than is loaded"


def _hidden(state: State, modules: Mapping[str, Subject]) -> Iterator[Subject]:
    for name, hidden in state.hidden.findings.items():
        base = modules.get(name, Subject(check=Check.HIDDEN, name=name, module=name))
        evidence = (f"missing from {', '.join(hidden.missing_from)}", *hidden.evidence)
        yield replace(base, check=Check.HIDDEN, kind=hidden.confidence.value, evidence=evidence)


def _blacklisted(state: State, modules: Mapping[str, Subject]) -> Iterator[Subject]:
    cmdline = None if state.kernel is None else state.kernel.cmdline
    for name, module in modules.items():
        refused = refusals(name, state.modprobe, cmdline)
        if refused:
            places = tuple(f"{kind}: {place}" for kind, place in refused.items())
            yield replace(module, check=Check.BLACKLISTED, kind=next(iter(refused)), evidence=places)


def _writable(state: State, modules: Mapping[str, Subject]) -> Iterator[Subject]:
    for owner, parameters in state.parameters.parameters.items():
        for name, parameter in parameters.items():
            if parameter.mode is not None and parameter.mode & _OTHERS_WRITE:
                path = f"/sys/module/{owner}/parameters/{name}"
                base = modules.get(owner, Subject(check=Check.PARAMETER, name=owner, module=owner))
                yield replace(
                    base, check=Check.PARAMETER, name=f"{owner}.{name}", parameter=name,
                    value=f"{parameter.mode:04o}", evidence=(f"{path}: mode {parameter.mode:04o}",),
                )  # fmt: skip
    for owner, paths in state.files.writable.items():
        if owner in modules:
            for path in paths:
                yield replace(modules[owner], check=Check.ENTRY, name=path, path=path, evidence=(path,), pending=False)


def _posture(state: State) -> Iterator[Subject]:
    for setting, value in state.posture.facts.items():
        text = str(value)
        yield Subject(check=Check.POSTURE, name=setting, setting=setting, value=text, evidence=(f"{setting}={text}",))
    switches = state.posture.switches
    if switches is None or not switches.modprobe or switches.modprobe in MODPROBES:
        return
    built = None if state.kernel is None or state.kernel.config is None else state.kernel.config.values
    if built is None or built.get("CONFIG_MODPROBE_PATH") != switches.modprobe:
        evidence = (f"/proc/sys/kernel/modprobe: {switches.modprobe}",)
        yield Subject(
            check=Check.HELPER, name="modprobe", setting="modprobe", value=switches.modprobe, evidence=evidence
        )


def unsettled_flags(state: State, at: Instant) -> frozenset[int]:
    """Bits set by a module that is not reported as loaded yet: log and trace are read before /proc/modules."""
    return frozenset(
        entry.bit
        for entry in state.taint.ledger.values()
        if entry.module is not None and entry.module not in state.inventory.loaded and _is_new(state, entry, at)
    )


def _is_new(state: State, entry: TaintEntry, at: Instant) -> bool:
    age = SETTLE_USEC if entry.since is None else at.monotonic_usec - entry.since.monotonic_usec
    return entry.module in state.lifecycle.pending_loads or age < SETTLE_USEC


def _taint(state: State, at: Instant) -> Iterator[Subject]:
    """Give subjects for set flags that no loaded module carries: a flag of a loaded module is judged with the module.

    A flag with a finding stays a subject when a module with its letter is loaded, because the kernel stays tainted.
    """
    flags, modules = state.taint.flags, state.inventory.modules.values()
    unsettled = unsettled_flags(state, at)
    reported = {finding.subject for finding in state.findings.current.values() if finding.check is Check.TAINT}
    letters_of_modules = {module.taint for module in modules}
    carried = {flag.bit for letters in letters_of_modules for flag in parse_letters(letters, flags).flags}
    for flag in decode(state.taint.value or 0, flags):
        entry = state.taint.ledger.get(flag.bit)
        if entry is None:
            continue
        if flag.label in reported:
            yield _flag(flag, entry)
        elif flag.bit in carried or flag.bit in unsettled or flag.bit in state.taint.pending:
            continue  # its cause may be a module that the next reading of /proc/modules shows
        elif entry.module is None or entry.module not in state.inventory.loaded:
            yield _flag(flag, entry)


def _flag(flag: Flag, entry: TaintEntry) -> Subject:
    evidence = (f"cause: {entry.cause}", *entry.evidence)
    return Subject(
        check=Check.TAINT, name=flag.label, module=entry.module, taint=flag.letter, tier=flag.tier.value,
        setting=flag.label, kind=entry.cause.kind.value, evidence=evidence,
    )  # fmt: skip


def expected_modules(state: State, names: Iterable[str]) -> Mapping[str, bool]:
    """Whether each expected module is loaded or built in; {} before /proc/modules was read."""
    if state.inventory.support is None:
        return {}
    present = state.inventory.modules.keys() | state.inventory.builtin
    return {name: name in present for name in map(kernel_name, names)}
