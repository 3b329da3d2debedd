"""Whether a module would load on a kernel, and if not, why: the checks of the kernel's loader, in its order.

Pure: facts of files and of a kernel (`facts`) in, verdicts out. Each file is judged as if those before it that load had
been loaded. Whether init() succeeds is not answered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

from kmodmon.preflight.early import early_obstacles, forced
from kmodmon.preflight.facts import Candidate, KnownSymbol, LoaderHost
from kmodmon.preflight.symbols import Linked, is_proprietary, link
from kmodmon.preflight.verdict import Effects, LoadVerdict, Obstacle, ObstacleKind, render_verdict

__all__ = ["Effects", "LoadVerdict", "Obstacle", "ObstacleKind", "preflight", "render_verdict"]

_TAINT_FLAGS = (("staging", "C"), ("livepatch", "K"), ("test", "N"))
_ORDER = "PFCOEKN"
_UNVERIFIED = frozenset({"ENODATA", "ENOKEY", "ENOPKG"})


def preflight(files: Sequence[Candidate], host: LoaderHost) -> tuple[LoadVerdict, ...]:
    """Judge each file, in order; a file that may load is taken as loaded for the files after it."""
    verdicts: list[LoadVerdict] = []
    for number, candidate in enumerate(files):
        if number and verdicts[-1].loads is not False:
            host = _after(files[number - 1], host, verdicts[-1])
        verdicts.append(_judge(candidate, host))
    return tuple(verdicts)


def _judge(candidate: Candidate, host: LoaderHost) -> LoadVerdict:
    facts = candidate.facts
    obstacles = list(early_obstacles(candidate, host))
    linked = Linked()
    readable = candidate.file.stamp is not None and facts.elf_objection is None and facts.unreadable is None
    if readable:
        linked = link(candidate, host)
        obstacles += linked.obstacles
    effects = Effects()
    if readable:
        effects = Effects(taints=_taints(candidate, host, linked), notes=tuple(_notes(candidate, host, linked)))
    name = facts.name or candidate.file.name
    return LoadVerdict(
        file=candidate.file, name=name, release=host.release, obstacles=tuple(obstacles), effects=effects
    )


def _taints(candidate: Candidate, host: LoaderHost, linked: Linked) -> str:
    """Give the taint letters that the module and the kernel would get; uncertain ones are left out."""
    facts = candidate.facts
    letters = {letter for flag, letter in _TAINT_FLAGS if flag in facts.flags}
    if is_proprietary(facts) or linked.inherited:
        letters.add("P")
    if "intree" not in facts.flags:
        letters.add("O")
    if candidate.file.signature.errno in _UNVERIFIED and host.build.module_sig is not False:
        letters.add("E")
    if _forced_by(candidate, host):
        letters.add("F")
    return "".join(letter for letter in _ORDER if letter in letters)


def _forced_by(candidate: Candidate, host: LoaderHost) -> str | None:
    """Give the reason with which the kernel would taint itself F (forced load); None: it would not."""
    facts = candidate.facts
    if not forced(host):
        return None
    versioned = any(export.crc is not None for export in host.symbols.exported.values())
    if versioned and not facts.has_versions and not facts.extended_versions:
        return "module_layout"
    return "bad vermagic" if facts.vermagic is None else None


def _notes(candidate: Candidate, host: LoaderHost, linked: Linked) -> Iterator[str]:
    facts = candidate.facts
    if (reason := _forced_by(candidate, host)) is not None:
        yield f"it has no version information: the kernel logs '{facts.name}: {reason}: kernel tainted.' (taint F)"
    if linked.inherited:
        yield f"it inherits the taint P of {', '.join(linked.inherited)}"
    if candidate.file.compression is not None:
        form = candidate.file.compression
        yield f"it is compressed ({form}): insmod and modprobe unpack it, or leave that to the kernel"
    for rule in host.posture.modprobe:
        if rule.name == facts.name:
            yield _modprobe_note(rule.kind, rule.source, refuses=rule.refuses)
    if host.rules is None:
        yield "the kernel's image could not be read: wording of its messages is that of the newest known kernel"
    if host.symbols.complete is None:
        yield "which symbols the kernel exports is not known"
    yield from host.notes


def _modprobe_note(kind: str, source: str, *, refuses: bool) -> str:
    if kind == "blacklist":
        return f"{source} blacklists it: hardware does not load it by itself; modprobe by name and insmod still do"
    doing = "loads nothing" if refuses else "runs a command instead"
    return f"{source} has an install line for it: modprobe {doing}; insmod is not bound by that"


def _after(candidate: Candidate, host: LoaderHost, verdict: LoadVerdict) -> LoaderHost:
    """Give the host as it is with this module loaded."""
    facts = candidate.facts
    name = verdict.name
    exports = {symbol: KnownSymbol(name, *export[1:]) for symbol, export in facts.exports.items()}
    proprietary = host.proprietary | {name} if "P" in verdict.effects.taints else host.proprietary
    return replace(
        host,
        loaded=MappingProxyType({**host.loaded, name: "live"}),
        proprietary=proprietary,
        symbols=replace(host.symbols, exported=MappingProxyType({**host.symbols.exported, **exports})),
    )
