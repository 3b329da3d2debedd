"""Certificates of this host by which module signatures are judged, and what is revoked.

| source | keyring |
|---|---|
| the kernel image of the release (`kernel_image`) | builtin; its second list is revoked |
| /lib/modules/RELEASE/build/certs/signing_key.x509 | build (a kernel built here) |
| EFI variables db; MokListRT, MokListTrustedRT of shim | platform; machine |
| EFI variables dbx; MokListXRT of shim | revoked: certificates, and hashes of certificates and of files |
| directories that the operator named | configured; revoked |
| keys of DKMS and of shim-signed | local: it names a signer, and is not trusted |

/proc/keys lists the keyrings of the running kernel, but only names, and only for root.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from kmodmon.examiner.boot import find_image, image_stamp
from kmodmon.examiner.kernel_image import read_kernel_image
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
# the same lists as shim passes them in a configuration table, without attributes (drivers/firmware/efi/mokvar-table.c)
_MOK_TABLE = "firmware/efi/mok-variables"
_LOCAL_KEYS = ("/var/lib/dkms/mok.pub", "/var/lib/shim-signed/mok/MOK.der", "/root/mok/MOK.der")
_FILE_LIMIT = 1 << 20  # bytes of a certificate file or EFI variable
_MAX_FILES = 1000  # of one directory
_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCertificate:
    """A certificate with its origin."""

    certificate: Certificate
    keyring: Keyring
    source: str  # path or EFI variable, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """What one kernel image holds. The caller keeps it for the next request, because reading it takes a second."""

    path: str  # of the host
    stamp: Stamp
    trusted: tuple[bytes, ...]  # certificates in DER
    revoked: tuple[bytes, ...]  # certificates in DER
    build_id: str | None = None  # hex; None: the image is no ELF file, or has no note
    vermagic: str | None = None  # None: not found in the image


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Everything by which signatures are judged."""

    certificates: tuple[KnownCertificate, ...] = ()
    revoked: tuple[Certificate, ...] = ()
    revoked_tbs: frozenset[str] = frozenset()  # SHA-256 of the signed part of revoked certificates, hex
    revoked_files: frozenset[str] = frozenset()  # SHA-256 of revoked files, hex
    kernel: KernelFacts | None = None  # None: no kernel image could be read
    problems: tuple[str, ...] = ()  # sources that exist and could not be read
    digest: str = ""  # of certificates and hashes; another digest means that verdicts may change

    def is_revoked(self, certificate: Certificate) -> bool:
        """Whether a certificate is on a revocation list, itself or by its hash."""
        listed = any(certificate.fingerprint == revoked.fingerprint for revoked in self.revoked)
        return listed or certificate.tbs_fingerprint in self.revoked_tbs


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRequest:
    """Where certificates are. `sysfs` and `efivars` are paths of this process, the others are the host's."""

    release: str
    sysfs: str
    efivars: str | None = None  # None: firmware/efi/efivars below `sysfs`
    certificates: tuple[str, ...] = ()  # directories of trusted certificates
    revoked: tuple[str, ...] = ()  # directories of revoked certificates
    kernel: KernelFacts | None = None  # of an earlier request, valid while the image has the same stamp


@dataclass(slots=True)
class _TrustBuilder:
    certificates: list[KnownCertificate] = field(default_factory=list)
    revoked: list[Certificate] = field(default_factory=list)
    tbs: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def digest(self) -> str:
        parts = sorted(f"{entry.keyring} {entry.certificate.fingerprint}" for entry in self.certificates)
        parts += sorted(f"revoked {entry.fingerprint}" for entry in self.revoked)
        parts += sorted(self.tbs) + sorted(self.files)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def add(self, raw: Iterable[bytes], keyring: Keyring, source: str) -> None:
        for der in raw:
            try:
                self.certificates.append(
                    KnownCertificate(certificate=parse_certificate(der), keyring=keyring, source=source)
                )
            except ParseError as error:
                self.problems.append(f"{source}: {error}")

    def revoke(self, lists: SignatureLists, source: str) -> None:
        self.tbs |= lists.tbs_hashes
        self.files |= lists.file_hashes
        for der in lists.certificates:
            try:
                self.revoked.append(parse_certificate(der))
            except ParseError as error:
                self.problems.append(f"{source}: {error}")


def gather_trust(host: HostTree, request: TrustRequest) -> Trust:
    """Read all certificates; raises nothing, what cannot be read is among the problems."""
    trust = _TrustBuilder()
    kernel = _kernel(host, request, trust)
    build_path = f"/lib/modules/{request.release}/build/certs/signing_key.x509"
    if (build_key := host.read_if_there(build_path, _FILE_LIMIT)) is not None:
        trust.add(_certificates_in(build_key), Keyring.BUILD, build_path)
    _firmware(request, trust)
    for directory in request.certificates:
        for source, raw in _directory(host, directory):
            trust.add(raw, Keyring.CONFIGURED, source)
    for directory in request.revoked:
        for source, raw in _directory(host, directory):
            trust.revoke(SignatureLists(certificates=tuple(raw)), source)
    for path in _LOCAL_KEYS:
        if (local_key := host.read_if_there(path, _FILE_LIMIT)) is not None:
            trust.add(_certificates_in(local_key), Keyring.LOCAL, path)
    return Trust(
        certificates=tuple(trust.certificates),
        revoked=tuple(trust.revoked),
        revoked_tbs=frozenset(trust.tbs),
        revoked_files=frozenset(trust.files),
        kernel=kernel,
        problems=tuple(trust.problems),
        digest=trust.digest(),
    )


def _kernel(host: HostTree, request: TrustRequest, trust: _TrustBuilder) -> KernelFacts | None:
    path = find_image(host, request.release)
    if path is None:
        trust.problems.append(f"no image of kernel {request.release} in /boot or its module tree")
        return None
    facts = request.kernel
    if facts is None or facts.path != path or facts.stamp != image_stamp(host, path):
        try:
            image = read_kernel_image(host, path, request.release)
        except (FileError, MemoryError) as error:
            trust.problems.append(str(error) or f"{path}: not enough memory to read it")
            return None
        facts = KernelFacts(
            path=path,
            stamp=image.stamp,
            trusted=tuple(certificate.raw for certificate in image.trusted),
            revoked=tuple(certificate.raw for certificate in image.revoked),
            build_id=image.build_id,
            vermagic=image.vermagic,
        )
    trust.add(facts.trusted, Keyring.BUILTIN, path)
    trust.revoke(SignatureLists(certificates=facts.revoked), path)
    return facts


def _firmware(request: TrustRequest, trust: _TrustBuilder) -> None:
    """Add the certificates of EFI variables; `sysfs` is a path of this process, not of the host."""
    for name, keyring in _TRUSTED_VARIABLES:
        lists = _variable(request, name, trust)
        trust.add(lists.certificates, keyring, f"EFI variable {name.partition('-')[0]}")
    for name in _REVOKED_VARIABLES:
        trust.revoke(_variable(request, name, trust), f"EFI variable {name.partition('-')[0]}")


def _variable(request: TrustRequest, name: str, trust: _TrustBuilder) -> SignatureLists:
    short = name.partition("-")[0]
    table = _read_variable(f"{request.sysfs}/{_MOK_TABLE}", short)
    raw = _read_variable(request.efivars or f"{request.sysfs}/firmware/efi/efivars", name)
    try:
        if table is not None:
            return parse_signature_lists(table)
        variable = None if raw is None else parse_efivar(raw)
        return SignatureLists() if variable is None else parse_signature_lists(variable.data)
    except ParseError as error:
        trust.problems.append(f"EFI variable {short}: {error}")
        return SignatureLists()


def _read_variable(directory: str, name: str) -> bytes | None:
    return HostTree(Path(directory)).read_if_there(name, _FILE_LIMIT)


def _directory(host: HostTree, directory: str) -> Iterable[tuple[str, tuple[bytes, ...]]]:
    for name in host.names(directory)[:_MAX_FILES]:
        path = f"{directory.rstrip('/')}/{name}"
        raw = host.read_if_there(path, _FILE_LIMIT)
        if raw is not None and not name.startswith("."):
            yield path, _certificates_in(raw)


def _certificates_in(raw: bytes) -> tuple[bytes, ...]:
    """Give the DER certificates of a DER or PEM file; any other content is given as it is, and refused when parsed."""
    if b"-----BEGIN" in raw:
        return tuple(_decode_pem(block) for block in _PEM.findall(raw))
    return tuple(certificate.raw for certificate in parse_certificates(raw)) or (raw,)


def _decode_pem(block: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(block.split()), validate=True)
    except binascii.Error:
        return block


NO_TRUST = Trust()
KEYRING_ORDER: Mapping[Keyring, int] = MappingProxyType({ring: index for index, ring in enumerate(Keyring)})
