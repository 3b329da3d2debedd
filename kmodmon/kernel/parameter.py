r"""/sys/module/*/parameters/*: values of module parameters, and which of them are secrets.

Interface: kernel/params.c `param_get_*` (Documentation/ABI/testing/sysfs-module). The module declares the mode (0: no
file; 0200: unreadable to root too). st_size is always 4096 and says nothing; a value has one page at most.
Absent: modules without visible parameters have no directory `parameters`.

Facts the code below is written from:

- bool and invbool print `Y` or `N`; integers decimal; charp and string their bytes, a NULL charp `(null)`; all with a
  newline. Arrays join with commas; an empty array is zero bytes without a newline.
- hexint prints `0x00beef`, since Linux kernel commit 7d8365771ffb ("moduleparams: Add hexint type parameter") (in
  v5.10).
- A module's own getter prints anything: no newline, several lines, 4095 bytes that are no UTF-8.
- No interface tells the type: a charp that holds `5` looks like an integer. The kind of a value is its form alone.

The name decides whether its value is a secret. A pattern is compared with each *word* of the name (`wep_key1`
and `apiKey` have the word `key`; `keyboard`, `monkey` and `hotkey` do not), with runs of words (`api_key`) and with the
whole name; the globs `*` and `?` match inside words, so `*passw*` covers `dbpassword`. A boolean is no secret, whatever
its name (`libnvdimm.key_revalidate`).
"""

import enum
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from kmodmon.types.text import bounded, raw_bytes, safe_text

REDACTED = "<redacted>"
SECRET_PATTERNS: tuple[str, ...] = (
    "*passw*", "*passphrase*", "pass", "pwd", "*secret*", "*token", "*tokens", "*credential*", "cred", "creds",
    "key", "keys", "*apikey", "*authkey", "*hostkey", "*privkey", "*privatekey", "*secretkey", "*cryptkey", "wpakey",
    "wepkey", "psk", "*cookie", "pin", "auth", "passcode", "seed", "private", "hmac", "salt",
)  # fmt: skip
# Parameters of the kernel's own modules whose names suggest a secret and that hold sizes, times, and a number of a pin
# (of the 4,800 parameters that the modules of Debian's kernels 6.1, 6.12 and 7.2 have).
NO_SECRETS: tuple[str, ...] = (
    "auth_hashtable_size", "auth_max_cred_cachesize", "expired_cred_retry_delay", "f71862fg_pin", "key_expire_timeo",
    "report_key_events",
)  # fmt: skip
_NAME_MAX = 128  # characters; of a longer name the end counts
_SHORT = 32  # bytes; values up to this length are cached
_WORD = re.compile(r"[A-Z]*[^\W_A-Z]+|[A-Z]+")
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]{0,19})")
_HEX = re.compile(rb"0x[0-9a-fA-F]{1,16}")
_BINARY = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


class ParameterKind(enum.StrEnum):
    """The form of a value."""

    NUMBER = "number"  # decimal, or hexadecimal with 0x
    BOOLEAN = "boolean"  # `Y` or `N`
    TEXT = "text"
    EMPTY = "empty"  # an empty string, an empty array, or the NULL pointer `(null)`
    ARRAY = "array"  # elements with commas between
    BINARY = "binary"  # control characters, or no UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterValue:
    """One value as printed by its getter."""

    kind: ParameterKind
    text: str  # safe text, without the last newline, cut to the limit
    number: int | None = None  # of NUMBER, and 1 or 0 of BOOLEAN; None: another kind
    checksum: int | None = None  # CRC-32 of a value that was cut, so that a change behind the cut shows; None: not cut


def parse_parameter(raw: bytes, limit: int = 256) -> ParameterValue:
    """Read one value. Raises nothing. `limit`: characters of text to keep."""
    # Thousands of parameters share a few values: `N`, `0`, an empty line.
    return _parse_short(raw, limit) if len(raw) <= _SHORT else _parse(raw, limit)


def is_secret(name: str, patterns: Sequence[str] = SECRET_PATTERNS) -> bool:
    """Whether a parameter of this name holds a secret by the rules at the head of this module, case ignored."""
    in_words, whole = _compile(tuple(patterns))
    words = "_".join(word.lower() for word in _WORD.findall(name))
    return bool(in_words.search(words) or whole.fullmatch(name.lower()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretNames:
    """The names of secrets: `redact` without `allow`; a pattern with a dot is held against module.parameter."""

    redact: tuple[str, ...] = SECRET_PATTERNS
    allow: tuple[str, ...] = NO_SECRETS

    def hides(self, name: str, module: str = "") -> bool:
        """Whether a value of this name is hidden. Of `module.parameter` either part of the rule may apply."""
        return _hides(self, name[-_NAME_MAX:], module[-_NAME_MAX:])


@lru_cache(maxsize=512)
def _hides(names: SecretNames, name: str, module: str) -> bool:
    return _matches(names.redact, name, module) and not _matches(names.allow, name, module)


def _matches(patterns: tuple[str, ...], name: str, module: str) -> bool:
    dotted = tuple(pattern for pattern in patterns if "." in pattern)
    plain = tuple(pattern for pattern in patterns if "." not in pattern)
    last = name.rpartition(".")[2]
    if is_secret(last, plain) or (last != name and is_secret(name, plain)):
        return True
    return bool(dotted) and is_secret(name if "." in name or not module else f"{module}.{name}", dotted)


def redact(value: ParameterValue) -> ParameterValue:
    """Hide a secret value; booleans and empty values hold none and stay."""
    if value.kind in (ParameterKind.BOOLEAN, ParameterKind.EMPTY):
        return value
    return ParameterValue(kind=ParameterKind.TEXT, text=REDACTED)


def is_same(first: ParameterValue, second: ParameterValue) -> bool:
    """Whether both are readings of one value, also when they were cut at different lengths."""
    if first.checksum is None and second.checksum is None:
        return first == second
    if first.checksum is not None and second.checksum is not None:
        return first.checksum == second.checksum
    cut, whole = (first, second) if second.checksum is None else (second, first)
    raw = raw_bytes(whole.text)
    return cut.checksum in (zlib.crc32(raw), zlib.crc32(raw + b"\n"))


def _parse(raw: bytes, limit: int) -> ParameterValue:
    value = raw.removesuffix(b"\n")
    kind, number = _classify(value.strip(b" \t\n"))
    text = safe_text(value)
    kept = bounded(text, limit)
    return ParameterValue(kind=kind, text=kept, number=number, checksum=None if kept == text else zlib.crc32(raw))


_parse_short = lru_cache(maxsize=512)(_parse)


def _classify(value: bytes) -> tuple[ParameterKind, int | None]:
    if value in (b"", b"(null)"):
        return ParameterKind.EMPTY, None
    if value in (b"Y", b"N"):
        return ParameterKind.BOOLEAN, int(value == b"Y")
    if _INTEGER.fullmatch(value) and -(1 << 63) <= int(value) < 1 << 64:
        return ParameterKind.NUMBER, int(value)
    if _HEX.fullmatch(value):
        return ParameterKind.NUMBER, int(value, 16)
    if _BINARY.search(value) or not _is_utf8(value):
        return ParameterKind.BINARY, None
    if b"," in value and not re.search(rb"\s", value):
        return ParameterKind.ARRAY, None
    return ParameterKind.TEXT, None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=8)
def _compile(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    # The first expression matches words joined by `_`: a glob stays within a word, and digits may follow. The second
    # matches the whole name. Without patterns both match nothing: `(?!)`.
    used = [pattern.lower() for pattern in patterns if pattern]
    words = "|".join(_glob(re.sub(r"[-.]", "_", pattern), "[^_]") for pattern in used) or "(?!)"
    whole = "|".join(_glob(pattern, ".") for pattern in used) or "(?!)"
    return re.compile(rf"(?:\A|_)(?:{words})[0-9]*(?:_|\Z)"), re.compile(whole, re.DOTALL)


def _glob(pattern: str, char: str) -> str:
    return "".join({"*": char + "*", "?": char}.get(letter) or re.escape(letter) for letter in pattern)
