"""What an unprivileged user of the host learns from the daemon: nothing that the kernel keeps for root."""

import re
import shlex

from kmodmon.types.text import safe_text
from tests.vm import kernels
from tests.vm.conftest import Boot
from tests.vm.product import FULL_DETAIL, KMODMON_PORT, Product
from tests.vm.test_lifecycle import start

DROP_IN = "/run/systemd/system/kmodmon.service.d/listen.conf"
SOCKET = "/run/kmodmon/kmodmon.sock"
PATHS = (
    "/", "/metrics", "/api/v1/status", "/api/v1/modules", "/api/v1/modules/params_mod", "/api/v1/parameters",
    "/api/v1/events?limit=1000", "/api/v1/reports", "/api/v1/findings", "/api/v1/sources",
)  # fmt: skip
REGISTERS = re.compile(r"R[A-Z0-9]{2}: [0-9a-f]{16}|ffff[0-9a-f]{12}")
DROP = "os.setgroups({groups}), os.setgid(65534), os.setuid(65534)"
# As a user of the host does: no address that is not its own, no privilege. An answer for each path, or the refusal.
ASK = """
import http.client, os, socket, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
for path in sys.argv[3:]:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    print(answer.status, path, answer.read().decode())
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[2])
    print("SOCKET OPEN")
except OSError as error:
    print("SOCKET", error.strerror)
try:
    print("KERNEL", open("/sys/module/params_mod/parameters/int_root").read())
except OSError as error:
    print("KERNEL", error.strerror)
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
connection.request("GET", "/metrics", headers={"Host": "rebound.example"})
print("REBOUND", connection.getresponse().status)
"""
ROOT_ASKS = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(f"GET {sys.argv[2]} HTTP/1.0\\r\\n\\r\\n".encode())
print(sock.makefile("rb").read().decode())
"""


def test_user_without_privilege_when_he_asks_for_everything_then_nothing_of_root_is_in_it(
    boot: Boot, kmodmon: Product
) -> None:
    guest = boot(kernels.kernel("bookworm"), fresh=True)
    guest.install_kmodmon(kmodmon)
    guest.write(DROP_IN, kmodmon.listening.replace(FULL_DETAIL, ""))
    client = start(guest, kmodmon, "[poll]\nparameters = '5s'\n")
    secret = 918273645
    guest.insmod("params_mod", f"int_root={secret}", "slow_ms=0")
    guest.insmod("warn_mod", check=False)

    def by_root(path: str) -> str:
        return guest.run("python3", "-c", ROOT_ASKS, SOCKET, path).text

    client.until(lambda _: str(secret) in by_root("/api/v1/parameters"), "root reads the parameter", timeout=60)
    client.until(lambda _: "insmod" in by_root("/api/v1/events?type=ModuleLoaded"), "who loaded it", timeout=60)
    assert '"cmdline":["insmod"' in by_root("/api/v1/events?type=ModuleLoaded")
    client.until(lambda _: bool(REGISTERS.search(by_root("/api/v1/reports"))), "a report with registers", timeout=60)
    guest.shell(f"echo {secret + 1} > /sys/module/params_mod/parameters/int_root")
    client.until(lambda _: str(secret + 1) in by_root("/api/v1/events?type=ParameterChanged"), "its change", timeout=60)
    seen = guest.run("python3", "-c", ASK, str(KMODMON_PORT), SOCKET, *PATHS).text
    assert seen.count("\n200 /") + seen.startswith("200 /") == len(PATHS), safe_text(seen.encode())[:500]
    for mark in (str(secret), str(secret + 1), '"cmdline":["', '"exe":"'):
        assert mark not in seen
    assert not REGISTERS.search(seen), REGISTERS.search(seen)
    assert '"why":"root only"' in seen
    assert "SOCKET Permission denied" in seen
    assert "KERNEL Permission denied" in seen
    assert "REBOUND 421" in seen
    assert guest.shell(f"stat -c %a {SOCKET}").text.strip() == "600"
    series = client.scrape()
    assert (series.get("kmodmon_module_parameters_hidden") or 0) >= 2
    assert series.get("kmodmon_module_parameter", module="params_mod", parameter="int_root") is None
    assert series.get("kmodmon_module_parameter", module="params_mod", parameter="int_rw") == 1
    guest.run("groupadd", "--gid", "4711", "kmodmon-read")
    as_documented = "[Service]\nSupplementaryGroups=kmodmon-read\nSystemCallFilter=@chown\n"
    guest.write("/run/systemd/system/kmodmon.service.d/group.conf", as_documented)
    guest.start_kmodmon("[web]\ngroup = 'kmodmon-read'\n")
    assert guest.shell(f"stat -c '%a %g' {SOCKET}").text.strip() == "660 4711"
    member = ROOT_ASKS.replace("import socket, sys", "import os, socket, sys\n" + DROP.format(groups="[4711]"))
    by_member = shlex.join(("python3", "-c", member, SOCKET, "/api/v1/parameters"))
    guest.until(f"{by_member} | grep -q {secret + 1}", timeout=60)
    guest.shell(f"chmod 666 {SOCKET}")
    other = member.replace("[4711]", "[]")
    refused = guest.run("python3", "-c", other, SOCKET, "/api/v1/parameters").text
    assert " 403 " in refused and str(secret + 1) not in refused
    assert "params_mod" in client.guest.run("kmodmon", "modules", "--json").text
