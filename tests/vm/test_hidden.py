"""Modules that hide, on stock kernels: found in every way of hiding, gone when they return; and none that does not."""

from typing import cast

import pytest

from tests.vm.conftest import Boot
from tests.vm.kernels import Kernel
from tests.vm.product import Product
from tests.vm.product_client import Client, Series
from tests.vm.test_lifecycle import events, fields, newest, of, start, until

CONFIG = "[poll]\ncrossview = '5s'\n"
# What a mode of the fixture takes away; see modules/hidden_mod.c.
MODES = {1: {"list"}, 2: {"sysfs"}, 3: {"list", "sysfs"}, 5: {"list", "sysfs"}}
IN_TREE = "dummy"


def missing(series: Series, module: str) -> set[str]:
    rows = series.labels("kmodmon_module_hidden")
    return {row["missing_from"] for row in rows if row["module"] == module}


@pytest.mark.parametrize("mode", MODES)
def test_hidden_when_it_leaves_some_views_then_found_and_gone_when_it_returns(
    kernel: Kernel, boot: Boot, kmodmon: Product, mode: int
) -> None:
    client = start(boot(kernel, fresh=True), kmodmon, CONFIG)
    before = newest(client)
    client.guest.insmod("hidden_mod", f"mode={mode}", "seconds=45")
    client.until(lambda series: missing(series, "hidden_mod") >= MODES[mode], "the module is found", 40)
    client.until(lambda series: not missing(series, "hidden_mod"), "it is gone when it returns", 90)
    rows = until(client, before, lambda rows: bool(of(rows, "ModuleUnhidden", "hidden_mod")))
    (hidden,) = of(rows, "ModuleHidden", "hidden_mod")
    assert set(cast(list[str], fields(hidden)["missing_from"])) >= MODES[mode]
    assert cast(dict[str, object], hidden["actor"])["comm"] == "insmod"
    assert len(of(rows, "ModuleUnhidden", "hidden_mod")) == 1
    assert len(of(rows, "ModuleLoaded", "hidden_mod")) == 1 and not of(rows, "ModuleUnloaded", "hidden_mod")
    code, text = client.command("modules", "--hidden")
    assert code == 0 and "hidden_mod" not in text


def unloads(series: Series) -> float:
    """How many unloads were told."""
    return series.get("kmodmon_module_unloads_total") or 0


def until_compared(client: Client) -> None:
    """Wait until all views are read and compared once more."""
    name = "kmodmon_source_last_read_timestamp_seconds"
    before = client.scrape().get(name, source="crossview")
    client.until(lambda now: now.get(name, source="crossview") != before, "another comparison of all views", 120)


def churn(client: Client, count: int) -> None:
    """Load and unload modules of the kernel itself, with readers of every list beside; nothing may be found."""
    before, gone = newest(client), unloads(client.scrape())
    script = f"""
    (while [ ! -e /tmp/stop ]; do cat /proc/modules /proc/kallsyms >/dev/null; ls -R /sys/module >/dev/null; done) &
    i=0
    while [ $i -lt {count} ]; do
        modprobe {IN_TREE}; modprobe -r {IN_TREE}; i=$((i + 1))
    done
    touch /tmp/stop; wait; rm /tmp/stop
    """
    client.guest.shell(script, timeout=120 + count)
    client.until(lambda series: unloads(series) >= gone + count, "the last unload is told", 60 + count / 4)
    for _ in range(2):  # the first may have begun before the last unload
        until_compared(client)
    rows = events(client, before)
    assert len(of(rows, "ModuleLoaded", IN_TREE)) == len(of(rows, "ModuleUnloaded", IN_TREE)) == count
    assert not [row for row in rows if row["type"] in ("ModuleHidden", "WitnessContradicted")]
    series = client.scrape()
    assert not series.labels("kmodmon_module_hidden")
    assert series.get("kmodmon_witness_contradictions_total") == 0


def test_hidden_when_modules_come_and_go_then_none(kernel: Kernel, boot: Boot, kmodmon: Product) -> None:
    churn(start(boot(kernel, fresh=True), kmodmon, CONFIG), 40)


@pytest.mark.soak
def test_hidden_when_modules_come_and_go_ten_thousand_times_then_none(
    bookworm: Kernel, boot: Boot, kmodmon: Product
) -> None:
    churn(start(boot(bookworm, fresh=True), kmodmon, CONFIG), 10_000)
