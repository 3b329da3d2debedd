"""The file a loaded module came from, as the examiner saw it: what it says, who signed it, whether that holds.

Everything in it is what a file on disk claims, except `SignatureFacts.verdict`, which is ours. All texts are safe
texts; paths are the host's, without the prefix under which a container mounts it.
"""

import enum
from dataclasses import dataclass

from kmodmon.lifecycle.inventory import ModuleAttributes, SignatureStatus
from kmodmon.types.codec import to_json
from kmodmon.types.units import JsonObject


class TreeOrigin(enum.StrEnum):
    """Where in the module tree a file lies (depmod searches updates first; what is outside only insmod finds)."""

    KERNEL = "kernel"
    UPDATES = "updates"
    EXTRA = "extra"
    WEAK_UPDATES = "weak-updates"
    DKMS = "dkms"
    OTHER = "other"  # in the tree, in a directory of another name
    OUTSIDE = "outside"  # not in the tree of this kernel
    MISSING = "missing"  # no file of this name was found


class Keyring(enum.StrEnum):
    """Where a certificate was found; all but `local` vouch for a module."""

    BUILTIN = "builtin"  # in the kernel image of this release
    BUILD = "build"  # certs/signing_key.x509 of the kernel's build directory
    PLATFORM = "platform"  # EFI db
    MACHINE = "machine"  # shim's MokList
    CONFIGURED = "configured"  # a directory that the operator named
    LOCAL = "local"  # a key of this host's own, such as DKMS's, that nothing declares trusted


class OnDisk(enum.StrEnum):
    """How a loaded module compares to the file of its name."""

    SAME = "same"
    REPLACED = "replaced"  # another build lies there, newer than the load
    ELSEWHERE = "elsewhere"  # another build lies there, and did at the load: what is loaded came from another file
    DELETED = "deleted"  # no file of this name
    UNKNOWN = "unknown"  # neither build-id nor srcversion on both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What tells a file from its replacement without reading it."""

    device: int
    inode: int
    size: int  # bytes on disk
    mtime_nsec: int  # whoever writes the file may set it, and package managers do
    ctime_nsec: int  # nobody can set it: when this inode last changed, so when it was put there


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Who installed a file. `manager`: dpkg, rpm, pacman or dkms; None: the database does not say the version."""

    manager: str
    name: str
    version: str | None = None

    def to_json(self) -> JsonObject:
        """Give the public JSON: `kmodmon info --json`, the API."""
        return to_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFacts:
    """The signature of a file: our verdict with its reason, and what the signature says of itself (None: nothing).

    `errno` is the kernel's answer to this file for an enforcing kernel that has the same certificates: None it is
    accepted, ENODATA unsigned, ENOKEY signer unknown, ENOPKG not supported (these three are refused only where
    signatures are enforced), anything else refused by every kernel.
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
    """A parameter as the author describes it; None: not given."""

    name: str
    type: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFile:
    """One examined file. `problem` says why something is missing here; None: all was read."""

    name: str  # as the kernel will call it, or as asked for
    path: str | None = None  # None: there is no file
    origin: TreeOrigin = TreeOrigin.MISSING
    compression: str | None = None  # gzip, xz, zstd; None: not compressed
    stamp: Stamp | None = None
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
    build_id: str | None = None
    signature: SignatureFacts = SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason="not examined")
    package: Package | None = None
    problem: str | None = None
    trust: str = ""  # digest of the certificates that the verdict was made with

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
