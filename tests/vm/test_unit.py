"""The unit as it is shipped: what systemd says of its sandbox, that all sources work, and what each hole is for."""

import json
import time
from collections.abc import Mapping

import pytest

from tests.test_unit import MOST_EXPOSURE, MOST_EXPOSURE_OF_SOCKET, SOCKET_DROP_IN
from tests.vm.conftest import Boot
from tests.vm.guest import MODULES, Guest
from tests.vm.kernels import Kernel
from tests.vm.product import Product

Source = dict[str, object]
OPEN_TO_ALL = "/run/systemd/system/kmodmon.service.d/listen.conf"  # the tests' own
LESS = "/run/systemd/system/kmodmon.service.d/less.conf"
NOT_HERE = {"secure_boot"}  # the guest has no EFI
ASK = """
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect("/run/kmodmon/kmodmon.sock")
connection.request("GET", sys.argv[1])
print(connection.getresponse().read().decode())
"""
# What is taken away; the sources that then cannot be read; what `kmodmon doctor` says must be given.
REMOVED: Mapping[str, tuple[str, set[str], str]] = {
    "the log": ("FileDescriptorStoreMax=0", {"kmsg"}, "ExecStartPre=-+/usr/bin/kmodmon handover"),
    "root's files": (
        "AmbientCapabilities=\nCapabilityBoundingSet=", {"trace", "pstore"}, "CAP_DAC_READ_SEARCH",
    ),
    "tracefs": ("ReadWritePaths=", {"trace"}, "use the packaged unit"),
    "netlink": ("RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6", {"uevent"}, "AF_NETLINK"),
    "module files": ("InaccessiblePaths=/run/kmodmon/modules", {"files"}, "/usr/lib/modules"),
}  # fmt: skip


def ask(guest: Guest, path: str) -> object:
    """An answer of the daemon on its Unix socket, as root gets it."""
    return json.loads(guest.run("python3", "-c", ASK, path).stdout)


def sources(guest: Guest) -> dict[str, Source]:
    """Every source by name, once the slow ones were read."""
    deadline = time.monotonic() + 60
    while True:
        rows = ask(guest, "/api/v1/sources")
        assert isinstance(rows, list)
        if all(row["up"] or row["why"] != "not read yet" for row in rows) or time.monotonic() > deadline:
            return {str(row["source"]): row for row in rows}
        time.sleep(0.5)


def down(guest: Guest) -> dict[str, object]:
    """The sources that cannot be read, with the reason."""
    return {name: row["why"] for name, row in sources(guest).items() if not row["up"] and name not in NOT_HERE}


def doctor(guest: Guest, expected: set[str]) -> dict[str, Source]:
    """What `kmodmon doctor` says, once the daemon has written down what it reads."""
    deadline = time.monotonic() + 60
    while True:
        done = guest.run("kmodmon", "doctor", "--json", check=False)
        rows = {str(row["source"]): row for row in json.loads(done.stdout)}
        missing = {name for name, row in rows.items() if not row["up"]} - NOT_HERE
        if (done.code, missing) == (1, expected) or time.monotonic() > deadline:
            return rows
        time.sleep(1)


def start(guest: Guest, product: Product) -> None:
    """Start the unit as it is shipped, without what the other tests add to it."""
    if guest.run("test", "-e", "/usr/bin/kmodmon", check=False).code != 0:
        guest.install_kmodmon(product)
    guest.write(OPEN_TO_ALL, "[Service]\nTimeoutStartSec=300\n")
    guest.start_kmodmon("")


def exposed_at_most(guest: Guest, tenths: int) -> None:
    """What systemd in the guest says of the unit and its drop-ins."""
    guest.run("systemd-analyze", "--no-pager", "security", f"--threshold={tenths}", "kmodmon.service")


def main_pid(guest: Guest) -> str:
    return guest.shell("systemctl show -p MainPID --value kmodmon").text.strip()


def test_unit_when_shipped_then_little_exposed_and_every_source_works_after_restart_reload_and_crash(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(kernel, fresh=True)
    start(guest, kmodmon)
    exposed_at_most(guest, MOST_EXPOSURE)
    assert guest.shell("sysctl -n kernel.dmesg_restrict").text.strip() == "1"
    capabilities = guest.shell(f"grep -h ^Cap /proc/{main_pid(guest)}/status").text
    assert {int(line.split()[1], 16) for line in capabilities.splitlines()} <= {0, 1 << 2}  # CAP_DAC_READ_SEARCH
    assert down(guest) == {}
    guest.shell("systemctl reload kmodmon")
    assert down(guest) == {}
    guest.shell("systemctl restart kmodmon", timeout=120)
    assert down(guest) == {}
    killed = main_pid(guest)
    guest.shell(f"kill -KILL {killed}; insmod {MODULES}/hello_unsigned.ko; rmmod hello_unsigned")
    running = f"systemctl is-active kmodmon && [ $(systemctl show -p MainPID --value kmodmon) != {killed} ]"
    guest.until(running, timeout=120)
    assert down(guest) == {}
    events = ask(guest, "/api/v1/events?limit=1000")
    assert isinstance(events, list)
    told = [row for row in events if row["type"] == "ModuleLoaded" and row["module"] == "hello_unsigned"]
    assert [row["actor"]["comm"] for row in told] == ["insmod"], "what was traced while nobody read"
    guest.insmod("warn_mod", check=False)
    guest.until(f"python3 -c '{ASK}' /api/v1/reports | grep -q warn_mod")  # the log was opened anew, and is followed
    assert guest.shell("systemctl show -p NFileDescriptorStore --value kmodmon").text.strip() == "1"


def test_unit_when_systemd_listens_for_it_then_least_exposed_and_every_source_works_without_a_network(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(kernel, fresh=True)
    guest.install_kmodmon(kmodmon)
    guest.write("/run/systemd/system/kmodmon.service.d/socket.conf", SOCKET_DROP_IN.read_bytes())
    start(guest, kmodmon)
    exposed_at_most(guest, MOST_EXPOSURE_OF_SOCKET)
    interfaces = guest.read(f"/proc/{main_pid(guest)}/net/dev").decode().splitlines()
    assert [line.split(":")[0].strip() for line in interfaces[2:]] == ["lo"]  # not the guest's
    scrape = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:10069/metrics').status)"
    for again in ("true", "systemctl reload kmodmon", "systemctl restart kmodmon", "systemctl stop kmodmon"):
        guest.shell(again, timeout=120)  # what is stopped is started by who connects
        assert guest.run("python3", "-c", scrape, timeout=120).text.strip() == "200", again
        assert down(guest) == {}, again
    guest.insmod("hello_unsigned")
    # Not from the trace, which tells it as well: from the kernel's uevents, in a network namespace of its own.
    guest.write("/etc/kmodmon/kmodmon.toml", "[trace]\nenabled = false\n[poll]\nmodules = '1h'\n")
    guest.shell("rmmod hello_unsigned; systemctl restart kmodmon", timeout=120)
    guest.until(f'python3 -c \'{ASK}\' /api/v1/sources | grep -q \'"uevent","present":true,"up":true\'')
    guest.insmod("hello_unsigned")
    guest.until(f"python3 -c '{ASK}' /api/v1/modules | grep -q hello_unsigned")


def test_unit_when_it_has_neither_network_nor_capability_then_only_what_takes_one_is_down(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    guest.install_kmodmon(kmodmon)
    for drop_in in (SOCKET_DROP_IN, SOCKET_DROP_IN.with_name("no-root-files.conf.example")):
        guest.write(f"/run/systemd/system/kmodmon.service.d/{drop_in.stem}", drop_in.read_bytes())
    start(guest, kmodmon)
    exposed_at_most(guest, MOST_EXPOSURE_OF_SOCKET - 2)
    assert set(guest.shell(f"grep -h ^Cap /proc/{main_pid(guest)}/status").text.split()[1::2]) == {"0" * 16}
    assert down(guest).keys() == {"pstore"}


@pytest.mark.parametrize("what", REMOVED)
def test_unit_when_a_privilege_is_taken_then_its_sources_are_down_and_doctor_says_what_to_grant(
    what: str, bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm)
    less, expected, remedy = REMOVED[what]
    guest.write(LESS, f"[Service]\n{less}\n")
    try:
        start(guest, kmodmon)
        lost = down(guest)
        assert lost.keys() == expected, lost
        assert guest.run("systemctl", "is-active", "kmodmon").text.strip() == "active"
        rows = doctor(guest, expected)
        assert {name for name, row in rows.items() if not row["up"]} - NOT_HERE == expected
        for name in expected:
            assert str(rows[name]["why"]).startswith("the running daemon: ")
        assert remedy in " ".join(str(rows[name]["grant"]) for name in expected)
    finally:
        guest.run("rm", LESS)
