"""Events and histories for the tests of the store."""

from collections.abc import Callable
from pathlib import Path

from kmodmon.events.event import Actor, Event, EventType, Process, Severity, recorded_event
from kmodmon.events.kinds.module import ModuleLoaded, ModuleUnloaded
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.types.units import Instant, Usec

BOOT = "7d9a2f7e-1111-4222-8333-444455556666"
START = 1_700_000_000_000_000
SECOND = 1_000_000


def event(
    number: int,
    kind: EventType = ModuleLoaded.kind.type,
    severity: Severity = Severity.INFO,
    module: str | None = "e1000e",
    at: int | None = None,
) -> Event:
    """Event `number`, a second after the one before."""
    wall = START + number * SECOND if at is None else at
    return recorded_event(
        type=kind,
        at=Instant(realtime_usec=Usec(wall), monotonic_usec=Usec(number * SECOND)),
        severity=severity,
        module=module,
        evidence=("/proc/modules",),
        fields={"number": number},
    )


def typical(number: int) -> Event:
    """A module load as it is seen in the field: loaded by modprobe from a login shell, with all that can be read."""
    bash = Process(pid=2211, comm="bash", exe="/usr/bin/bash", cmdline=("-bash",))
    sshd = Process(pid=2190, comm="sshd", exe="/usr/sbin/sshd", cmdline=("sshd: admin@pts/0",))
    init = Process(pid=1, comm="systemd", exe="/usr/lib/systemd/systemd", cmdline=("/sbin/init",))
    name = f"snd_hda_codec_{number % 211:03d}"
    modprobe = Process(pid=4000 + number % 28000, comm="modprobe", exe="/usr/bin/kmod", cmdline=("modprobe", name))
    return recorded_event(
        type=ModuleLoaded.kind.type if number % 2 else ModuleUnloaded.kind.type,
        at=Instant(realtime_usec=Usec(START + number * SECOND), monotonic_usec=Usec(number * SECOND + 812_345)),
        severity=Severity.NOTICE,
        module=name,
        actor=Actor(
            process=modprobe,
            uid=0,
            login_uid=1000,
            parents=(bash, sshd, init),
            unit="session-3.scope",
            cgroup="/user.slice/user-1000.slice/session-3.scope",
        ),
        evidence=("/proc/modules", f"uevent: add@/module/{name} seq {100_000 + number}", "trace: module_load"),
        fields={
            "signature": "signed",
            "taints": "",
            "size": 16384 + 4096 * (number % 64),
            "state": "live",
            "version": None,
            "srcversion": f"{number * 2654435761 % 2**64:016X}0A1B2C3",
            "build_id": f"{number * 40503 % 2**64:016x}aabbccdd{number % 2**32:08x}",
        },
    )


def filled(directory: Path, count: int, make: Callable[[int], Event] = event) -> SqliteHistory:
    """A history with `count` events of this boot."""
    history = SqliteHistory(directory, BOOT)
    for start in range(1, count + 1, 500):
        history.append([make(number) for number in range(start, min(start + 500, count + 1))])
    return history
