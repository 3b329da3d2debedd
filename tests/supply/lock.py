"""`make lock`: the lock files, each resolved by uv from pyproject.toml, the smaller ones within the larger."""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "packaging"
EDITABLES = "editables>=0.5"  # what hatchling asks for when it builds an editable wheel
OLDEST = "3.11"  # Python: uv resolves for it and all later ones


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock file: the requirements of an extra, or of the build."""

    file: str
    extra: str | None = None
    build: bool = False
    within: str | None = None  # the lock file whose versions it takes


RUNTIME = Lock("requirements.txt", within="requirements-dev.txt")
LOCKS = (
    Lock("requirements-dev.txt", extra="dev"),
    RUNTIME,
    Lock("requirements-build.txt", build=True, within="requirements-dev.txt"),
    Lock("requirements-fuzz.txt", extra="fuzz", within="requirements-dev.txt"),
    Lock("requirements-lock.txt", extra="lock", within="requirements-dev.txt"),
)


def requirements(lock: Lock) -> Sequence[str]:
    """What a lock file has to hold, as pyproject.toml says it. The lock of an extra but `dev` holds nothing else."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    wanted: list[str] = [] if lock.build or lock.extra not in (None, "dev") else list(project["dependencies"])
    if lock.extra is not None:
        wanted += project["optional-dependencies"][lock.extra]
    if lock.build:
        wanted += [*document["build-system"]["requires"], EDITABLES]
    return wanted


def write(lock: Lock) -> None:
    """Resolve one lock file; exits with the resolver's message when there is no solution."""
    command = [
        str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal", "--upgrade",
        "--no-annotate", "--generate-hashes", "--python-version", OLDEST, "--custom-compile-command", "make lock",
        "--output-file", str(DIRECTORY / lock.file), "-",
    ]  # fmt: skip
    if lock.within is not None:
        command += ["--constraint", str(DIRECTORY / lock.within)]
    subprocess.run(command, input="\n".join(requirements(lock)), text=True, cwd=ROOT, check=True)


if __name__ == "__main__":
    for each in LOCKS:
        write(each)
        print(f"packaging/{each.file}")
