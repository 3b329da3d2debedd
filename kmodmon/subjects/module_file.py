"""The file of a loaded module as the examiner read it: its modinfo, its signature, the verdict on the signature.

Everything is what the file claims, except `SignatureFacts.verdict`, which kmodmon decides. All texts are safe texts.
Paths are those of the host, without the prefix under which a container mounts it.
"""

import enum
from dataclasses import dataclass

from kmodmon.lifecycle.inventory import ModuleAttributes, SignatureStatus
from kmodmon.types.codec import to_json
from kmodmon.types.units import JsonObject


class TreeOrigin(enum.StrEnum):
    """Parts of the module tree. depmod searches updates first; only insmod loads a file outside the tree."""

    KERNEL = "kernel"
    UPDATES = "updates"
    EXTRA = "extra"
    WEAK_UPDATES = "weak-updates"
    DKMS = "dkms"
    OTHER = "other"  # in the tree, in a directory of another name
    OUTSIDE = "outside"  # not in the tree of this kernel
    MISSING = "missing"  # no file of this name was found


class Keyring(enum.StrEnum):
    """The source of a certificate; all but `local` are trusted for modules."""

    BUILTIN = "builtin"  # in the kernel image of this release
    BUILD = "build"  # certs/signing_key.x509 of the kernel's build directory
    PLATFORM = "platform"  # EFI db
    MACHINE = "machine"  # shim's MokList
    CONFIGURED = "configured"  # a directory that the operator named
    LOCAL = "local"  # a signing key of this host, such as that of DKMS, which nothing declares trusted


class OnDisk(enum.StrEnum):
    """How a loaded module compares to the file of its name."""

    SAME = "same"
    REPLACED = "replaced"  # the file is another build, put there after the load
    ELSEWHERE = "elsewhere"  # the file is another build and was there at the load, so the module came from another file
    DELETED = "deleted"  # no file of this name
    UNKNOWN = "unknown"  # neither build-id nor srcversion is known of both


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Status fields of a file by which a replaced file is recognised without reading it."""

    device: int
    inode: int
    size: int  # bytes on disk
    mtime_nsec: int  # settable by the owner of the file, and set by package managers
    ctime_nsec: int  # not settable: the last change of the inode


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The package that a file belongs to."""

    manager: str  # dpkg, rpm, pacman or dkms
    name: str
    version: str | None = None  # None: the package database has none

    def to_json(self) -> JsonObject:
        """Give the public JSON: `kmodmon info --json`, the API."""
        return to_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFacts:
    """The signature of a file: the verdict with its reason, and what the signature contains (None: no such part).

    `errno` is the result of the signature check in a kernel with the same certificates. None: accepted; ENODATA:
    unsigned; ENOKEY: unknown signer; ENOPKG: unsupported algorithm (these three are refused only where signatures are
    enforced); ?: it cannot be checked here; any other is refused by every kernel.
    """

    verdict: SignatureStatus
    reason: str
    errno: str | None = None
    log: str | None = None  # the line that the kernel logs, when it logs one
    form: str | None = None  # modinfo's sig_id
    signer: str | None = None
    key: str | None = None  # serial number or key id, upper-case hex with colons
    digest: str | None = None
    algorithm: str | None = None
    certificate: str | None = None  # name of the certificate that it was verified with
    fingerprint: str | None = None  # SHA-256 of that certificate
    keyring: Keyring | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterFacts:
    """A parameter as modinfo describes it (parm, parmtype); None: not given."""

    name: str
    type: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFile:
    """One examined file; a text that is None is not in the file, or could not be read (see `problem`)."""

    name: str  # the requested name, else the one that the kernel will use
    path: str | None = None  # None: there is no file
    origin: TreeOrigin = TreeOrigin.MISSING
    compression: str | None = None  # gzip, xz, zstd; None: not compressed
    stamp: Stamp | None = None  # None: the file could not be opened
    image_bytes: int | None = None  # uncompressed
    sha256: str | None = None  # of the uncompressed file with its signature
    license: str | None = None
    version: str | None = None
    srcversion: str | None = None
    vermagic: str | None = None
    description: str | None = None
    authors: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    import_ns: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()  # of intree, staging, livepatch, test, retpoline: those it has
    parameters: tuple[ParameterFacts, ...] = ()
    build_id: str | None = None  # hex of .note.gnu.build-id
    signature: SignatureFacts = SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason="not examined")
    package: Package | None = None  # None: no package owns it, or packages were not searched
    problem: str | None = None  # what could not be read, and why; None: all was read
    trust: str = ""  # digest of the certificates by which the signature was judged; empty: not examined

    def to_json(self) -> JsonObject:
        """Give the public JSON; what is not known is null."""
        return to_json(self)


def same_build(loaded: ModuleAttributes, file: ModuleFile) -> bool | None:
    """Whether file and loaded module are one build; None when neither build-id nor srcversion is on both sides."""
    if loaded.build_id is not None and file.build_id is not None:
        return loaded.build_id == file.build_id
    if loaded.srcversion is not None and file.srcversion is not None:
        return loaded.srcversion == file.srcversion
    return None


def compare(loaded: ModuleAttributes, file: ModuleFile, loaded_by_usec: int | None) -> OnDisk:
    """Compare a loaded module to its file. `loaded_by_usec`: realtime by which it was loaded, None: not known."""
    if file.path is None:
        return OnDisk.DELETED
    same = same_build(loaded, file)
    if same is None:
        return OnDisk.UNKNOWN
    if same:
        return OnDisk.SAME
    if file.stamp is None or loaded_by_usec is None:
        return OnDisk.REPLACED
    return OnDisk.REPLACED if file.stamp.ctime_nsec // 1000 > loaded_by_usec else OnDisk.ELSEWHERE
