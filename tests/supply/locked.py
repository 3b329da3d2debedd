"""Reads a lock file: names, versions, markers and hashes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Locked:
    """One distribution in a lock file."""

    requirement: Requirement
    hashes: tuple[str, ...]  # SHA-256 of every file that may be installed, hex, sorted

    @property
    def name(self) -> str:
        """The normalized name."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The exact version."""
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "==", self.requirement
        return specifier.version

    @property
    def on_linux(self) -> bool:
        """Whether a supported Python on Linux needs it."""
        return any(applies(self.requirement, python) for python in PYTHONS)


def applies(requirement: Requirement, python: str, extra: str = "") -> bool:
    """Whether a requirement holds for this version of CPython on Linux."""
    return requirement.marker is None or requirement.marker.evaluate({**linux(python), "extra": extra})


def linux(python: str) -> Mapping[str, str]:
    """The environment of markers for CPython on Linux."""
    here = {name: str(value) for name, value in default_environment().items()}
    return {
        **here, "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
        "python_version": python, "python_full_version": f"{python}.0", "implementation_version": f"{python}.0",
    }  # fmt: skip


def read_lock(file: Path) -> tuple[Locked, ...]:
    """What a lock file holds, in its order."""
    return tuple(_read(file.read_text()))


def _read(text: str) -> Iterator[Locked]:
    for entry in text.replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.startswith("#"):
            requirement = Requirement(entry.partition(" --hash")[0].strip())
            yield Locked(requirement, tuple(sorted(_HASH.findall(entry))))
