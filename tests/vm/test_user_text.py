"""A user without privilege chooses what real kernels print: no word of it is believed, and each kind is counted."""

import re
import time

from tests.vm.conftest import Boot
from tests.vm.kernels import Kernel
from tests.vm.lab import GUEST_FILES
from tests.vm.product import Product
from tests.vm.product_client import Client
from tests.vm.test_log import assert_counts, events, reports, start, until_reported

AS_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs"
# What each attack brings into the log; some kernels print some of them no more.
PRINTED = (
    r"tmpfs: Unknown parameter 'x",
    r"Oops: 0002 \[#1\]\[\d+\] bad frame in ",
    r"Oops: 0002 \[#1\]\[\d+\]: segfault at ",
    r"traps: Oops: 0002 \[#1\]\[\d+\] trap divide error ",
    r"REISERFS: renamed from ",
    r"Comm: Oops: 0002 \[#1\] ",  # of kernel.print-fatal-signals
)
RECORDS = 100_000
GROWTH_KIB = 4096
BELIEVED = ("KernelReport", "ModuleLoadFailed", "LockdownDenied", "TaintAdded")


def attack(client: Client) -> None:
    """Run the hostile program in the guest of `client`."""
    client.guest.push([GUEST_FILES / "hostile.py"], "/var/tmp")
    client.guest.shell("sysctl -qw kernel.print-fatal-signals=1 kernel.printk_ratelimit=0")
    client.guest.shell(f"{AS_NOBODY} python3 /var/tmp/hostile.py", timeout=180)


def test_log_when_a_user_chooses_what_the_kernel_prints_then_nothing_is_believed_and_it_is_counted(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon)
    attack(client)
    log = client.guest.run("dmesg").text
    assert [line for line in PRINTED if re.search(line, log) is None] == []
    # One mount with seven options, and tasks with six names, of which some are cut short to be like a banner.
    client.until(lambda now: (now.get("kmodmon_kernel_log_forged_total") or 0) >= 12, "the forgeries", timeout=60)
    assert {kind: events(client, kind) for kind in BELIEVED} == {kind: [] for kind in BELIEVED}
    assert reports(client) == []
    (row, *_) = client.until_rows("/api/v1/events?type=LogForged")
    assert isinstance(row["fields"], dict)
    assert row["fields"]["facility"] == 0
    assert_counts(client)
    # And the truth is told as before.
    client.guest.insmod("warn_mod")
    until_reported(client, "warn_mod", "warning")


def test_log_when_a_user_floods_it_during_a_real_oops_then_that_is_told_and_the_history_keeps_what_it_had(
    kernel: Kernel, boot: Boot, kmodmon: Product
) -> None:
    client = start(boot(kernel, "log_buf_len=128M", fresh=True), kmodmon)
    client.until(lambda now: now.get("kmodmon_source_up", source="trace") == 1, "the trace is followed", timeout=60)
    client.guest.insmod("hello_unsigned")
    client.until_rows("/api/v1/events?type=ModuleLoaded")
    client.guest.push([GUEST_FILES / "hostile.py"], "/var/tmp")
    client.guest.shell("dmesg -n 1")  # the console of a guest is slow, and the kernel waits for it
    before, memory = client.rows("/api/v1/events?limit=1000"), client.pss_kib()
    client.guest.background("flood", *AS_NOBODY.split(), "python3", "/var/tmp/hostile.py", str(RECORDS))
    client.until(lambda now: (now.get("kmodmon_kernel_log_forged_total") or 0) > 0, "the flood", 120)
    client.guest.insmod("oops_mod")
    client.guest.until("! systemctl is-active flood", timeout=300)
    # An emulated guest prints twenty times as fast as it reads: the reader comes to the oops long after it happened.
    until_reported(client, "oops_mod", "oops", timeout=300)
    told_after = client.scrape().get("kmodmon_kernel_log_forged_total")
    print(f"{kernel.release}: told when {told_after} of {RECORDS} forgeries were counted")
    (row,) = client.rows("/api/v1/events?type=KernelReport")
    assert isinstance(row["fields"], dict) and row["fields"]["confirmed"] is True, (
        "its numbers moved, late as it is read"
    )
    client.until(lambda now: (now.get("kmodmon_kernel_log_forged_total") or 0) >= RECORDS, "every forgery", timeout=600)
    time.sleep(10)
    grown = client.pss_kib() - memory
    print(f"{kernel.release}: {grown} KiB more after {RECORDS} records")
    assert grown < GROWTH_KIB
    rows = client.rows("/api/v1/events?limit=1000")
    assert {row["id"] for row in before} <= {row["id"] for row in rows}
    assert reports(client) == [("oops", "oops_mod")]
    assert len(rows) < 200, "the flood did not fill the history"
    assert client.scrape().get("kmodmon_kernel_log_lost_total") == 0
    client.until_rows("/api/v1/events?type=LogForged")
