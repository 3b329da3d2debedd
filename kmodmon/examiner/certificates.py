"""Certificates on this host that vouch for modules, and what has been revoked.

| where | counts as |
|---|---|
| the kernel image of the release (`kernel_image`) | builtin; its second list is revoked |
| /lib/modules/RELEASE/build/certs/signing_key.x509 | build (a kernel built here) |
| EFI variables db; MokListRT, MokListTrustedRT of shim | platform; machine |
| EFI variables dbx; MokListXRT of shim | revoked: certificates, and hashes of certificates and of files |
| directories that the operator named | configured; revoked |
| DKMS's and shim-signed's own key | local: names a signer, vouches for nothing |

/proc/keys would tell what the running kernel has on its keyrings, but only names, and only to root.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from kmodmon.examiner.kernel_image import find_image, image_stamp, read_kernel_image
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.kernel.efivar import parse_efivar
from kmodmon.modfile.efi_signature_list import SignatureLists, parse_signature_lists
from kmodmon.modfile.x509 import Certificate, parse_certificate, parse_certificates
from kmodmon.subjects.module_file import Keyring, Stamp
from kmodmon.types.error import ParseError

_SECURITY_DATABASE = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
_SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
_TRUSTED_VARIABLES = (
    (f"db-{_SECURITY_DATABASE}", Keyring.PLATFORM),
    (f"MokListRT-{_SHIM}", Keyring.MACHINE),
)
_REVOKED_VARIABLES = (f"dbx-{_SECURITY_DATABASE}", f"MokListXRT-{_SHIM}")
# shim also gives them without attributes and without firmware behind them (drivers/firmware/efi/mokvar-table.c)
_MOK_TABLE = "firmware/efi/mok-variables"
_LOCAL_KEYS = ("/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der", "/root/mok/MOK.der")
_FILE_LIMIT = 1 << 20
_MAX_FILES = 1000
_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A certificate, the keyring it counts for, and the file it was found in."""

    certificate: Certificate
    keyring: Keyring
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """What was learnt from one kernel image; kept by the caller, because learning it takes a second."""

    path: str
    stamp: Stamp
    trusted: tuple[bytes, ...]
    revoked: tuple[bytes, ...]
    build_id: str | None = None
    vermagic: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Everything by which signatures are judged. `problems`: places that exist and could not be read."""

    held: tuple[Held, ...] = ()
    revoked: tuple[Certificate, ...] = ()
    revoked_tbs: frozenset[str] = frozenset()
    revoked_files: frozenset[str] = frozenset()
    kernel: KernelFacts | None = None
    problems: tuple[str, ...] = ()
    digest: str = ""  # changes when any verdict might

    def is_revoked(self, certificate: Certificate) -> bool:
        """Whether a certificate is on a revocation list, itself or by its hash."""
        listed = any(certificate.fingerprint == one.fingerprint for one in self.revoked)
        return listed or certificate.tbs_fingerprint in self.revoked_tbs


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRequest:
    """Where to look. `known`: what was learnt from the kernel image before, used while the image is the same."""

    release: str
    sysfs: str
    efivars: str | None = None  # None: where sysfs has it
    certificates: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    known: KernelFacts | None = None


@dataclass(slots=True)
class _Gathered:
    held: list[Held] = field(default_factory=list)
    revoked: list[Certificate] = field(default_factory=list)
    tbs: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def digest(self) -> str:
        parts = sorted(f"{one.keyring} {one.certificate.fingerprint}" for one in self.held)
        parts += sorted(f"revoked {one.fingerprint}" for one in self.revoked)
        parts += sorted(self.tbs) + sorted(self.files)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def hold(self, raw: Iterable[bytes], keyring: Keyring, source: str) -> None:
        for one in raw:
            try:
                self.held.append(Held(certificate=parse_certificate(one), keyring=keyring, source=source))
            except ParseError as error:
                self.problems.append(f"{source}: {error}")

    def revoke(self, lists: SignatureLists, source: str) -> None:
        self.tbs |= lists.tbs_hashes
        self.files |= lists.file_hashes
        for one in lists.certificates:
            try:
                self.revoked.append(parse_certificate(one))
            except ParseError as error:
                self.problems.append(f"{source}: {error}")


def gather_trust(host: HostTree, request: TrustRequest) -> Trust:
    """Look everywhere; raises nothing, what cannot be read is among the problems."""
    found = _Gathered()
    kernel = _kernel(host, request, found)
    built = host.read_if_there(f"/lib/modules/{request.release}/build/certs/signing_key.x509", _FILE_LIMIT)
    if built is not None:
        found.hold(_any_form(built), Keyring.BUILD, f"/lib/modules/{request.release}/build/certs/signing_key.x509")
    _firmware(request, found)
    for directory in request.certificates:
        for source, raw in _directory(host, directory):
            found.hold(raw, Keyring.CONFIGURED, source)
    for directory in request.revoked:
        for source, raw in _directory(host, directory):
            found.revoke(SignatureLists(certificates=tuple(raw)), source)
    for path in _LOCAL_KEYS:
        if (raw_key := host.read_if_there(path, _FILE_LIMIT)) is not None:
            found.hold(_any_form(raw_key), Keyring.LOCAL, path)
    return Trust(
        held=tuple(found.held),
        revoked=tuple(found.revoked),
        revoked_tbs=frozenset(found.tbs),
        revoked_files=frozenset(found.files),
        kernel=kernel,
        problems=tuple(found.problems),
        digest=found.digest(),
    )


def _kernel(host: HostTree, request: TrustRequest, found: _Gathered) -> KernelFacts | None:
    path = find_image(host, request.release)
    if path is None:
        found.problems.append(f"no image of kernel {request.release} in /boot or its module tree")
        return None
    facts = request.known
    if facts is None or facts.path != path or facts.stamp != image_stamp(host, path):
        try:
            image = read_kernel_image(host, path, request.release)
        except (FileError, MemoryError) as error:
            found.problems.append(str(error) or f"{path}: not enough memory to read it")
            return None
        facts = KernelFacts(
            path=path,
            stamp=image.stamp,
            trusted=tuple(one.raw for one in image.trusted),
            revoked=tuple(one.raw for one in image.revoked),
            build_id=image.build_id,
            vermagic=image.vermagic,
        )
    found.hold(facts.trusted, Keyring.BUILTIN, path)
    found.revoke(SignatureLists(certificates=facts.revoked), path)
    return facts


def _firmware(request: TrustRequest, found: _Gathered) -> None:
    """EFI variables; sysfs is given as we see it, not as the host does."""
    for name, keyring in _TRUSTED_VARIABLES:
        lists = _variable(request, name, found)
        found.hold(lists.certificates, keyring, f"EFI variable {name.partition('-')[0]}")
    for name in _REVOKED_VARIABLES:
        found.revoke(_variable(request, name, found), f"EFI variable {name.partition('-')[0]}")


def _variable(request: TrustRequest, name: str, found: _Gathered) -> SignatureLists:
    short = name.partition("-")[0]
    table = _direct(f"{request.sysfs}/{_MOK_TABLE}", short)
    raw = _direct(request.efivars or f"{request.sysfs}/firmware/efi/efivars", name)
    try:
        if table is not None:
            return parse_signature_lists(table)
        variable = None if raw is None else parse_efivar(raw)
        return SignatureLists() if variable is None else parse_signature_lists(variable.data)
    except ParseError as error:
        found.problems.append(f"EFI variable {short}: {error}")
        return SignatureLists()


def _direct(directory: str, name: str) -> bytes | None:
    return HostTree(Path(directory)).read_if_there(name, _FILE_LIMIT)


def _directory(host: HostTree, directory: str) -> Iterable[tuple[str, tuple[bytes, ...]]]:
    for name in host.names(directory)[:_MAX_FILES]:
        path = f"{directory.rstrip('/')}/{name}"
        raw = host.read_if_there(path, _FILE_LIMIT)
        if raw is not None and not name.startswith("."):
            yield path, _any_form(raw)


def _any_form(raw: bytes) -> tuple[bytes, ...]:
    """DER certificates in a file of either form; what is neither is given as it is, so that it is complained of."""
    if b"-----BEGIN" in raw:
        return tuple(_unarmoured(block) for block in _PEM.findall(raw))
    return tuple(one.raw for one in parse_certificates(raw)) or (raw,)


def _unarmoured(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except binascii.Error:
        return block


NO_TRUST = Trust()
KEYRING_ORDER: Mapping[Keyring, int] = MappingProxyType({ring: index for index, ring in enumerate(Keyring)})
