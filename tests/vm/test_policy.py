"""Judgement on real kernels: silent on a stock boot, one finding for each bad module, edits in force at once."""

import json
import time
from collections.abc import Iterator
from typing import cast

from tests.vm.conftest import Boot
from tests.vm.guest import MODULES, Guest
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.product_client import Client

QUICK = "[poll]\nparameters = '5s'\n[files]\nsettle = '500ms'\n"
POLICY, BASELINE = "/etc/kmodmon/policy.toml", "/etc/kmodmon/baseline.toml"
_FROM_MEMORY = """
import ctypes, sys
raw = sys.stdin.buffer.read()
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(libc.syscall(175, raw, len(raw), b"") and ctypes.get_errno())  # init_module
"""


def start(guest: Guest, product: Product, config: str = QUICK) -> Client:
    if guest.run("test", "-e", "/usr/bin/kmodmon", check=False).code != 0:
        guest.install_kmodmon(product)
    client = Client(guest, guest.start_kmodmon(config))
    client.until(
        lambda seen: seen.get("kmodmon_modules_unexamined") == 0 and seen.get("kmodmon_source_up", source="watch") == 1,
        "every module's file examined, and their directories watched",
        timeout=180,  # emulated, a kernel image takes half a minute to unpack
    )
    return client


def found(client: Client) -> set[str]:
    page = client.json("/api/v1/findings")
    assert isinstance(page, dict) and page["judged"] is True
    return {one["id"] for one in page["findings"]}


def until_found(client: Client, expected: set[str], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while (now := found(client)) != expected:
        assert time.monotonic() < deadline, f"{sorted(now)}, and not {sorted(expected)}"
        time.sleep(0.3)


def told(client: Client, count: int = 0) -> list[str]:
    return [str(row["fields"]["finding"]) for row in rows(client, "PolicyViolated", count)]


def rows(client: Client, kind: str, count: int = 1) -> list[dict[str, dict[str, object]]]:
    """Events of a type, once the history has as many as `count`."""
    page = client.until_rows(f"/api/v1/events?type={kind}&limit=1000", count)
    return cast(list[dict[str, dict[str, object]]], page)


def bad_modules(client: Client) -> Iterator[tuple[str, str]]:
    """Load bad modules one after another; the module and the rule that finds it."""
    guest = client.guest
    guest.insmod("hello_unsigned")
    yield "hello_unsigned", "unsigned-module"
    guest.write("/root/load.py", _FROM_MEMORY)
    guest.shell(f"cat {MODULES}/params_mod.ko | python3 /root/load.py")
    yield "params_mod", "module-from-memory"
    guest.insmod("prop_mod")
    yield "prop_mod", "unsigned-module"
    if guest.run("insmod", "--force", f"{MODULES}/wrong_vermagic.ko", check=False).code == 0:
        name = guest.shell("awk '/\\(.*F.*\\)/ {print $1}' /proc/modules").stdout.decode().strip()
        yield name, "forced-module"


def test_default_policy_when_a_stock_kernel_boots_then_silent_and_for_each_bad_module_one_finding(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    assert found(client) == set() and told(client) == []
    assert client.command("check")[0] == 0
    series = client.scrape()
    info = series.labels("kmodmon_module_info")
    assert {row["origin"] for row in info} == {"kernel"} and {row["signature"] for row in info} == {"valid"}
    assert len(info) == len({row["module"] for row in info}) == len(client.rows("/api/v1/modules"))
    expected: set[str] = set()
    for name, rule in bad_modules(client):
        expected.add(f"{rule}/{name}")
        until_found(client, expected)
        assert series.labels("kmodmon_module_info") == info
    history = "\n".join(map(json.dumps, client.rows("/api/v1/events?limit=200")))
    assert sorted(told(client, len(expected))) == sorted(expected), history
    code, text = client.command("check", "--json")
    assert code == 2 and {one["id"] for one in json.loads(text)["findings"]} == expected


def changes(client: Client) -> dict[str, object]:
    """What happened to the files of modules, by module."""
    return {str(row["module"]): row["fields"]["change"] for row in rows(client, "FileChanged", 0) if row["module"]}


def test_files_when_changed_under_a_loaded_module_then_found_and_the_loaded_ones_facts_stay(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    tree = f"/lib/modules/{bookworm.release}"
    guest.shell(f"mkdir -p {tree}/updates && cp {MODULES}/hello_unsigned.ko {tree}/updates/ && depmod")
    guest.run("modprobe", "dummy", "numdummies=0")
    guest.run("modprobe", "hello_unsigned")
    client = start(guest, kmodmon)
    until_found(client, {"unsigned-module/hello_unsigned"})
    detail = client.json("/api/v1/modules/hello_unsigned")
    assert isinstance(detail, dict) and (detail["origin"], detail["on_disk"]) == ("updates", "same")
    # another build
    guest.shell(
        f"cp {MODULES}/params_mod.ko {tree}/updates/.new && mv {tree}/updates/.new {tree}/updates/hello_unsigned.ko"
    )
    seen = client.until(
        lambda seen: seen.get("kmodmon_module_differs_from_disk", module="hello_unsigned") == 1, "differs"
    )
    assert seen.get("kmodmon_module_differs_from_disk", module="dummy") == 0
    # one byte of a signed module's code
    file = guest.shell("modinfo -n dummy").stdout.decode().strip()
    guest.shell(f"printf '\\377' | dd of={file} bs=1 seek=3000 conv=notrunc status=none")
    until_found(client, {"unsigned-module/hello_unsigned", "differs-from-disk/dummy"})
    assert any(row["name"] == "dummy" and row["signature"] == "valid" for row in client.rows("/api/v1/modules"))
    client.until(lambda _: "dummy" in changes(client), "the change of the file")
    assert changes(client)["dummy"] == "replaced since the module was loaded"
    pid = guest.shell("systemctl show -p MainPID --value kmodmon").stdout.decode().strip()
    guest.until(f"! pgrep -P {pid}")  # the examiner is gone when it has answered
    guest.run("rm", file)
    until_found(client, {"unsigned-module/hello_unsigned", "module-file-deleted/dummy"})


def test_rules_when_edited_live_then_in_force_within_two_seconds_and_a_broken_edit_changes_nothing(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    guest.run("modprobe", "dummy")
    guest.write(POLICY, "shipped = true\n")
    client = start(guest, kmodmon)
    edited = [
        in_force(client, POLICY, '[[rule]]\nname = "no-dummy"\naction = "deny"\n[rule.match]\nmodule = "dummy"\n')
    ]
    until_found(client, {"no-dummy/dummy"})
    guest.write(POLICY, '[[rule]]\nname = "no-dummy"\naction = "forbid"\n')
    series = client.until(lambda seen: seen.get("kmodmon_policy_last_reload_successful") == 0, "the refusal")
    assert series.get("kmodmon_policy_findings", rule="no-dummy", severity="warning") == 1
    (refused,) = rows(client, "ConfigRefused")
    assert (refused["fields"]["line"], refused["fields"]["key"]) == (3, "rule[0].action")
    until_found(client, {"no-dummy/dummy", "refused-file/refused-file/policy"})
    edited.append(in_force(client, POLICY, "shipped = true\n# nothing else\n[[rule]]\nname = 'x'\naction = 'allow'\n"))
    until_found(client, set())
    assert client.command("baseline", "learn")[0] == 0
    client.until(lambda seen: seen.get("kmodmon_baseline_drift", kind="unexpected_module") == 0, "the baseline")
    assert client.command("baseline", "diff")[0] == 0
    text = guest.read(BASELINE).decode()
    assert client.scrape().get("kmodmon_baseline_drift", kind="unexpected_module") == 0
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("dummy =")]
    guest.write(BASELINE, "".join(lines))
    written = modified(guest, BASELINE)
    client.until(lambda seen: seen.get("kmodmon_baseline_drift", kind="unexpected_module") == 1, "the difference")
    (drifted,) = rows(client, "BaselineDrifted")
    assert drifted["fields"]["name"] == "dummy"
    edited.append(int(str(drifted["realtime"])) / 1e6 - written)
    code, said = client.command("baseline", "diff")
    assert code == 1 and "module dummy is loaded and not in the baseline" in said
    assert client.command("baseline", "accept", "--reason", "it may stay", "--author", "alice")[0] == 0
    client.until(lambda seen: seen.get("kmodmon_baseline_drift", kind="unexpected_module") == 0, "the signature")
    print(f"edits in force after {', '.join(f'{seconds:.2f} s' for seconds in edited)}")
    assert max(edited) < 2


def guest_time(guest: Guest) -> float:
    return float(guest.run("date", "+%s.%N").stdout)


def modified(guest: Guest, path: str) -> float:
    """When a file was written; how long the command took that wrote it, emulated, is not what is tried."""
    return float(guest.run("stat", "-c", "%.Y", path).stdout)


def in_force(client: Client, path: str, text: str) -> float:
    """Seconds from the write of an edit of the policy until it is in force, by the guest's clock."""
    client.guest.write(path, text)
    written = modified(client.guest, path)
    name = "kmodmon_policy_last_reload_success_timestamp_seconds"
    series = client.until(lambda seen: (seen.get(name) or 0) >= written, "the new policy")
    return (series.get(name) or 0) - written


def test_parameters_when_written_or_opened_to_all_then_told_within_one_sweep(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    guest.insmod("params_mod")
    client = start(guest, kmodmon)
    client.until(
        lambda seen: seen.get("kmodmon_module_parameter", module="params_mod", parameter="int_rw") == 1, "a sweep"
    )
    path = "/sys/module/params_mod/parameters/int_rw"
    begun = guest_time(guest)
    guest.shell(f"echo 42 > {path}; chmod 0666 {path}")
    client.until(
        lambda seen: seen.get("kmodmon_module_parameter", module="params_mod", parameter="int_rw") == 42, "the change"
    )
    (changed,) = rows(client, "ParameterChanged")
    assert (changed["fields"]["old"], changed["fields"]["new"]) == ("1", "42")
    late = int(str(changed["realtime"])) / 1e6 - begun
    assert late < 5 + 5, late  # the pause between two sweeps, and how long one takes, emulated
    writable = "writable-parameter/writable-parameter/params_mod.int_rw"
    client.until(lambda _: writable in found(client), "the mode, which may be another sweep's")
    guest.write("/etc/modprobe.d/no.conf", "blacklist dummy\n")
    guest.run("modprobe", "dummy")
    client.until(lambda seen: seen.get("kmodmon_module_blacklisted", module="dummy", by="blacklist") == 1, "blacklist")
    client.until(lambda _: "blacklisted-module/blacklisted-module/dummy" in found(client), "its finding")


def test_kernel_image_when_only_root_may_read_it_then_its_certificates_verify_the_modules(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    guest = boot(bookworm, fresh=True)
    guest.push([bookworm.image], "/boot")
    guest.shell(f"mv /boot/vmlinuz /boot/vmlinuz-{bookworm.release} && chmod 600 /boot/vmlinuz-*")  # as Ubuntu has it
    client = start(guest, kmodmon)  # which takes it to an examiner without capabilities
    details = [client.json(f"/api/v1/modules/{row['name']}") for row in client.rows("/api/v1/modules")]
    signatures = [cast(dict[str, dict[str, dict[str, object]]], detail)["file"]["signature"] for detail in details]
    assert {(one["verdict"], one["keyring"]) for one in signatures} == {("valid", "builtin")}
    (files,) = (source for source in client.rows("/api/v1/sources") if source["source"] == "files")
    assert files["unreadable"] == 0  # it is confined, else the problem would be counted
