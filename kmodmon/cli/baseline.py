"""`kmodmon baseline`: write down what this host is like, see what differs since, sign the difference off."""

import argparse
import getpass
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from kmodmon import __version__
from kmodmon.cli import UsageError
from kmodmon.cli.gather import CommandInput, gather
from kmodmon.cli.output import Screen, Tint, Tinted
from kmodmon.config.document import read_limited
from kmodmon.policy.baseline_document import (
    Accepted,
    BaselineDocument,
    BaselinePart,
    HostPart,
    baseline_toml,
    parse_baseline,
)
from kmodmon.policy.drift import drift, learnt, required
from kmodmon.subjects.baseline import Baseline, BaselineState, Drift, Meta, SignedModule
from kmodmon.types.error import KmodmonError
from kmodmon.view.findings import drift_view

_LIMIT = 4 << 20  # bytes
_SOURCES = (
    "kernel", "modules", "taint", "posture", "lockdown", "secure_boot", "counters", "livepatch", "parameters",
    "builtin", "modprobe", "files",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to do, with which file, and for `accept` by whom and why."""
    parser.add_argument(
        "what", choices=("learn", "diff", "accept"),
        help="learn: write the present state down. diff: what differs from the file. accept: sign the difference off.",
    )  # fmt: skip
    parser.add_argument("--file", type=Path, metavar="FILE", help="The baseline. Default: baseline.file.")
    parser.add_argument("--force", action="store_true", help="learn: replace a file that is there.")
    parser.add_argument("--reason", metavar="TEXT", default="", help="Why this is as it should be; accept needs it.")
    parser.add_argument("--author", metavar="NAME", default="", help="Who signs it off; accept needs it.")
    parser.add_argument(
        "--parameter", metavar="GLOB", action="append", default=[],
        help="learn, accept: module.parameter to hold as well, beside those that bear on trust or are set in "
        "modprobe.d. May be given several times.",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Do it: 0 the same (or written), 1 `diff` found differences, 3 the file or the host cannot be read."""
    if args.what == "accept" and not (args.reason and args.author):
        raise UsageError("kmodmon baseline accept", "a signature wants both --reason TEXT and --author NAME")
    found = gather(args, _SOURCES, thorough=True)
    if found.state.inventory.support is None:
        raise KmodmonError(f"the list of modules cannot be read: {found.state.sources['modules'].why}")
    path: Path = args.file or found.settings.baseline.file
    match args.what:
        case "learn":
            return _learn(args, found, path)
        case "diff":
            return _diff(args, found, path)
        case _:
            return _accept(args, found, path)


def _learn(args: argparse.Namespace, found: CommandInput, path: Path) -> int:
    if os.path.lexists(path) and not args.force:
        raise KmodmonError(f"{path}: is there already; --force replaces it, `baseline accept` signs differences off")
    part = learnt(found.state, tuple(args.parameter))
    _write(path, BaselineDocument(meta=_meta(args, found), base=part))
    count = f"{len(part.modules)} modules, {len(part.parameters)} parameters, {len(part.posture)} settings"
    Screen.of(args).line(f"{path}: {count}. Review it before you sign it off (kmodmon baseline accept).")
    return 0


def _diff(args: argparse.Namespace, found: CommandInput, path: Path) -> int:
    differences = _differences(found, _document(path).for_host(host_name(found)))
    screen = Screen.of(args)
    if args.json:
        screen.json([drift_view(one) for one in differences])
    elif not differences:
        screen.line(Tinted("as in the baseline", Tint.GOOD), f" {path}")
    else:
        for one in differences:
            screen.line(Tinted(one.kind.value, Tint.WARN), f" {one.sentence}")
    return 1 if differences else 0


def _accept(args: argparse.Namespace, found: CommandInput, path: Path) -> int:
    document = _document(path)
    host = host_name(found)
    differences = _differences(found, document.for_host(host))
    screen = Screen.of(args)
    now = learnt(found.state, (*document.for_host(host).parameters, *args.parameter))
    meta = _meta(args, found)
    accepted = Accepted(meta=meta, changes=tuple(one.sentence for one in differences))
    _write(path, replace(accept(document, now, host), meta=meta, accepted=(*document.accepted, accepted)))
    for one in differences:
        screen.line(f"accepted: {one.sentence}")
    screen.line(f"{path}: {len(differences)} difference{'s' * (len(differences) != 1)} signed off by {args.author}")
    return 0


def accept(document: BaselineDocument, now: BaselinePart, host: str) -> BaselineDocument:
    """The document that `now` agrees with on this host. In one for a fleet, only this host's own part changes."""
    if not document.hosts:
        return replace(document, base=_merged(document.base.modules, now))
    others = tuple(one for one in document.hosts if one.match != (host,))
    known = replace(document, hosts=others).for_host(host)
    return replace(document, hosts=(*others, HostPart(match=(host,), part=_own_part(known, now))))


def _merged(before: Mapping[str, SignedModule | None], now: BaselinePart) -> BaselinePart:
    """What is there now, and what need not be there and is not."""
    optional = {name: one for name, one in before.items() if one is not None and one.optional}
    modules = {
        name: replace(one, optional=True) if one is not None and name in optional else one
        for name, one in now.modules.items()
    }
    return replace(now, modules=MappingProxyType({**optional, **modules}))


def _own_part(known: Baseline, now: BaselinePart) -> BaselinePart:
    """What this host needs over the common part to be as it is now."""
    modules: dict[str, SignedModule | None] = {}
    for name, one in now.modules.items():
        was = known.modules.get(name)
        signed = replace(one, optional=was.optional) if one is not None and was is not None else one
        if signed != was:
            modules[name] = signed
    for name in required(known) - now.modules.keys():
        modules[name] = None
    return BaselinePart(
        kernel=None if now.kernel == known.kernel else now.kernel,
        modules=MappingProxyType(modules),
        parameters=_others(known.parameters, now.parameters),
        posture=_others(known.posture, now.posture),
        taint=None if now.taint == known.taint else now.taint,
    )


def _others(known: Mapping[str, str], now: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name: value for name, value in now.items() if known.get(name) != value})


def _differences(found: CommandInput, baseline: Baseline) -> tuple[Drift, ...]:
    state = replace(found.state, baseline=BaselineState(baseline=baseline))
    there = state.inventory.modules.keys() | state.inventory.builtin
    return drift(baseline, state, frozenset(required(baseline) - there))


def _document(path: Path) -> BaselineDocument:
    try:
        raw = read_limited(path, _LIMIT)
    except FileNotFoundError:
        raise KmodmonError(f"{path}: there is no baseline; `kmodmon baseline learn` writes one") from None
    except OSError as error:
        raise KmodmonError(f"{path}: cannot be read: {error.strerror}") from error
    if raw is None:
        raise KmodmonError(f"{path}: larger than {_LIMIT} bytes; is it a baseline?")
    return parse_baseline(raw, str(path))


def _meta(args: argparse.Namespace, found: CommandInput) -> Meta:
    return Meta(
        reason=args.reason,
        author=args.author or _user(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        host=host_name(found),
        kmodmon=__version__,
    )


def host_name(found: CommandInput) -> str:
    """The name of the host that is looked at."""
    return found.root.text(found.root.proc(b"sys", b"kernel", b"hostname")) or ""


def _user() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _write(path: Path, document: BaselineDocument) -> None:
    """Replace the file in one step, so that the daemon never reads half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(fd, "w", encoding="utf-8") as stream:
                stream.write(baseline_toml(document))
                os.fchmod(fd, 0o644)
                os.fsync(fd)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise KmodmonError(f"{path}: cannot be written: {error.strerror}") from error
    except ValueError as error:  # a word of the command line that is not UTF-8
        raise KmodmonError(f"{path}: cannot be written: {error}") from error
