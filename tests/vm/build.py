"""Builds all that the tests on real kernels want: ``python -m tests.vm.build [SUITE...]``.

The tests would build it themselves; this says beforehand how long each part takes, and fails with one sentence.
"""

import sys

from tests.tools import ToolError
from tests.vm.fixtures import module_files
from tests.vm.kernels import SUITES, kernel
from tests.vm.lab import LabError, say
from tests.vm.qemu import accelerator
from tests.vm.root_disk import root_disk


def main(names: list[str]) -> None:
    """Build the root file system, the kernels of the suites `names` and their test modules; raises LabError."""
    root_disk()
    for name in names:
        made = kernel(name)
        say(f"{name}: {made.release}, {len(list(module_files(made).glob('*.ko')))} test modules")
    say(f"guests run by {accelerator()}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:] or list(SUITES))
    except (LabError, ToolError) as error:
        sys.exit(f"tests.vm.build: {error}")
