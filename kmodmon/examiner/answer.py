"""Answers a request: finds the file and the package of each module, and examines the file."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kmodmon.examiner.certificates import KernelFacts, Trust, TrustRequest, gather_trust
from kmodmon.examiner.examine import examine_file
from kmodmon.examiner.image import ImageLimits
from kmodmon.examiner.locate import ModuleTree, module_tree
from kmodmon.examiner.package import Owners, find_owners
from kmodmon.examiner.protocol import Answer, Closing, ExamineRequest, Same, WantedModule
from kmodmon.examiner.tree import FileError, HostTree, stamp_of
from kmodmon.lifecycle.inventory import ModuleAttributes, SignatureStatus
from kmodmon.subjects.module_file import ModuleFile, SignatureFacts, Stamp, TreeOrigin, same_build
from kmodmon.types.codec import ShapeError, from_json, to_json
from kmodmon.types.text import raw_bytes, safe_text

_MAX_CANDIDATES = 4
_NO_FILE = SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason="there is no file to examine", errno="?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    request: ExamineRequest
    host: HostTree
    tree: ModuleTree
    trust: Trust
    limits: ImageLimits


def answer(request: ExamineRequest, problems: Sequence[str] = ()) -> Iterator[Answer]:
    """Yield one answer for each module, then for each file, in their order, then the closing one; raises FileError.

    `problems`: what the closing answer says beside the problems of reading.
    """
    host = request.host
    tree = module_tree(host, request.release)
    kernel_facts, misread = _known_kernel(request)
    places = TrustRequest(
        release=request.release,
        sysfs=request.sysfs,
        efivars=request.efivars,
        certificates=request.certificates,
        revoked=request.revoked,
        kernel=kernel_facts,
    )
    trust = gather_trust(host, places)
    context = _Context(
        request=request, host=host, tree=tree, trust=trust, limits=ImageLimits(max_bytes=request.max_bytes)
    )
    modules = [(module, _is_known(context, module)) for module in request.modules]
    paths = {module.name: _paths(tree, module.name) for module, is_known in modules if not is_known}
    owners = _owners(context, [*(path for candidates in paths.values() for path in candidates[:1]), *request.files])
    for module, is_known in modules:
        yield Same(name=module.name) if is_known else _module(context, module, paths[module.name], owners)
    for path in request.files:
        yield _with_owner(context, _examine(context, path, None), path, owners)
    kernel = None if trust.kernel is None else to_json(trust.kernel)
    texts = (*problems, *misread, *trust.problems, *tree.problems, *owners.problems)
    yield Closing(kernel=kernel, trust=trust.digest, problems=tuple(map(_shown, texts)))


def _known_kernel(request: ExamineRequest) -> tuple[KernelFacts | None, list[str]]:
    if request.kernel is None:
        return None, []
    try:
        return from_json(KernelFacts, request.kernel, "kernel"), []
    except ShapeError as error:
        return None, [str(error)]


def _paths(tree: ModuleTree, name: str) -> tuple[str, ...]:
    """Give the candidate paths for a module name, which may be any bytes; () for a name that no file can have."""
    plain = raw_bytes(name).decode("utf-8", "surrogateescape")
    return tree.candidates(plain)[:_MAX_CANDIDATES]


def _is_known(context: _Context, wanted: WantedModule) -> bool:
    if wanted.known_path is None or wanted.known_stamp is None or context.request.trust != context.trust.digest:
        return False
    return _stamp(context.host, wanted.known_path) == wanted.known_stamp


def _stamp(host: HostTree, path: str) -> Stamp | None:
    try:
        return stamp_of(os.lstat(host.resolved(path)))
    except (OSError, ValueError, FileError):
        return None


def _owners(context: _Context, paths: list[str]) -> Owners:
    if not context.request.packages:
        return Owners()
    return find_owners(context.host, context.request.release, [_real(context.host, path) for path in paths])


def _real(host: HostTree, path: str) -> str:
    try:
        return host.real(path)
    except FileError:
        return path


def _module(context: _Context, wanted: WantedModule, paths: tuple[str, ...], owners: Owners) -> ModuleFile:
    """Examine the file that modules.dep names, unless another file of that name is the build that is loaded."""
    if not paths:
        trust = context.trust.digest
        return ModuleFile(name=wanted.name, signature=_NO_FILE, problem="no file of this name", trust=trust)
    loaded = ModuleAttributes(srcversion=wanted.srcversion, build_id=wanted.build_id)
    first = _examine(context, paths[0], wanted.name)
    if same_build(loaded, first) is False:
        others = [path for path in context.tree.elsewhere(wanted.name) if path != paths[0]]
        for path in others[:_MAX_CANDIDATES]:
            other = _examine(context, path, wanted.name)
            if same_build(loaded, other):
                return _with_owner(context, other, path, _owners(context, [path]))
    return _with_owner(context, first, paths[0], owners)


def _examine(context: _Context, path: str, name: str | None) -> ModuleFile:
    origin = context.tree.origin(path)
    if origin is TreeOrigin.OUTSIDE:
        # a user may name the tree by its real path, /usr/lib/modules
        prefix = _real(context.host, context.tree.directory)
        if path.startswith(prefix + "/"):
            origin = context.tree.origin(context.tree.directory + path[len(prefix) :])
    return examine_file(context.host, path, trust=context.trust, limits=context.limits, origin=origin, name=name)


def _with_owner(context: _Context, file: ModuleFile, path: str, owners: Owners) -> ModuleFile:
    return replace(file, package=owners.packages.get(_real(context.host, path)))


def _shown(text: str) -> str:
    return safe_text(text.encode("utf-8", "surrogateescape"))
