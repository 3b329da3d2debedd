"""Fingerprints: the same for the same bug, on every boot and every machine."""

import hashlib


def fingerprint(*parts: str) -> str:
    """Give 16 hexadecimal digits for the parts in their order."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def saying_fingerprint(report_class: str, signature: str, module: str | None, symbol: str | None) -> str:
    """The fingerprint of a line that is an event of its own."""
    return fingerprint(report_class, signature, module or "", symbol or "")
