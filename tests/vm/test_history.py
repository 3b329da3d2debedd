"""The history of a daemon under systemd, checked against journal, seals and a scrape after root changed it."""

import json

import pytest

from tests.vm import kernels
from tests.vm.conftest import Boot
from tests.vm.guest import Guest
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.product_client import Client

CONFIG = "[history]\nseal_interval = '10s'\n"
KEY = "/root/verification-key"
STATE = "/var/lib/kmodmon"
CUT = """
import sqlite3
history = sqlite3.connect("/var/lib/kmodmon/history.sqlite3", isolation_level=None)
(head,) = history.execute("SELECT max(id) FROM event").fetchone()
history.execute("BEGIN")
history.execute("DELETE FROM event WHERE id > ?", (head - 6,))
for name in ("head", "head_kept"):  # the attacker does what he can: the ends fit what is left
    where = "" if name == "head" else " WHERE provokable IS NULL"
    row = history.execute(f"SELECT id, hash FROM event{where} ORDER BY id DESC LIMIT 1").fetchone()
    history.execute("UPDATE chain SET id = ?, hash = ? WHERE name = ?", (*row, name))
history.execute("COMMIT")
history.close()
print(head)
"""
FORGED = "KMODMON_EVENT=ModuleLoaded\nKMODMON_EVENT_ID=3\nKMODMON_EVENT_HASH=00\nMESSAGE=forged\n"


@pytest.fixture
def kept(boot: Boot, kmodmon: Product) -> Client:
    """A daemon on Debian 12 whose history is sealed, with loads in it."""
    kernel: Kernel = kernels.kernel("bookworm")
    guest = boot(kernel, fresh=True)
    guest.install_kmodmon(kmodmon)
    guest.start_kmodmon(CONFIG)
    guest.shell(f"kmodmon events --setup-seal > {KEY}")
    client = Client(guest, guest.start_kmodmon())
    for _ in range(4):
        guest.insmod("hello_unsigned")
        guest.rmmod("hello_unsigned")
    client.until_rows("/api/v1/events?limit=100", 14)
    return client


def problems(client: Client, *options: str) -> list[str]:
    """What `kmodmon events --verify` says is wrong."""
    done = client.guest.run("kmodmon", "events", "--verify", "--json", *options, check=False, timeout=120)
    found = [problem["text"] for problem in json.loads(done.text)["problems"]]
    assert done.code == (1 if found else 0)
    return found


def forge(guest: Guest) -> None:
    """Write a journal entry with kmodmon's fields, as a user without privilege."""
    guest.write("/run/forged", FORGED)
    guest.shell("chmod 644 /run/forged; setpriv --reuid 65534 --clear-groups logger --journald=/run/forged")
    guest.until("journalctl -q KMODMON_EVENT_HASH=00 | grep -q forged")


def test_tail_when_it_is_cut_then_journal_metric_and_seal_tell_and_the_chain_does_not(kept: Client) -> None:
    guest = kept.guest
    scraped = kept.scrape()
    before, digits = scraped.get("kmodmon_history_head_id"), scraped.get("kmodmon_history_head_hash")
    forge(guest)
    owners = guest.shell(f"stat -c %a:%u {STATE}/history.seal; stat -c %u {STATE}/history.sqlite3").text.split()
    assert owners[0] == f"600:{owners[1]}" and owners[1] != "0"
    guest.run("systemctl", "stop", "kmodmon")
    assert before is not None and digits is not None
    expected = f"{before:.0f}:{int(digits):012x}"
    assert problems(kept, "--journal", "--seal-key", KEY, "--expect", expected) == []
    head = int(guest.run("/usr/bin/python3", "-c", CUT).text)
    assert problems(kept) == []
    lost = f"events {head - 5} to {head}: the journal has it: newer than the newest of the history"
    assert problems(kept, "--journal") == [lost]
    assert any("a seal covers it: newer than the newest" in text for text in problems(kept, "--seal-key", KEY))
    assert problems(kept, "--expect", expected) == [
        f"event {before:.0f}: as expected: newer than the newest of the history"
    ]
    client = Client(guest, guest.start_kmodmon())
    after = client.scrape().get("kmodmon_history_head_id")
    assert after is not None and after < head
    # The ids of the cut events are used again: the journal holds two hashes for each.
    assert any("had another hash than in the history" in text for text in problems(client, "--journal"))


def test_log_when_it_is_cut_after_a_kill_then_journal_and_seal_tell(kept: Client) -> None:
    guest = kept.guest
    guest.shell(
        "systemctl kill --kill-who=main -s KILL kmodmon; systemctl stop kmodmon; systemctl start kmodmon; sleep 1;"
        "systemctl kill --kill-who=main -s KILL kmodmon; systemctl stop kmodmon"
    )
    assert problems(kept, "--journal", "--seal-key", KEY) == []
    guest.shell(f"[ -s {STATE}/history.sqlite3-wal ]; : > {STATE}/history.sqlite3-wal; rm -f {STATE}/*-shm")
    assert problems(kept) == []
    assert problems(kept, "--journal") != []
    assert problems(kept, "--seal-key", KEY) != []
