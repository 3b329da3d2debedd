"""Fingerprints of reports: equal for the same bug, on every boot and every machine."""

import hashlib


def fingerprint(*parts: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the parts, joined by line feeds."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def notice_fingerprint(report_class: str, signature: str, module: str | None, symbol: str | None) -> str:
    """Return the fingerprint of a notice: a line that is an event of its own."""
    return fingerprint(report_class, signature, module or "", symbol or "")
