"""A lock of the kernel that is held, so that reads wait uninterruptibly: the daemon under the shipped unit goes on."""

import time

from tests.vm.conftest import Boot
from tests.vm.guest import Guest
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.product_client import Series
from tests.vm.test_daemon import start

QUICK = "[poll]\nmodules = '2s'\nposture = '2s'\ncrossview = '5s'\n"
LISTENS = ":2755 00000000:0000 0A "  # port 10069
LONG = 120  # seconds
DROP_IN = "/run/systemd/system/kmodmon.service.d"
SECONDS = 40  # that a lock is held; the deadline is 5 s, and an emulated guest is slow


def hold(guest: Guest, mutex: str, seconds: int = SECONDS) -> float:
    """Begin to hold a lock; the time until which it is held."""
    place = "/sys/module/hold_lock/parameters"
    guest.shell(f"printf {mutex} > {place}/mutex; echo {seconds * 1000} > {place}/hold_ms")
    return time.monotonic() + seconds


def hung(series: Series, *names: str) -> bool:
    return all(series.get("kmodmon_source_hung", source=name) == 1 for name in names)


def up(series: Series, *names: str) -> bool:
    return all(series.get("kmodmon_source_up", source=name) == 1 for name in names)


def test_module_mutex_when_held_then_sources_hang_the_rest_goes_on_and_they_recover(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm, fresh=True), kmodmon, QUICK)
    client.guest.insmod("hold_lock")
    known = client.until(lambda series: up(series, "modules", "crossview", "posture", "kmsg", "trace"), "all up")
    until = hold(client.guest, "module_mutex", LONG)
    series = client.until(lambda series: hung(series, "modules"), "/proc/modules hangs", SECONDS)
    assert time.monotonic() < until
    assert up(series, "taint", "lockdown", "kmsg")
    assert series.get("kmodmon_modules", state="live") == known.get("kmodmon_modules", state="live")
    code, text = client.command("status")
    assert (code, "Hung" in text and "/proc/modules" in text) == (3, True), text
    assert time.monotonic() < until  # a caller does not wait for the lock
    client.guest.shell("echo 'a test writes' > /dev/kmsg")
    assert client.guest.run("systemctl", "is-active", "kmodmon", check=False).stdout.strip() == b"active"
    assert client.code("/-/ready") == 200
    client.until(lambda series: up(series, "modules", "crossview"), "recovered", 2 * LONG)
    lost = client.rows("/api/v1/events?type=SourceLost")
    assert sum("/proc/modules: no answer within 5 s" in str(row) for row in lost) == len(lost) >= 2
    client.until_rows("/api/v1/events?type=SourceRecovered", len(lost), 2 * SECONDS)


def test_parameters_lock_when_held_then_the_switches_hang_and_recover(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm, fresh=True), kmodmon, QUICK)
    client.guest.insmod("hold_lock")
    client.until(lambda series: up(series, "modules", "posture"), "all up")
    hold(client.guest, "param_lock")
    series = client.until(lambda series: hung(series, "posture"), "sig_enforce hangs", SECONDS)
    assert up(series, "modules", "taint", "lockdown")
    client.until(lambda series: up(series, "posture"), "recovered", 2 * SECONDS)


def test_daemon_when_it_hangs_and_is_stopped_then_it_serves_nobody_in_time_and_starts_again(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    # systemd waits for the process four times that long (SIGTERM, SIGKILL, and both again) before it gives it up.
    guest.shell(f"mkdir -p {DROP_IN}; printf '[Service]\nTimeoutStopSec=5\n' > {DROP_IN}/stop.conf")
    client = start(guest, kmodmon, QUICK)
    guest.insmod("hold_lock")
    client.until(lambda series: up(series, "modules"), "all up")
    until = hold(guest, "module_mutex", LONG)
    client.until(lambda series: hung(series, "modules"), "/proc/modules hangs", SECONDS)
    pid = guest.shell("systemctl show -p MainPID --value kmodmon").stdout.decode().strip()
    begun = time.monotonic()
    guest.shell("systemctl stop --no-block kmodmon")
    guest.until(f"! grep -q {LISTENS!r} /proc/net/tcp", timeout=10)  # ss would have the kernel load a module
    print(f"the port was closed {time.monotonic() - begun:.1f} s after SIGTERM")
    guest.until(f"! test -e /proc/{pid}/exe || ! readlink /proc/{pid}/exe", timeout=10)
    print(f"the process ended {time.monotonic() - begun:.1f} s after SIGTERM; the lock is held for "
          f"{until - time.monotonic():.1f} s more")  # fmt: skip
    assert time.monotonic() < until
    # The thread that waits uninterruptibly keeps the process from being reaped, which no program can help.
    assert b"(zombie)" in guest.shell(f"grep State: /proc/{pid}/status").stdout
    code, text = client.command("events", "--type", "Stopped")
    assert (code, "kmodmon stopped" in text) == (0, True)
    guest.until("systemctl is-active kmodmon | grep -qxE 'inactive|failed'", timeout=60)
    print(f"systemd gave it up {time.monotonic() - begun:.1f} s after SIGTERM")
    guest.shell("systemctl start kmodmon", timeout=60)
    again = client.until(lambda series: hung(series, "modules"), "served, and hung again", SECONDS)
    assert time.monotonic() < until
    assert up(again, "taint", "posture")
    client.until(lambda series: up(series, "modules"), "up again", LONG)
