"""What makes trace events in a guest, and a recording of them in both of the kernel's forms."""

from pathlib import Path

from tests.vm.guest import MODULES, Guest
from tests.vm.lab import GUEST_FILES
from tests.vm.programs import program

_RECORDER = "/root/record_trace.py"
FORGER = "/root/forge_trace"
# A user without a name, who can never get a privilege.
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
_FORGE = " ".join((*AS_NOBODY, FORGER))
# Modules with names and taints of every kind, one whose init() fails, requests, and names that look like lines.
_LOADS = f"""cd {MODULES}
for m in hello_unsigned stack_a stack_b flags_mod initfail_mod name_*; do insmod ./${{m%.ko}}.ko; done
modprobe -r dummy; ip link add kmod0 type dummy; ip link del kmod0
mount -t kmodmontestfs none /mnt; mount -t "$(printf 'a\\nb c')" none /mnt
{_FORGE} 12"""
# Events seconds apart, in a page that has been read in part.
_UNLOADS = f"""rmmod stack_b; rmmod stack_a; rmmod hello_unsigned
sleep 0.3; insmod {MODULES}/transient.ko; rmmod transient; sleep 5; insmod {MODULES}/hello_unsigned.ko"""
_STORM = f"{_FORGE} 200 & {_FORGE} 200; wait"


def push_forger(guest: Guest) -> None:
    """Put guest/forge_trace.c, compiled, where `FORGER` says."""
    guest.push([program("forge_trace")], str(Path(FORGER).parent))


def record_trace(guest: Guest, into: Path) -> Path:
    """Record pages, formats and text (guest/record_trace.py says which) and give their directory on this machine."""
    push_forger(guest)
    guest.push([GUEST_FILES / "record_trace.py"], str(Path(_RECORDER).parent))
    guest.run("python3", _RECORDER, "/root/trace", _LOADS, _UNLOADS, _STORM, timeout=300)
    return guest.pull("/root/trace", into)
