r"""Untrusted bytes as text that is safe to show, lossless, and valid UTF-8.

The kernel validates neither module names nor most of the text it prints: a name may hold a space, a newline, 0xFF or a
terminal escape (observed on 4.18, 6.1 and 7.2). kmodmon escapes them as the kernel's own /dev/kmsg does
(Documentation/ABI/testing/dev-kmsg): every byte of a character that is not printable, and the backslash itself, becomes
``\xNN``. So two different names never look the same, no control character reaches a label, a log or a terminal, and the
original bytes can be restored. Quoting for HTML and for labels is still the duty of whoever writes them.
"""

import re

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_PLAIN = re.compile(rb"[ -\[\]-~]*")
_NOT_PLAIN = re.compile(r"[^ -\[\]-~]")


def safe_text(raw: bytes) -> str:
    r"""Return `raw` as printable text: unprintable characters and the backslash become ``\xNN`` of their bytes."""
    if _PLAIN.fullmatch(raw):
        return raw.decode("ascii")
    return _NOT_PLAIN.sub(_shown, raw.decode("utf-8", "surrogateescape"))


def _shown(character: re.Match[str]) -> str:
    char = character[0]
    if char != "\\" and char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def printable(text: str) -> str:
    r"""Return `text` with unprintable characters as ``\xNN`` of their UTF-8 bytes; safe text stays as it is."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


def raw_bytes(text: str) -> bytes:
    """Undo :func:`safe_text`: the exact bytes of the kernel, for a path built from a module name."""
    out = bytearray()
    end = 0
    for escape in _ESCAPE.finditer(text):
        out += text[end : escape.start()].encode("utf-8", "surrogateescape")
        out.append(int(escape[1], 16))
        end = escape.end()
    return bytes(out + text[end:].encode("utf-8", "surrogateescape"))


def bounded(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters; a text that was cut ends in an ellipsis."""
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"
