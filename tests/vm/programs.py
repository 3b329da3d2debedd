"""Programs in C of ``guest/``, compiled on this machine without shared libraries, so that they run in every guest."""

from pathlib import Path

from tests.tools import locked
from tests.vm.lab import GUEST_FILES, build, directory, need_host_tools, run, stamp

_OPTIONS = ("-O1", "-Wall", "-Wextra", "-Werror", "-static")


def program(name: str) -> Path:
    """Give the program that ``guest/NAME.c`` makes, compiled if need be."""
    need_host_tools()
    source = GUEST_FILES / f"{name}.c"

    def make(target: Path) -> None:
        run("gcc", *_OPTIONS, "-o", target / name, source)

    with locked(f"vm/programs-{name}"):
        return build(directory("programs") / name, stamp(source, *_OPTIONS), make) / name
