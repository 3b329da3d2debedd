"""Gathers the input of preflight: the kernel's image, its headers, its module tree, and this host's posture.

Loaded modules and posture come from `State`, so nothing is read twice; the rest comes from files. For a kernel that
does not run, exports come from its image and Module.symvers, and any module of its tree may be loaded beforehand.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from kmodmon.examiner.boot import find_image
from kmodmon.examiner.certificates import KernelFacts, Trust, TrustRequest, gather_trust
from kmodmon.examiner.examine import examine_file
from kmodmon.examiner.image import ImageLimits
from kmodmon.examiner.kernel_image import KernelImage, read_kernel_image
from kmodmon.examiner.linkable import SymbolRequest, gather_symbols
from kmodmon.examiner.loading import read_loading_facts
from kmodmon.examiner.locate import ModuleTree, module_tree
from kmodmon.examiner.modprobe import modprobe_rules
from kmodmon.examiner.stock import StockModule, stock_module
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.kernel.kconfig import Kconfig, parse_kconfig
from kmodmon.kernel.note import build_id
from kmodmon.kernel.posture import SignatureEvidence, locked_down
from kmodmon.lifecycle.inventory import Module
from kmodmon.modfile.loader_elf import NEWEST, LoaderRules
from kmodmon.preflight.facts import BuildChoices, Candidate, LoaderHost, LoaderPosture
from kmodmon.state.state import State
from kmodmon.system.root import SMALL, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Read
from kmodmon.types.text import safe_text

_CONFIG_LIMIT = 16 << 20  # bytes
_CAP_SYS_MODULE = 16
_ALL_IDS = 4294967295  # size of the identity mapping in the initial user namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRequest:
    """Which files to check, and for which kernel."""

    files: tuple[str, ...]  # paths as the user wrote them
    release: str | None = None  # None: the running kernel
    certificates: tuple[str, ...] = ()  # as in `TrustRequest`
    revoked: tuple[str, ...] = ()
    limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightInput:
    """The arguments of `preflight()`, and what could not be read."""

    candidates: tuple[Candidate, ...]
    host: LoaderHost
    problems: tuple[str, ...] = ()


def gather_preflight(root: Root, state: State, request: PreflightRequest) -> PreflightInput:
    """Read files and kernel; raises FileError when the release is not installed, or the running one is not known."""
    running = None if state.kernel is None else state.kernel.release
    release = request.release or running
    if release is None:
        raise FileError("which kernel runs here is not known; name one with --kernel RELEASE")
    tree = module_tree(HostTree(Path(os.fsdecode(root.rootfs)), Path(os.fsdecode(root.modules))), release)
    image, problems = _image(tree)
    if running not in (None, release) and image is None and not tree.host.names(f"/lib/modules/{release}"):
        raise FileError(f"kernel {_shown(release)} is not installed: it has neither an image nor /lib/modules/"
                        f"{_shown(release)}; `ls /lib/modules` names those that are")  # fmt: skip
    stock = stock_module(tree)
    trust = _trust(root, tree, request, image)
    rules = _rules(image, stock)
    own_root = HostTree(Path("/"))
    candidates = tuple(
        Candidate(
            file=examine_file(own_root, path, trust=trust, limits=request.limits, origin=tree.origin(path)),
            facts=read_loading_facts(own_root, path, rules or LoaderRules(), request.limits),
        )
        for path in map(os.path.abspath, request.files)
    )
    loaded = state.inventory.modules if release == running else {}
    wanted = {symbol.name for candidate in candidates for symbol in candidate.facts.undefined}
    linkable = gather_symbols(tree, SymbolRequest(image=image, loaded=frozenset(loaded), wanted=frozenset(wanted),
                                             running=release == running))  # fmt: skip
    same_image = _same_image(root, image) if release == running else True
    host = LoaderHost(
        release=release,
        running=release == running,
        rules=rules,
        same_image=same_image,
        vermagic=_vermagic(image, stock),
        build=_build(_config(tree, state, running=release == running), state),
        posture=_posture(root, tree.host, state),
        loaded=MappingProxyType({name: module.state.value for name, module in loaded.items()}),
        proprietary=frozenset(name for name, module in loaded.items() if "P" in module.taint),
        builtin=_builtin(root, loaded.values()) if release == running else frozenset(),
        symbols=linkable.symbols,
        notes=_notes(same_image=same_image, running=release == running),
    )
    texts = (*problems, *trust.problems, *tree.problems, *linkable.problems)
    return PreflightInput(candidates=candidates, host=host, problems=tuple(dict.fromkeys(map(_shown, texts))))


def _image(tree: ModuleTree) -> tuple[KernelImage | None, list[str]]:
    path = find_image(tree.host, tree.release)
    if path is None:
        return None, []
    try:
        return read_kernel_image(tree.host, path, tree.release, exports=True), []
    except FileError as error:
        return None, [str(error)]


def _trust(root: Root, tree: ModuleTree, request: PreflightRequest, image: KernelImage | None) -> Trust:
    kernel = None
    if image is not None:
        kernel = KernelFacts(
            path=image.path,
            stamp=image.stamp,
            trusted=tuple(certificate.raw for certificate in image.trusted),
            revoked=tuple(certificate.raw for certificate in image.revoked),
            build_id=image.build_id,
            vermagic=image.vermagic,
        )
    places = TrustRequest(
        release=tree.release,
        sysfs=os.fsdecode(root.sysfs),
        efivars=os.fsdecode(root.efivars),
        certificates=request.certificates,
        revoked=request.revoked,
        kernel=kernel,
    )
    return gather_trust(tree.host, places)


def _rules(image: KernelImage | None, stock: StockModule | None) -> LoaderRules | None:
    if image is None and stock is None:
        return None
    return LoaderRules(
        probes=NEWEST if image is None else image.rules,
        bits=64 if stock is None else stock.bits,
        little_endian=stock is None or stock.little_endian,
        machine=None if stock is None else stock.machine,
        module_struct_bytes=None if stock is None else stock.module_struct_bytes,
    )


def _vermagic(image: KernelImage | None, stock: StockModule | None) -> str | None:
    if image is not None and image.vermagic is not None:
        return image.vermagic
    return None if stock is None else stock.vermagic


def _same_image(root: Root, image: KernelImage | None) -> bool:
    """Compare the build-ids of the image and of the running kernel; True when one of them is not known."""
    outcome = root.read(root.sys(b"kernel", b"notes"), SMALL)
    if image is None or image.build_id is None or not isinstance(outcome, Read):
        return True
    try:
        return build_id(outcome.value) in {image.build_id, None}
    except ParseError:
        return True


def _config(tree: ModuleTree, state: State, *, running: bool) -> Kconfig | None:
    if running and state.kernel is not None and state.kernel.config is not None:
        return state.kernel.config
    release, directory = tree.release, tree.directory
    for path in (f"/boot/config-{release}", f"{directory}/config", f"{directory}/build/.config"):
        raw = tree.host.read_if_there(path, _CONFIG_LIMIT)
        if raw is not None:
            try:
                return parse_kconfig(raw)
            except ParseError:
                continue
    return None


def _build(config: Kconfig | None, state: State) -> BuildChoices:
    if config is None:
        has_sig_enforce = state.posture.switches is not None and state.posture.switches.sig_enforce is not None
        return BuildChoices(module_sig=True if has_sig_enforce else None)
    return BuildChoices(
        module_sig=config.is_on("CONFIG_MODULE_SIG"),
        force_load=config.is_on("CONFIG_MODULE_FORCE_LOAD"),
        allow_missing_namespaces=config.is_on("CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS"),
        livepatch=config.is_on("CONFIG_LIVEPATCH"),
    )


def _posture(root: Root, host: HostTree, state: State) -> LoaderPosture:
    switches = state.posture.switches
    command_line = None if state.kernel is None else state.kernel.cmdline
    evidence = SignatureEvidence(
        lockdown=state.posture.lockdown,
        lsm=state.posture.lsm,
        cmdline=command_line,
        config=None if state.kernel is None else state.kernel.config,
    )
    return LoaderPosture(
        capable=_capable(root),
        modules_disabled=None if switches is None else switches.modules_disabled,
        sig_enforce=None if switches is None else switches.sig_enforce,
        locked_down=locked_down(evidence),
        blacklist=() if command_line is None else command_line.module_blacklist,
        modprobe=modprobe_rules(host, () if command_line is None else command_line.modprobe_blacklist),
    )


def _capable(root: Root) -> bool | None:
    """Whether this process has CAP_SYS_MODULE in the initial user namespace; None: not known."""
    status, mapping = root.text(root.proc(b"self", b"status"), SMALL), root.text(root.proc(b"self", b"uid_map"))
    if status is None or mapping is None:
        return None
    line = next((line for line in status.splitlines() if line.startswith("CapEff:")), "")
    try:
        capable = bool(int(line.partition(":")[2], 16) >> _CAP_SYS_MODULE & 1)
    except ValueError:
        return None
    return capable and mapping.split() == ["0", "0", str(_ALL_IDS)]


def _builtin(root: Root, loaded: Iterable[Module]) -> frozenset[str]:
    """Give the names that have a directory in /sys/module and are no loaded modules."""
    outcome = root.directories(root.sys(b"module"))
    names = {safe_text(name) for name in outcome.value} if isinstance(outcome, Read) else set()
    return frozenset(names - {module.name for module in loaded})


def _notes(*, same_image: bool, running: bool) -> tuple[str, ...]:
    notes = []
    if not same_image:
        notes.append(
            "the kernel image in /boot is another build than the kernel that runs: answers may be off until a reboot"
        )
    if not running:
        notes.append("enforcement, lockdown and blacklists are those of the host as it is booted now")
    return tuple(notes)


def _shown(text: str) -> str:
    return safe_text(text.encode("utf-8", "surrogateescape"))
