"""Signs module files with the openssl program, as scripts/sign-file does: good signatures, and bad ones on purpose."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.elf_maker import sign


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A key and its self-signed certificate, in PEM files."""

    key: Path
    certificate: Path

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return _openssl("x509", "-in", self.certificate, "-outform", "DER")

    def message(self, data: bytes, *options: str, digest: str = "sha256") -> bytes:
        """A detached PKCS#7 message over `data`, without certificates and attributes unless `options` say otherwise."""
        plain = ("-noattr",) if "-attr" not in options else ()
        extra = tuple(option for option in options if option != "-attr")
        return _openssl(
            "cms", "-sign", "-binary", "-nocerts", "-nosmimecap", "-outform", "DER", "-md", digest,
            "-signer", self.certificate, "-inkey", self.key, *plain, *extra, data=data,
        )  # fmt: skip

    def sign(self, elf: bytes, *options: str, digest: str = "sha256") -> bytes:
        """`elf` with its signature appended."""
        return sign(elf, self.message(elf, *options, digest=digest))


def make_signer(directory: Path, name: str, *, key: str = "ec") -> Signer:
    """A new signer: `key` is ec (P-384) or rsa (2048)."""
    made = Signer(key=directory / f"{name}.key", certificate=directory / f"{name}.pem")
    form = ("-newkey", "rsa:2048") if key == "rsa" else ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1")
    _openssl("req", "-new", "-x509", "-nodes", "-batch", "-sha256", "-days", "36500", "-subj", f"/CN={name}", *form,
             "-keyout", made.key, "-out", made.certificate)  # fmt: skip
    return made


def _openssl(*argv: str | Path, data: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *map(str, argv)], input=data, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
