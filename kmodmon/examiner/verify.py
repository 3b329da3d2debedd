"""Verifies a module's signature with the certificates of this host, and says why when that cannot be done.

As the kernel does (crypto/asymmetric_keys): the certificate is found by issuer and serial number or by key id, not by
trial; its key must be of the kind that the signature names. A signature that does not match is refused even where
signatures are not enforced. A signature covers everything before it in the file.
"""

from dataclasses import dataclass, replace

from kmodmon.examiner.certificates import KEYRING_ORDER, KnownCertificate, Trust
from kmodmon.examiner.hashing import Digests, HashRequest, hash_image
from kmodmon.examiner.image import Image
from kmodmon.examiner.public_key import Unverifiable, fits, issued, message_prefix
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.modfile.der import NotDer
from kmodmon.modfile.module_signature import TAIL_BYTES, Trailer, check_trailer, parse_trailer
from kmodmon.modfile.pkcs7 import LIMIT, SignedData, SignerInfo, objection, parse_signed_data
from kmodmon.modfile.x509 import Certificate, parse_certificate
from kmodmon.subjects.module_file import Keyring, SignatureFacts
from kmodmon.types.error import ParseError

_MAX_CHAIN = 8
_ANSWERS = {"ENOPKG": SignatureStatus.UNKNOWN, "ENOKEY": SignatureStatus.SIGNED, "?": SignatureStatus.UNKNOWN}
CHANGED = "the signature does not fit: the file was changed after it was signed, or the key is another one of that name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The verdict, and the hash of the whole file, which is computed in the same pass."""

    signature: SignatureFacts
    sha256: str  # hex


def verify(image: Image, trust: Trust) -> Examined:
    """Verify the signature of an open module file; raises FileError when the file cannot be read."""
    facts, message = _read(image)
    if message is None:
        return Examined(signature=facts, sha256=hash_image(image, HashRequest()).whole)
    signers = [(info, _candidates(info, message, trust)) for info in message[1].signers]
    wanted = HashRequest(
        signed_bytes=message[0].signed_bytes,
        digests=frozenset(info.digest for info in message[1].signers),
        prefixes=frozenset(
            prefix
            for info, certificates in signers
            for entry in certificates
            if (prefix := message_prefix(info, entry.certificate))
        ),
    )
    digests = hash_image(image, wanted)
    verdicts = [_judge(facts, info, certificates, digests, trust) for info, certificates in signers]
    invalid = next((facts for facts in verdicts if facts.verdict is SignatureStatus.INVALID), None)
    valid = next((facts for facts in verdicts if facts.verdict is SignatureStatus.VALID), verdicts[0])
    verdict = invalid or valid
    if digests.whole in trust.revoked_files:
        verdict = _refused(verdict, "EKEYREJECTED", "this very file is on the firmware's revocation list", revoked=True)
    return Examined(signature=verdict, sha256=digests.whole)


def _read(image: Image) -> tuple[SignatureFacts, tuple[Trailer, SignedData] | None]:
    """Parse the signature; None instead of the message: the verdict in the facts is final."""
    tail = image.read(max(0, image.size - TAIL_BYTES), TAIL_BYTES)
    try:
        trailer = parse_trailer(tail, image.size)
    except ParseError as error:
        return _plain("EBADMSG", error.why), None
    if trailer is None:
        return SignatureFacts(verdict=SignatureStatus.UNSIGNED, reason="no signature appended", errno="ENODATA"), None
    refusal = check_trailer(trailer)
    if refusal is not None:
        return replace(_plain(refusal.errno, refusal.why), log=refusal.log, form=trailer.id_name), None
    facts = SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason="", form=trailer.id_name)
    if trailer.signature_bytes > LIMIT:
        return _refused(facts, "EMSGSIZE", f"{trailer.signature_bytes} bytes of signature, more than {LIMIT}"), None
    try:
        message = parse_signed_data(image.read(trailer.signed_bytes, trailer.signature_bytes))
    except NotDer as error:
        return _refused(facts, "?", f"the signature is not in DER: {error.why}"), None
    except ParseError as error:
        return _refused(facts, "EBADMSG", f"the signature cannot be read: {error.why}"), None
    if message.signers:
        facts = _describe(facts, message.signers[0])
    problem = objection(message)
    if problem is not None:
        return _refused(facts, problem.errno, problem.why), None
    return facts, (trailer, message)


def _plain(errno: str, why: str) -> SignatureFacts:
    return _refused(SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason=""), errno, why)


def _refused(facts: SignatureFacts, errno: str, why: str, *, revoked: bool = False) -> SignatureFacts:
    verdict = _ANSWERS.get(errno, SignatureStatus.INVALID)
    return replace(facts, verdict=verdict, errno=errno, reason=why, revoked=revoked)


def _describe(facts: SignatureFacts, info: SignerInfo) -> SignatureFacts:
    return replace(facts, signer=info.signer, key=info.key_text, digest=info.digest, algorithm=info.algorithm)


def _is_signer(info: SignerInfo, certificate: Certificate) -> bool:
    if info.key_id is not None:
        return certificate.key_id == info.key_id
    return (certificate.issuer, certificate.serial) == (info.issuer, info.serial)


def _candidates(info: SignerInfo, message: tuple[Trailer, SignedData], trust: Trust) -> list[KnownCertificate]:
    """Give the certificates that the signature names, by keyring, revoked ones first; else one that it encloses."""
    certificates = [entry for entry in trust.certificates if _is_signer(info, entry.certificate)]
    certificates.sort(key=lambda entry: KEYRING_ORDER[entry.keyring])
    for certificate in trust.revoked:
        if _is_signer(info, certificate):
            certificates.insert(
                0, KnownCertificate(certificate=certificate, keyring=Keyring.LOCAL, source="revocation list")
            )
    if not certificates:
        certificates = [entry for raw in message[1].certificates if (entry := _enclosed(raw, info, message[1], trust))]
    return certificates


def _enclosed(raw: bytes, info: SignerInfo, message: SignedData, trust: Trust) -> KnownCertificate | None:
    """Give the enclosed certificate of the signer, with the keyring of its issuer; None when it is not the signer's."""
    try:
        certificate = parse_certificate(raw)
    except ParseError:
        return None
    if not _is_signer(info, certificate):
        return None
    enclosed = [certificate]
    for other in message.certificates[:_MAX_CHAIN]:
        try:
            enclosed.append(parse_certificate(other))
        except ParseError:
            continue
    last = certificate
    for _ in range(_MAX_CHAIN):
        for trusted in trust.certificates:
            if trusted.certificate.subject == last.issuer and issued(trusted.certificate, last):
                return KnownCertificate(
                    certificate=certificate, keyring=trusted.keyring, source=f"issued by {trusted.source}"
                )
        above = next((trusted for trusted in enclosed if trusted.subject == last.issuer and trusted is not last), None)
        if above is None or not issued(above, last):
            break
        last = above
    return KnownCertificate(certificate=certificate, keyring=Keyring.LOCAL, source="enclosed in the signature")


def _judge(
    facts: SignatureFacts, info: SignerInfo, certificates: list[KnownCertificate], digests: Digests, trust: Trust
) -> SignatureFacts:
    facts = _describe(facts, info)
    if not certificates:
        errno = "ENOKEY" if trust.kernel is not None else "?"
        why = "no certificate of this signer on this host"
        return replace(facts, verdict=SignatureStatus.SIGNED, errno=errno, reason=why)
    if info.signed_attributes is not None and info.message_digest != digests.signed.get(info.digest):
        return _refused(facts, "EKEYREJECTED", CHANGED)
    for entry in certificates:
        try:
            good = fits(info, entry.certificate, digests)
        except Unverifiable as error:
            return replace(facts, verdict=SignatureStatus.SIGNED, errno="?", reason=str(error))
        if not good:
            return _refused(_named(facts, entry), "EKEYREJECTED", CHANGED)
        if trust.is_revoked(entry.certificate):
            why = f"the certificate {entry.certificate.name} is revoked"
            return _refused(_named(facts, entry), "EKEYREJECTED", why, revoked=True)
    return _accepted(_named(facts, certificates[0]), certificates[0])


def _accepted(facts: SignatureFacts, entry: KnownCertificate) -> SignatureFacts:
    if entry.keyring is Keyring.LOCAL:
        why = f"it fits the key {entry.certificate.name} ({entry.source}), which nothing here declares trusted"
        return replace(facts, verdict=SignatureStatus.SIGNED, errno="ENOKEY", reason=why)
    return replace(
        facts, verdict=SignatureStatus.VALID, errno=None, reason=f"verified with a certificate from {entry.source}"
    )


def _named(facts: SignatureFacts, entry: KnownCertificate) -> SignatureFacts:
    certificate = entry.certificate
    return replace(facts, certificate=certificate.name, fingerprint=certificate.fingerprint, keyring=entry.keyring)
