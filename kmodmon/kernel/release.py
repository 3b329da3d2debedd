"""Kernel releases (uname -r): which of two is newer. Only releases of one flavour can be compared.

Interface: include/generated/utsrelease.h of the build, shown in /proc/sys/kernel/osrelease and as a directory name in
/lib/modules. A release is upstream's version, then what the distribution adds: `6.1.0-18-amd64`, `6.8.0-45-generic`,
`5.14.0-427.el9.x86_64`, `6.10.11-arch1-1`, `6.12.9+bpo-cloud-amd64`. Its words that are not numbers name the flavour
(cloud, rt, generic, amd64); kernels of another flavour are neither newer nor older.
"""

import re
from typing import TypeAlias

_Number: TypeAlias = tuple[int, str]
_PART = re.compile(r"[0-9]+|[A-Za-z]+")
_NO_FLAVOUR = frozenset({"rc", "bpo", "deb", "trunk"})  # stages of one kernel, not another kind of it


def is_newer(release: str, running: str) -> bool:
    """Whether `release` is of the running kernel's flavour and comes after it."""
    return _flavour(release) == _flavour(running) and _version(release) > _version(running)


def _flavour(release: str) -> frozenset[str]:
    return frozenset(word for word in _PART.findall(release) if not word.isdigit()) - _NO_FLAVOUR


def _version(release: str) -> tuple[tuple[_Number, ...], tuple[_Number, ...]]:
    before, candidate, rest = release.partition("-rc")
    numbers = [tuple(_number(part) for part in re.findall(r"[0-9]+", text)) for text in (before, rest)]
    upstream = re.match(r"[0-9]+(?:\.[0-9]+)*", before)
    base = tuple(_number(part) for part in upstream[0].split(".")) if upstream else ()
    padded = base + (_number("0"),) * (3 - len(base)) + numbers[0][len(base) :]
    return padded, (_number("0"), *numbers[1]) if candidate else (_number("1"),)


def _number(digits: str) -> _Number:
    # Ordered as the number is; int() refuses thousands of digits.
    significant = digits.lstrip("0")
    return len(significant), significant
