"""Checks before a module is linked: capability, signature, lockdown, ELF, blacklist, versions, duplicate names.

In the order of `init_module()` and `load_module()` in kernel/module/main.c (6.1 to 7.2; where the order differs, the
errno does not). Each check yields its obstacles; a check whose result is not known yields one that is not certain.
"""

from collections.abc import Iterator

from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.modfile.loader_elf import NEWEST
from kmodmon.modfile.vermagic import explain_difference, same_magic
from kmodmon.preflight.facts import Candidate, LoaderHost, LoadingFacts
from kmodmon.preflight.verdict import Obstacle, ObstacleKind
from kmodmon.subjects.module_file import Keyring

_LAYOUT = "module_layout"
_CERTAINLY_TRUSTED = frozenset({Keyring.BUILTIN, Keyring.BUILD})
_REASONS = {
    "ENODATA": "unsigned module",
    "ENOPKG": "module with unsupported crypto",
    "ENOKEY": "module with unavailable key",
}
_SIGN_IT = (
    "Load the distribution's signed build of it, or sign it (scripts/sign-file, kmodsign) with a key that the kernel "
    "trusts; a key of your own is enrolled with mokutil --import and a reboot."
)
_REBUILD = "Rebuild it against the headers of this kernel (for DKMS: dkms install), or install the package made for it."


def early_obstacles(candidate: Candidate, host: LoaderHost) -> Iterator[Obstacle]:
    """Yield every obstacle before the linking of symbols, in order."""
    if candidate.file.stamp is None:  # the tools open it before they ask the kernel
        why = candidate.file.problem or "the file cannot be read"
        errno = "EACCES" if why.endswith("Permission denied") else "ENOENT"
        yield Obstacle(kind=ObstacleKind.FILE, why=why, remedy="Name a readable module file.", errno=errno)
        yield from _permission(host)
        return
    yield from _permission(host)
    yield from _signature(candidate, host)
    yield from _elf(candidate.facts)
    if candidate.facts.elf_objection is None and candidate.facts.unreadable is None:
        yield from _blacklist(candidate.facts, host)
        yield from _layout_version(candidate.facts, host)
        yield from _vermagic(candidate.facts, host)
        yield from _livepatch(candidate.facts, host)
        yield from _write_exec(candidate.facts)
        yield from _loaded(candidate.facts, host)


def knows(host: LoaderHost, rule: str) -> bool:
    """Whether this kernel's loader has a check or message; `rule` is a key of modfile.loader_elf.PROBES."""
    return rule in (NEWEST if host.rules is None else host.rules.probes)


def forced(host: LoaderHost) -> bool:
    """Whether the kernel loads modules without version information, with taint F (CONFIG_MODULE_FORCE_LOAD)."""
    return host.build.force_load is not False


def _permission(host: LoaderHost) -> Iterator[Obstacle]:
    if host.posture.capable is False:
        yield Obstacle(
            kind=ObstacleKind.CAPABILITY, errno="EPERM",
            why="this user has no CAP_SYS_MODULE in the initial user namespace",
            remedy="Load it as root, outside of containers that drop the capability.",
        )  # fmt: skip
    if host.posture.modules_disabled:
        yield Obstacle(
            kind=ObstacleKind.MODULES_DISABLED, errno="EPERM",
            why="kernel.modules_disabled is 1: no module is loaded or unloaded until the next boot",
            remedy="Reboot without setting it, and load the module before it is set (modules-load.d).",
        )  # fmt: skip


def _signature(candidate: Candidate, host: LoaderHost) -> Iterator[Obstacle]:
    facts = candidate.file.signature
    if host.build.module_sig is False:
        return
    if facts.errno is None:
        yield from _foreign_key(candidate, host)
    elif facts.errno in _REASONS:
        doubtful = facts.errno == "ENOKEY" and not host.same_image
        yield from _unverified(_REASONS[facts.errno], facts.reason, host, doubtful=doubtful)
    elif facts.errno == "?":
        yield from _unverified("module whose signature cannot be judged here", facts.reason, host, doubtful=True)
    else:
        remedy = "The certificate is revoked: get a build that is signed with another key." if facts.revoked else (
            "Get the file again from its package, or sign it anew: every kernel refuses it, whether or not signatures "
            "are enforced."
        )  # fmt: skip
        log = () if facts.log is None else (facts.log,)
        yield Obstacle(kind=ObstacleKind.SIGNATURE, why=facts.reason, remedy=remedy, errno=facts.errno, log=log)


def _foreign_key(candidate: Candidate, host: LoaderHost) -> Iterator[Obstacle]:
    """The signature is valid by a certificate of this host that the kernel may not have on its keyrings."""
    keyring = candidate.file.signature.keyring
    if candidate.file.signature.verdict is not SignatureStatus.VALID or (
        keyring in _CERTAINLY_TRUSTED and host.same_image
    ):
        return
    if host.posture.sig_enforce is False and host.posture.locked_down is False:
        return
    why = f"it is signed with a {keyring} certificate, and not every kernel takes those for modules"
    remedy = "See /proc/keys as root: the key must be on .builtin_trusted_keys, .secondary_trusted_keys or .machine."
    yield Obstacle(kind=ObstacleKind.SIGNATURE, why=why, remedy=remedy, errno="EKEYREJECTED", certain=False)


def _unverified(what: str, reason: str, host: LoaderHost, *, doubtful: bool = False) -> Iterator[Obstacle]:
    posture = host.posture
    if posture.sig_enforce is not False:
        certain = posture.sig_enforce is True and not doubtful
        uncertainty = "" if posture.sig_enforce else " (whether signatures are enforced is not known)"
        log = () if doubtful else (f"Loading of {what} is rejected",)
        yield Obstacle(
            kind=ObstacleKind.SIGNATURE, errno="EKEYREJECTED", log=log, certain=certain, remedy=_SIGN_IT,
            why=f"signatures are enforced, and of this file it is said: {reason}{uncertainty}",
        )  # fmt: skip
    if posture.locked_down is not False:
        certain = posture.locked_down is True and not doubtful
        uncertainty = "" if posture.locked_down else " (whether the kernel is locked down is not known)"
        line = "Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7"
        yield Obstacle(
            kind=ObstacleKind.LOCKDOWN, errno="EPERM", log=(line,), certain=certain,
            why=f"the kernel is locked down, and of this file it is said: {reason}{uncertainty}",
            remedy=_SIGN_IT + " Lockdown ends only with a reboot without it (no lockdown= option, Secure Boot off).",
        )  # fmt: skip


def _elf(facts: LoadingFacts) -> Iterator[Obstacle]:
    remedy = "The file is damaged or made for another architecture: get it again, or rebuild it for this kernel."
    if facts.unreadable is not None:
        yield Obstacle(kind=ObstacleKind.ELF, why=facts.unreadable, remedy=remedy, errno="ENOEXEC", certain=False)
    elif facts.elf_objection is not None:
        log = (facts.elf_objection,) if facts.elf_objection else ()
        yield Obstacle(
            kind=ObstacleKind.ELF, why="its ELF structure is refused", remedy=remedy, errno="ENOEXEC", log=log
        )


def _blacklist(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    if facts.loader_name in host.posture.blacklist:
        log = (f"Module {facts.loader_name} is blacklisted",) if knows(host, "blacklist message") else ()
        yield Obstacle(
            kind=ObstacleKind.BLACKLIST, errno="EPERM", log=log,
            why="module_blacklist= on the kernel command line names it; that holds for every way of loading",
            remedy="Take it out of module_blacklist= in the boot loader's configuration and reboot.",
        )  # fmt: skip


def _layout_version(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    """Compare the checksum of `module_layout`, as `check_modstruct_version()` does.

    A file with extended version information (CONFIG_EXTENDED_MODVERSIONS, 6.14) may lack the symbol.
    """
    layout = host.symbols.exported.get(_LAYOUT)
    if layout is None or layout.crc is None:
        return
    if not facts.has_versions and not facts.extended_versions:
        if not forced(host):
            yield _versions_missing()
        return
    crc = facts.versions.get(_LAYOUT)
    if crc == layout.crc or (crc is None and facts.extended_versions):
        return
    complaint = "disagrees about version of symbol" if crc is not None else "no symbol version for"
    yield Obstacle(
        kind=ObstacleKind.MODVERSIONS,
        errno="ENOEXEC",
        log=(f"{facts.loader_name}: {complaint} {_LAYOUT}",),
        remedy=_REBUILD,
        why="it was built for a kernel whose module structures are laid out differently",
    )


def _versions_missing() -> Obstacle:
    return Obstacle(
        kind=ObstacleKind.MODVERSIONS, errno="ENOEXEC", remedy=_REBUILD,
        why="it has no symbol versions, and this kernel was built without CONFIG_MODULE_FORCE_LOAD",
    )  # fmt: skip


def _vermagic(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    if facts.vermagic is None:
        if host.build.force_load is False:
            why = "it has no version string, and this kernel was built without CONFIG_MODULE_FORCE_LOAD"
            yield Obstacle(kind=ObstacleKind.VERMAGIC, why=why, remedy=_REBUILD, errno="ENOEXEC")
        return
    if host.vermagic is None:
        why = f"the version string of {host.release} is not known; the file's is '{facts.vermagic}'"
        yield Obstacle(kind=ObstacleKind.VERMAGIC, why=why, remedy=_REBUILD, errno="ENOEXEC", certain=False)
    elif not same_magic(facts.vermagic, host.vermagic, has_crcs=facts.has_versions):
        line = f"{facts.loader_name}: version magic '{facts.vermagic}' should be '{host.vermagic}'"
        difference = explain_difference(facts.vermagic, host.vermagic)
        yield Obstacle(kind=ObstacleKind.VERMAGIC, why=difference, remedy=_REBUILD, errno="ENOEXEC", log=(line,))


def _livepatch(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    if "livepatch" not in facts.flags or host.build.livepatch:
        return
    line = f"{facts.loader_name}: module is marked as livepatch module, but livepatch support is disabled"
    yield Obstacle(
        kind=ObstacleKind.LIVEPATCH, errno="ENOEXEC", log=(line,), certain=host.build.livepatch is False,
        why="it is a live patch, and this kernel takes none", remedy="Boot a kernel with CONFIG_LIVEPATCH.",
    )  # fmt: skip


def _write_exec(facts: LoadingFacts) -> Iterator[Obstacle]:
    if facts.write_exec is not None:
        index, section = facts.write_exec
        line = f"{facts.name}: section {section} (index {index}) has invalid WRITE|EXEC flags"
        why = f"its section {section} is writable and executable"
        remedy = "Rebuild it without such a section (CONFIG_STRICT_MODULE_RWX refuses them)."
        yield Obstacle(kind=ObstacleKind.WRITE_EXEC, why=why, remedy=remedy, errno="ENOEXEC", log=(line,))


def _loaded(facts: LoadingFacts, host: LoaderHost) -> Iterator[Obstacle]:
    state = host.loaded.get(facts.name or "")
    if state is None:
        return
    remedy = f"rmmod {facts.name} first, if this build shall replace it."
    if state == "live":
        why = f"a module named {facts.name} is loaded"
        yield Obstacle(kind=ObstacleKind.ALREADY_LOADED, why=why, remedy=remedy, errno="EEXIST")
    else:
        why = f"a module named {facts.name} is just being loaded or unloaded ({state})"
        yield Obstacle(
            kind=ObstacleKind.ALREADY_LOADED, why=why, remedy="Wait until it is done.", errno="EBUSY", certain=False
        )
