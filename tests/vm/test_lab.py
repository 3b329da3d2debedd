"""The lab itself: each kernel boots, modules load, each way of forbidding them forbids; guests do as they say."""

import socket
import urllib.request
from pathlib import Path

import pytest

from tests.vm.conftest import Boot
from tests.vm.guest import Guest, GuestError
from tests.vm.kernels import Kernel

EPERM = "Operation not permitted"
EKEYREJECTED = "Key was rejected by service"


def refusal(guest: Guest) -> str:
    """Have the guest load an unsigned module and give what insmod says; it must not load."""
    result = guest.insmod("hello_unsigned", check=False)
    assert result.code != 0
    assert b"hello_unsigned" not in guest.read("/proc/modules")
    return result.stderr.decode()


def test_insmod_when_nothing_forbids_then_the_kernel_lists_it_out_of_tree_and_unsigned(
    boot: Boot, kernel: Kernel
) -> None:
    guest = boot(kernel, fresh=True)
    assert guest.run("uname", "-r").text == f"{kernel.release}\n"
    guest.insmod("hello_unsigned", "level=5")
    line = next(line for line in guest.read("/proc/modules").splitlines() if line.startswith(b"hello_unsigned "))
    assert line.endswith(b"(OE)")
    assert guest.read("/sys/module/hello_unsigned/parameters/level") == b"5\n"
    assert guest.read("/proc/sys/kernel/tainted") == b"12288\n"
    assert "hello_unsigned: loading out-of-tree module taints kernel." in guest.run("dmesg").text
    guest.rmmod("hello_unsigned")
    assert b"hello_unsigned" not in guest.read("/proc/modules")


def test_insmod_when_locked_down_then_not_permitted(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, "lockdown=integrity")
    assert b"[integrity]" in guest.read("/sys/kernel/security/lockdown")
    assert EPERM in refusal(guest)


def test_insmod_when_signatures_are_enforced_then_the_key_is_rejected(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, "module.sig_enforce=1")
    assert guest.read("/sys/module/module/parameters/sig_enforce") == b"Y\n"
    assert EKEYREJECTED in refusal(guest)


def test_insmod_when_modules_are_disabled_then_not_permitted_for_good(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, fresh=True)
    guest.write("/proc/sys/kernel/modules_disabled", "1")
    assert EPERM in refusal(guest)
    with pytest.raises(GuestError):
        guest.write("/proc/sys/kernel/modules_disabled", "0")


def test_modprobe_when_in_tree_then_signed_and_no_taint(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, "module.sig_enforce=1")
    guest.run("modprobe", "dummy")
    assert guest.read("/sys/module/dummy/taint") == b"\n"
    guest.rmmod("dummy")


def test_odd_names_when_loaded_then_they_are_listed_as_they_are(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, fresh=True)
    for name in ("name_space", "name_newline", "name_ff", "name_script"):
        guest.insmod(name)
    listed = guest.read("/proc/modules")
    for text in (b"two words ", b"new\nline ", b"byte\xff ", b"<script>alert(1)</script> "):
        assert text in listed


def test_crash_module_when_asked_then_the_kernel_reports_it(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, fresh=True)
    guest.insmod("crash_mod", "kind=warn")
    guest.until("dmesg | grep -q 'kmodmon test: something is odd, 42 of many'")
    assert int(guest.read("/proc/sys/kernel/tainted")) & 512


def test_console_when_the_kernel_panics_then_it_holds_why(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, fresh=True)
    guest.popen("insmod", "/opt/modules/crash_mod.ko", "kind=panic")
    guest.await_end()
    assert "Kernel panic - not syncing: kmodmon test: panic asked for" in guest.console()
    assert not guest.alive


def test_boot_when_plain_then_it_starts_at_the_beginning(boot: Boot, kernel: Kernel) -> None:
    guest = boot(kernel, "kptr_restrict=1", fast=False)
    assert b"kptr_restrict=1" in guest.read("/proc/cmdline")
    guest.insmod("hello_unsigned")


@pytest.fixture
def guest(boot: Boot, bookworm: Kernel) -> Guest:
    return boot(bookworm)


def test_run_when_the_command_fails_then_its_output_and_code_come_back(guest: Guest) -> None:
    result = guest.shell("echo out; echo err >&2; exit 3", check=False)
    assert (result.stdout, result.stderr, result.code) == (b"out\n", b"err\n", 3)
    with pytest.raises(GuestError, match="err"):
        guest.shell("echo err >&2; exit 3")


def test_run_when_it_takes_too_long_then_it_is_ended(guest: Guest) -> None:
    assert guest.run("sleep", "60", timeout=0.5, check=False).code == 124


def test_run_when_given_much_input_then_it_arrives_whole(guest: Guest) -> None:
    data = bytes(range(256)) * 8192
    assert guest.run("cat", stdin=data).stdout == data


def test_push_and_pull_when_a_tree_then_the_same_comes_back(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/file").write_bytes(b"\0\xff\n")
    guest.push([tmp_path / "tree"], "/root/pushed")
    assert guest.read("/root/pushed/tree/sub/file") == b"\0\xff\n"
    assert (guest.pull("/root/pushed/tree", tmp_path / "back") / "sub/file").read_bytes() == b"\0\xff\n"


def test_popen_when_it_prints_later_then_that_is_waited_for(guest: Guest) -> None:
    running = guest.popen("sh", "-c", "echo one; sleep 0.3; echo two; exec sleep 1000")
    assert running.wait_for(b"two") == b"one\ntwo\n"
    running.close()
    guest.until("! pgrep -x sleep")


def test_forward_when_something_listens_then_it_is_reached_from_here(guest: Guest) -> None:
    guest.background("web", "python3", "-m", "http.server", "-d", "/proc/sys/kernel", "8123")
    guest.until("ss -ltn | grep -q :8123")
    with urllib.request.urlopen(f"http://127.0.0.1:{guest.forward(8123)}/ostype", timeout=20) as answer:
        assert answer.status == 200
    assert guest.forward(8123) == guest.forward(8123)
    guest.run("systemctl", "stop", "web")


def test_guests_when_two_run_then_each_has_its_own_kernel_state(boot: Boot, guest: Guest) -> None:
    other = boot(guest.kernel, fresh=True)
    other.insmod("hello_unsigned")
    assert b"hello_unsigned" not in guest.read("/proc/modules")


def test_monitor_when_asked_then_qemu_answers(guest: Guest) -> None:
    assert "running" in guest.monitor("info status")


def test_network_when_the_guest_connects_outwards_then_nothing_is_reached(guest: Guest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f"import socket; socket.create_connection(('10.0.2.2', {server.getsockname()[1]}), timeout=3)"
        assert guest.run("python3", "-c", script, check=False).code != 0
