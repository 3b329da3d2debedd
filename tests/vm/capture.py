"""Records what real kernels show and say: ``python -m tests.vm.capture DIRECTORY [--suite S]... [--only CASE]...``.

For each kernel release a directory: the interfaces that kmodmon reads, after a set of test modules was loaded
(``tree``), pages and text of a trace (``trace``), and one raw kernel log for each case of tests/vm/reports.py. Recorded
reports and traces that tests use come from here.
"""

import argparse
import sys
import time
from pathlib import Path

from tests.tools import ToolError
from tests.vm.channel import ChannelError, Running
from tests.vm.guest import Guest, GuestError
from tests.vm.kernels import SUITES, Kernel, kernel
from tests.vm.lab import GUEST_FILES, LabError, say
from tests.vm.reports import CASES, Case
from tests.vm.traced import record_trace

# The whole report on the console, and a kernel that stays where it is after a panic.
_OPTIONS = ("ignore_loglevel", "panic=0")
_COLLECT = "/root/collect.py"
_TREE = "/root/tree"
_PANIC_END = "---[ end Kernel panic"

# Live modules of every kind, a few that went again, and one whose load failed.
_LOADED = """cd /opt/modules
modprobe dummy numdummies=1
for m in hello_unsigned prop_mod prop_user stack_a stack_b flags_mod params_mod permanent_mod pinned_mod transient; do
    insmod ./$m.ko
done
insmod taint_param_mod.ko danger=1
echo 3 >/sys/module/pinned_mod/parameters/pins
rmmod transient; insmod transient.ko; rmmod transient
insmod initfail_mod.ko; insmod bad_symbol_mod.ko
for m in name_*.ko; do insmod ./$m; done
insmod slow_init.ko ms=8000 & sleep 3
mount -t kmodmontestfs none /mnt; true
"""


def capture_tree(of: Kernel, into: Path) -> None:
    """Record the interfaces of a kernel that has been booted with no options of ours."""
    with Guest.boot(of) as guest:
        guest.push([GUEST_FILES / "collect.py"], "/root")
        guest.run("python3", _COLLECT, "tree", _TREE, _LOADED, timeout=300)
        guest.run("tar", "-czf", "/root/tree.tar.gz", "-C", "/root", "tree", timeout=120)
        guest.pull("/root/tree.tar.gz", into)
    (into / "config").write_text(of.config)


def capture_case(of: Kernel, case: Case, into: Path) -> None:
    """Record one report, as NAME.kmsg (raw records) or as NAME.console (text)."""
    # Options of one case alone are not worth a saved state.
    with Guest.boot(of, *_OPTIONS, *case.options, fast=not case.options) as guest:
        guest.settle()
        guest.push([GUEST_FILES / "collect.py"], "/root")
        argv = ("python3", _COLLECT, "log", str(case.quiet), str(case.limit), case.script)
        running = guest.popen(*argv, timeout=case.limit + 30)
        if case.monitor is not None:
            time.sleep(2)  # the collector has to be reading; what comes cannot be repeated
            guest.monitor(case.monitor)
        if case.panics:
            _write_console(guest, case, into, running)
            return
        result = running.wait()
        (into / f"{case.name}.kmsg").write_bytes(result.stdout)
        (into / f"{case.name}.output").write_bytes(result.stderr)
        say(f"{of.release} {case.name}: {len(result.stdout.splitlines())} lines")


def _write_console(guest: Guest, case: Case, into: Path, running: Running) -> None:
    deadline = time.monotonic() + case.limit + 60
    while _PANIC_END not in (console := guest.console()) and time.monotonic() < deadline:
        time.sleep(0.5)
    guest.halt()
    running.close()
    (into / f"{case.name}.console").write_text(console)
    say(f"{guest.kernel_release} {case.name}: {len(console.splitlines())} lines of console")


def main(arguments: list[str]) -> None:
    """Record all that the arguments ask for; a case that fails is told, and the next one follows."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.capture", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--suite", action="append", choices=SUITES)
    parser.add_argument(
        "--only", action="append", metavar="CASE", help="a name of tests/vm/reports.py, `tree` or `trace`"
    )
    given = parser.parse_args(arguments)
    for suite in given.suite or SUITES:
        of = kernel(suite)
        into = given.directory / of.release
        into.mkdir(parents=True, exist_ok=True)
        if given.only is None or "tree" in given.only:
            capture_tree(of, into)
        if given.only is None or "trace" in given.only:
            with Guest.boot(of) as guest:
                record_trace(guest, into)
        for case in CASES:
            if given.only is None or case.name in given.only:
                try:
                    capture_case(of, case, into)
                except (ChannelError, GuestError, LabError) as error:
                    say(f"{of.release} {case.name} FAILED: {error}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (GuestError, LabError, ToolError) as error:
        sys.exit(f"tests.vm.capture: {error}")
