"""A certificate authority for one test, and web configuration files that use it."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# what OpenSSL's strict checks want, which Python's clients switch on from 3.13
_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_YEAR = datetime.timedelta(days=365)


class Authority:
    """Issues certificates into a directory; `server.pem` and `server.key` are there from the start."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        own = self._build("test authority", self._key, ())
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        own = own.add_extension(_SIGNS, critical=True)
        own = own.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        self.file = directory / "ca.pem"
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self.issue("server")

    def _build(
        self, name: str, key: ec.EllipticCurvePrivateKey, sans: tuple[x509.GeneralName, ...]
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _YEAR)
            .not_valid_after(now + _YEAR)
        )
        if not sans:
            return builder
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(x509.SubjectAlternativeName(sans), critical=False).add_extension(
            issuer, critical=False
        )

    def issue(self, name: str, *extra: x509.GeneralName) -> tuple[Path, Path]:
        """A certificate for localhost called `name`: its file and its key's file, written anew at each call."""
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = ipaddress.ip_address("127.0.0.1")
        sans = extra or (x509.DNSName("localhost"), x509.IPAddress(loopback))
        signed = self._build(name, key, sans).sign(self._key, hashes.SHA256())
        certificate, private = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private

    def web_config(self, more: str = "", *, tls: str = "") -> Path:
        """A web configuration file with this server certificate; `tls` goes into its section, `more` below it."""
        file = self.directory / "web.yml"
        lines = ["tls_server_config:", "  cert_file: server.pem", "  key_file: server.key"]
        lines += [f"  {line}" for line in tls.splitlines()]
        file.write_text("\n".join([*lines, more, ""]))
        return file

    def client(self, name: str = "") -> ssl.SSLContext:
        """A context that trusts this authority and, with `name`, shows that certificate."""
        context = ssl.create_default_context(cafile=str(self.file))
        if name:
            context.load_cert_chain(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        return context
