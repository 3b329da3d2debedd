"""`kmodmon baseline`: write the state of this host to a file, show what differs from it, sign the difference off."""

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
from kmodmon.policy.drift import differences_from, learn_baseline, required
from kmodmon.sources.rules import MAX_BYTES
from kmodmon.subjects.baseline import Baseline, BaselineState, Drift, Meta, SignedModule
from kmodmon.types.error import KmodmonError
from kmodmon.types.source_name import SourceName
from kmodmon.view.findings import drift_view

_SOURCES = (
    "kernel", "modules", "taint", "posture", "lockdown", "secure_boot", "counters", "livepatch", "parameters",
    "builtin", "modprobe", "files",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action, the file, and for `accept` the author and the reason."""
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
    """Learn, compare or accept. 0: written, or no difference; 1: differences; 3: file or host cannot be read."""
    if args.what == "accept" and not (args.reason and args.author):
        raise UsageError("kmodmon baseline accept", "a signature wants both --reason TEXT and --author NAME")
    host = gather(args, _SOURCES, thorough=True)
    if host.state.inventory.support is None:
        raise KmodmonError(f"the list of modules cannot be read: {host.state.sources[SourceName.MODULES].why}")
    path: Path = args.file or host.settings.baseline.file
    match args.what:
        case "learn":
            return _learn(args, host, path)
        case "diff":
            return _diff(args, host, path)
        case _:
            return _accept(args, host, path)


def _learn(args: argparse.Namespace, host: CommandInput, path: Path) -> int:
    if os.path.lexists(path) and not args.force:
        raise KmodmonError(f"{path}: is there already; --force replaces it, `baseline accept` signs differences off")
    part = learn_baseline(host.state, tuple(args.parameter))
    _write(path, BaselineDocument(meta=_meta(args, host), base=part))
    count = f"{len(part.modules)} modules, {len(part.parameters)} parameters, {len(part.posture)} settings"
    Screen.of(args).line(f"{path}: {count}. Review it before you sign it off (kmodmon baseline accept).")
    return 0


def _diff(args: argparse.Namespace, host: CommandInput, path: Path) -> int:
    differences = _differences(host, _document(path).for_host(_host_name(host)))
    screen = Screen.of(args)
    if args.json:
        screen.json([drift_view(difference) for difference in differences])
    elif not differences:
        screen.line(Tinted("as in the baseline", Tint.GOOD), f" {path}")
    else:
        for difference in differences:
            screen.line(Tinted(difference.kind.value, Tint.WARN), f" {difference.sentence}")
    return 1 if differences else 0


def _accept(args: argparse.Namespace, host: CommandInput, path: Path) -> int:
    document = _document(path)
    name = _host_name(host)
    differences = _differences(host, document.for_host(name))
    screen = Screen.of(args)
    now = learn_baseline(host.state, (*document.for_host(name).parameters, *args.parameter))
    meta = _meta(args, host)
    accepted = Accepted(meta=meta, changes=tuple(difference.sentence for difference in differences))
    _write(path, replace(accept(document, now, name), meta=meta, accepted=(*document.accepted, accepted)))
    for difference in differences:
        screen.line(f"accepted: {difference.sentence}")
    screen.line(f"{path}: {len(differences)} difference{'s' * (len(differences) != 1)} signed off by {args.author}")
    return 0


def accept(document: BaselineDocument, now: BaselinePart, host: str) -> BaselineDocument:
    """Give the document that `now` agrees with on this host; of one with parts of hosts only this host's changes."""
    if not document.hosts:
        return replace(document, base=_merged(document.base.modules, now))
    others = tuple(part for part in document.hosts if part.match != (host,))
    common = replace(document, hosts=others).for_host(host)
    return replace(document, hosts=(*others, HostPart(match=(host,), part=_host_part(common, now))))


def _merged(before: Mapping[str, SignedModule | None], now: BaselinePart) -> BaselinePart:
    """Give the present part with the optional modules of before, loaded or not, still optional."""
    optional = {name: module for name, module in before.items() if module is not None and module.optional}
    modules = {
        name: replace(module, optional=True) if module is not None and name in optional else module
        for name, module in now.modules.items()
    }
    return replace(now, modules=MappingProxyType({**optional, **modules}))


def _host_part(common: Baseline, now: BaselinePart) -> BaselinePart:
    """Give what differs in `now` from the part that is common to hosts."""
    modules: dict[str, SignedModule | None] = {}
    for name, module in now.modules.items():
        before = common.modules.get(name)
        if module is not None and before is not None:
            module = replace(module, optional=before.optional)
        if module != before:
            modules[name] = module
    for name in required(common) - now.modules.keys():
        modules[name] = None
    return BaselinePart(
        kernel=None if now.kernel == common.kernel else now.kernel,
        modules=MappingProxyType(modules),
        parameters=_differing(common.parameters, now.parameters),
        posture=_differing(common.posture, now.posture),
        taint=None if now.taint == common.taint else now.taint,
    )


def _differing(common: Mapping[str, str], now: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name: value for name, value in now.items() if common.get(name) != value})


def _differences(host: CommandInput, baseline: Baseline) -> tuple[Drift, ...]:
    state = replace(host.state, baseline=BaselineState(baseline=baseline))
    present = state.inventory.modules.keys() | state.inventory.builtin
    return differences_from(baseline, state, frozenset(required(baseline) - present))


def _document(path: Path) -> BaselineDocument:
    try:
        raw = read_limited(path, MAX_BYTES)
    except FileNotFoundError:
        raise KmodmonError(f"{path}: there is no baseline; `kmodmon baseline learn` writes one") from None
    except OSError as error:
        raise KmodmonError(f"{path}: cannot be read: {error.strerror}") from error
    if raw is None:
        raise KmodmonError(f"{path}: larger than {MAX_BYTES} bytes; is it a baseline?")
    return parse_baseline(raw, str(path))


def _meta(args: argparse.Namespace, host: CommandInput) -> Meta:
    return Meta(
        reason=args.reason,
        author=args.author or _user(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        host=_host_name(host),
        kmodmon=__version__,
    )


def _host_name(host: CommandInput) -> str:
    return host.root.text(host.root.proc(b"sys", b"kernel", b"hostname")) or ""


def _user() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _write(path: Path, document: BaselineDocument) -> None:
    """Replace the file in one step, so that the daemon never reads a part of it."""
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
    except ValueError as error:  # an author or a reason that is not UTF-8
        raise KmodmonError(f"{path}: cannot be written: {error}") from error
