"""The built wheel under the shipped unit on stock Debian kernels: what the metrics, the API and the commands say."""

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from kmodmon.types.text import safe_text
from tests.tools import tool
from tests.vm import kernels
from tests.vm.conftest import Boot
from tests.vm.fixtures import module_files
from tests.vm.guest import MODULES, Guest
from tests.vm.kernels import Kernel
from tests.vm.patch import ODD_NAMES
from tests.vm.product import Product
from tests.vm.product_client import Client

POSTURE_BOOTS = {"lockdown": ("lockdown=integrity",), "sig_enforce": ("module.sig_enforce=1",)}
PSS_LIMIT_KIB = 40 * 1024
# File systems, network and crypto: what loads without its device. `|| true`: not every module wants to.
MANY_MODULES = """
cd /lib/modules/$(uname -r)/kernel
for m in $(find fs net crypto lib drivers/md drivers/scsi -name '*.ko*' | grep -v -e test -e kunit |
           sed 's,.*/,,; s/[.]ko.*//'); do
    [ "$(wc -l < /proc/modules)" -lt 205 ] || break
    timeout 5 modprobe -b "$m" 2>/dev/null || true
done
"""


def start(guest: Guest, product: Product, config: str | None = None) -> Client:
    if guest.run("test", "-e", "/usr/bin/kmodmon", check=False).code != 0:
        guest.install_kmodmon(product)
    return Client(guest, guest.start_kmodmon(config))


@pytest.fixture
def bookworm() -> Kernel:
    return kernels.kernel("bookworm")


def test_module_when_unsigned_and_out_of_tree_then_everything_says_so(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    before = client.scrape()
    assert before.get("kmodmon_kernel_tainted") == 0
    assert before.get("kmodmon_kernel_taint", flag="unsigned_module", letter="E") == 0
    assert client.command("status")[0] == 0
    client.guest.insmod("hello_unsigned", "level=5")
    # Log, trace and list are read one after another: the flag may be known before the module is.
    after = client.until(
        lambda series: (
            series.get("kmodmon_kernel_taint", flag="unsigned_module", letter="E") == 1
            and series.get("kmodmon_module_taint", module="hello_unsigned", flag="E") == 1
            and bool(series.labels("kmodmon_module_load_timestamp_seconds"))
        ),
        "taint E, of the module, and who loaded it",
    )
    assert after.get("kmodmon_kernel_taint", flag="out_of_tree_module", letter="O") == 1
    assert after.get("kmodmon_module_taint", module="hello_unsigned", flag="O") == 1
    assert after.get("kmodmon_module_parameter", module="hello_unsigned", parameter="level") in (5, None)
    loads = after.labels("kmodmon_module_load_timestamp_seconds")
    assert {"module": "hello_unsigned", "signature": "unsigned", "taints": "OE", "actor": "insmod"} in loads
    code, text = client.command("status")
    assert code == 1 and "hello_unsigned" in text
    code, text = client.command("taint")
    assert code == 1 and "unsigned_module" in text and "module:hello_unsigned" in text
    compare_with_the_kernel(client)
    check_with_promtool(after.text)


def compare_with_the_kernel(client: Client) -> None:
    """Every module of /proc/modules, and no other, with its size and its letters."""

    def listed() -> set[tuple[object, ...]]:
        lines = [line.split() for line in client.guest.read("/proc/modules").decode().splitlines()]
        return {(line[0], int(line[1]), line[6].strip("()") if len(line) > 6 else "") for line in lines}

    def shown() -> set[tuple[object, ...]]:
        return {(row["name"], row["size_bytes"], row["taint"]) for row in client.rows("/api/v1/modules")}

    # The two are not read at the same moment, and a driver may be loaded between them.
    client.until(lambda _: shown() == listed(), "the modules of /proc/modules")


def check_with_promtool(exposition: str) -> None:
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=exposition, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_parameters_when_of_every_kind_then_each_comes_out_right(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm), kmodmon, "[poll]\nparameters = '5s'\n[parameters]\nread_timeout = '500ms'\n")
    client.guest.insmod("params_mod", "slow_ms=0")
    expected = {"int_rw": 1, "int_ro": -2, "int_root": 3, "int_root_ro": 4, "big": 2.0**64, "small": 255,
                "negative": -32768, "hex": 0xDEADBEEF, "bool_yes": 1, "bool_no": 0, "as_int": 1}  # fmt: skip
    # The kernel makes the files one after another, so the first reading may come before the last of them.
    series = client.until(
        lambda seen: all(
            seen.get("kmodmon_module_parameter", module="params_mod", parameter=name) is not None for name in expected
        ),
        "parameters of params_mod",
    )
    for name, value in expected.items():
        assert series.get("kmodmon_module_parameter", module="params_mod", parameter=name) == value, name
    rows = {row["parameter"]: row for row in client.rows("/api/v1/parameters?module=params_mod")}
    assert "int_none" not in rows
    assert rows["int_wo"]["value"] is None and "Permission denied" in str(rows["int_wo"]["why"])
    assert rows["failing"]["value"] is None and "Invalid argument" in str(rows["failing"]["why"])
    assert rows["text_set"]["value"] == "some text, with a comma"
    assert rows["numbers"]["value"] == "1,2,3"
    assert rows["none"]["kind"] == "empty"
    assert rows["garbage"]["value"] == r"caf\xe9 \xff\x80\x0asecond line\x1b[31m red\x09tab \x5cx41"
    assert (rows["password"]["value"], rows["api_token"]["value"]) == ("<redacted>", "<redacted>")
    assert "hunter2" not in series.text and "4f5a1c0ffee" not in series.text
    assert (series.get("kmodmon_module_parameters_unreadable") or 0) >= 3
    parameters = "/sys/module/params_mod/parameters"
    client.guest.shell(f"echo 8000 > {parameters}/slow_ms")
    client.until(
        lambda seen: "no answer" in str({row["why"] for row in client.rows("/api/v1/parameters?module=params_mod")}),
        "the sweep that meets a getter that hangs",
        timeout=60,
    )
    assert client.code("/-/healthy") == 200
    client.guest.shell(f"echo 7 > {parameters}/int_rw")
    client.until(
        lambda seen: seen.get("kmodmon_module_parameter", module="params_mod", parameter="int_rw") == 7,
        "the module's other parameters once its lock is free",
        timeout=60,
    )


PATHS = ("/", "/metrics", "/api/v1/events?limit=1000", "/api/v1/status", "/api/v1/modules", "/api/v1/parameters",
         "/api/v1/modules/params_mod", "/api/v1/findings", "/api/v1/reports", "/api/v1/sources")  # fmt: skip


def test_secrets_when_in_a_shells_command_line_and_in_the_log_then_kmodmon_shows_them_nowhere(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    client = start(guest, kmodmon, "[actor]\nparents_arguments = true\n[poll]\nparameters = '5s'\n")
    module, secret = f"{MODULES}/params_mod.ko", "topsecret"
    guest.run("sh", "-c", f"insmod {module} psk={secret} int_rw=5; true", check=False)
    refused = client.until_rows("/api/v1/events?type=ModuleLoadFailed")
    assert "`<redacted>' invalid for parameter `psk'" in json.dumps(refused)
    guest.run("sh", "-c", f"insmod {module} password={secret} -- -- psk={secret}; true")
    client.until_rows("/api/v1/events?type=ModuleLoaded&module=params_mod")
    guest.run("rmmod", "params_mod")
    client.until_rows("/api/v1/events?type=ModuleUnloaded&module=params_mod")
    guest.run("sh", "-c", f"TOKEN={secret} insmod {module} password={secret} int_rw=7; curl -u bob:{secret} / || true")
    loads = json.dumps(client.until_rows("/api/v1/events?type=ModuleLoaded&module=params_mod", 2))
    assert '"password=<redacted>", "int_rw=7"' in loads
    assert f"TOKEN=<redacted> insmod {module} password=<redacted> int_rw=7; curl -u bob:<redacted> / || true" in loads
    client.until(
        lambda _: "<redacted>" in client.text("/api/v1/parameters?module=params_mod"), "the parameters of params_mod"
    )
    kernels_log = guest.run("dmesg").stdout.decode()
    assert f"`{secret}' invalid for parameter `psk'" in kernels_log and f"'psk={secret}' after" in kernels_log
    shown = {path: client.text(path) for path in PATHS}
    shown["journal"] = guest.run("journalctl", "-u", "kmodmon", "-o", "export", "--no-pager").stdout.decode()
    for command in ("events", "status", "modules", "metrics"):
        shown[command] = client.command(command)[1]
    assert "ModuleLoadFailed" in shown["journal"] + shown["events"]
    assert {where for where, text in shown.items() if secret in text} == set()
    history = "/var/lib/kmodmon"
    assert guest.shell(f"systemctl stop kmodmon; ls {history}; ! grep -rqa {secret} {history}").stdout.strip()


def test_names_when_hostile_then_they_are_shown_and_harmless(bookworm: Kernel, boot: Boot, kmodmon: Product) -> None:
    client = start(boot(bookworm), kmodmon)
    loaded = [
        name
        for copy, name in ODD_NAMES.items()
        if client.guest.run("insmod", f"{MODULES}/{copy}.ko", check=False).code == 0
    ]
    assert len(loaded) >= 8  # some names a kernel cannot hold in sysfs
    names = {safe_text(raw) for raw in loaded}
    client.until(lambda _: names <= {str(row["name"]) for row in client.rows("/api/v1/modules")}, f"{sorted(names)}")
    series = client.scrape()
    for text in names:
        assert series.get("kmodmon_module_size_bytes", module=text) is not None, text
    code, text = client.command("modules", "--tainted")
    assert code == 0 and "\x1b" not in text
    check_with_promtool(series.text)


@pytest.mark.parametrize("kind", sorted(POSTURE_BOOTS))
def test_posture_when_modules_must_be_signed_then_metrics_differ_as_the_kernel_does(
    kind: str, bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm, *POSTURE_BOOTS[kind]), kmodmon)
    series = client.scrape()
    assert series.get("kmodmon_signature_enforced") == 1
    assert series.get("kmodmon_lockdown", mode="integrity") == (1 if kind == "lockdown" else 0)
    assert series.get("kmodmon_modules_disabled") == 0
    assert client.guest.insmod("hello_unsigned", check=False).code != 0
    assert client.scrape().get("kmodmon_kernel_tainted") == 0
    view = client.json("/api/v1/status")
    assert isinstance(view, dict)
    assert view["posture"]["signature_enforced_by"] == ["lockdown" if kind == "lockdown" else "sig_enforce"]


def test_posture_when_modules_are_disabled_at_run_time_then_it_is_an_event(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(bookworm, fresh=True), kmodmon)
    assert client.scrape().get("kmodmon_modules_disabled") == 0
    client.guest.shell("echo 1 > /proc/sys/kernel/modules_disabled")
    series = client.until(lambda seen: seen.get("kmodmon_modules_disabled") == 1, "modules_disabled")
    assert series.get("kmodmon_posture_changes_total", setting="modules_disabled") == 1
    assert client.until_rows("/api/v1/events?type=ModulesDisabled")[0]["fields"] == {
        "setting": "modules_disabled", "old": 0, "new": 1, "direction": "hardened",
    }  # fmt: skip


def test_daemon_when_idle_with_200_modules_then_it_is_small(bookworm: Kernel, boot: Boot, kmodmon: Product) -> None:
    client = start(boot(bookworm, fresh=True), kmodmon)
    client.guest.shell(MANY_MODULES, timeout=400)
    count = int(client.guest.shell("wc -l < /proc/modules").stdout)
    assert count >= 200
    client.until(lambda seen: seen.get("kmodmon_modules_unexamined") == 0, "every module's file examined", timeout=120)
    pss = client.pss_kib()
    print(f"{count} modules: PSS {pss / 1024:.1f} MiB")
    assert pss <= PSS_LIMIT_KIB


def test_prometheus_when_it_scrapes_the_guest_then_the_target_is_up(
    bookworm: Kernel, boot: Boot, kmodmon: Product, tmp_path: Path
) -> None:
    client = start(boot(bookworm), kmodmon)
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs: [{job_name: kmodmon, static_configs: [{targets: ["
        f"'{client.url.removeprefix('http://')}']}}]}}]\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
             "--web.listen-address=127.0.0.1:0", "--log.level=warn"], stderr=stream, stdout=stream)  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            time.sleep(0.5)
            try:
                port = listening_port(process.pid)
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as response:
                    (target,) = json.load(response)["data"]["activeTargets"]
                if target["health"] == "up":
                    break
            except (OSError, ValueError):
                pass
            assert time.monotonic() < deadline, log.read_text()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/query?query=kmodmon_kernel_tainted", timeout=5
        ) as reply:
            assert json.load(reply)["data"]["result"]
        said = log.read_text()
    finally:
        process.terminate()
        process.wait(20)
    assert "level=warn" not in said and "level=error" not in said, said


def listening_port(pid: int) -> int:
    ports = [c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    if not ports:
        raise ValueError("not listening yet")
    return int(ports[0])


def test_modules_of_the_lab_when_built_then_they_are_there(bookworm: Kernel) -> None:
    assert (module_files(bookworm) / "hello_unsigned.ko").exists()
