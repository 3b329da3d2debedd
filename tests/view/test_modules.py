"""One module: every key, every value, null for what is not known, and the kernel's order."""

from dataclasses import replace

import pytest

from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.inventory import Loaded, Module, ModuleAttributes
from kmodmon.state.trust import provenance_of
from kmodmon.types.units import JsonObject
from kmodmon.view.files import file_view, provenance_view
from kmodmon.view.modules import loaded_view, module_detail, module_view, modules_view
from tests.view.recorded import ACTOR, ACTOR_JSON, NO_MODULES, TREES, at, in_order, recorded, with_load, with_module

MODULE = Module(
    name="bridge",
    size=372736,
    refcnt=3,
    holders=("br_netfilter", "a_user"),
    permanent=True,
    state=ModuleState.GOING,
    address=0xFFFF,
    taint="OE",
    attributes=ModuleAttributes(instance=7, version="2.3", srcversion="7BB1117", coresize=1, initsize=2, build_id="05"),
)


def test_module_when_the_tree_lists_it_then_what_is_not_known_is_null() -> None:
    state = recorded()
    bare = replace(MODULE, refcnt=None, holders=(), permanent=False, state=ModuleState.LIVE, taint="")
    bare = replace(bare, attributes=ModuleAttributes())
    assert in_order(module_view(state, bare)) == in_order({
        "name": "bridge", "size_bytes": 372736, "refcnt": None, "holders": [], "permanent": False, "state": "live",
        "taint": "", "version": None, "srcversion": None, "build_id": None,
        "signature": "valid", "signer": None, "origin": "unknown", "differs_from_disk": None, "license": None,
        "path": None, "package": None,
        "loaded": "before_start", "boot": True, "loaded_at": None, "actor": None,
    })  # fmt: skip


def test_module_when_everything_is_known_then_each_key_has_its_own_value() -> None:
    state = with_load(recorded(), "bridge", Loaded(before_start=False, at=at(1_700_000_000_000_123), actor=ACTOR))
    assert in_order(module_view(state, MODULE)) == in_order({
        "name": "bridge", "size_bytes": 372736, "refcnt": 3, "holders": ["br_netfilter", "a_user"], "permanent": True,
        "state": "going", "taint": "OE", "version": "2.3", "srcversion": "7BB1117", "build_id": "05",
        "signature": "unsigned", "signer": None, "origin": "unknown", "differs_from_disk": None, "license": None,
        "path": None, "package": None,
        "loaded": "seen", "boot": False, "loaded_at": 1_700_000_000_000_123, "actor": ACTOR_JSON,
    })  # fmt: skip


def test_modules_when_a_tree_is_read_then_they_come_in_the_order_of_proc_modules() -> None:
    lines = (TREES / "debian13-6.12-x86_64/proc/modules").read_text().splitlines()
    listed = modules_view(recorded())
    assert [module["name"] for module in listed] == [line.split()[0] for line in lines]
    assert {module["taint"] for module in listed} == {"", "COEKN", "OE", "POE"}
    stp = next(module for module in listed if module["name"] == "stp")
    assert (stp["holders"], stp["refcnt"], stp["size_bytes"]) == (["bridge"], 1, 12288)
    assert modules_view(recorded(NO_MODULES)) == []


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (None, {"loaded": None, "boot": None, "loaded_at": None, "actor": None}),
        (Loaded(before_start=True), {"loaded": "before_start", "boot": True, "loaded_at": None, "actor": None}),
        (
            Loaded(before_start=False, while_down=True),
            {"loaded": "while_down", "boot": False, "loaded_at": None, "actor": None},
        ),
        (
            Loaded(before_start=False, at=at(9), actor=ACTOR),
            {"loaded": "seen", "boot": False, "loaded_at": 9, "actor": ACTOR_JSON},
        ),
    ],
)
def test_load_when_shown_then_says_how_when_and_by_whom(load: Loaded | None, expected: JsonObject) -> None:
    inventory = recorded().inventory
    if load is None:
        assert in_order(loaded_view(inventory, "not_loaded")) == in_order(expected)
    else:
        assert in_order(loaded_view(with_load(recorded(), "bridge", load).inventory, "bridge")) == in_order(expected)


def test_detail_when_shown_then_is_the_module_followed_by_its_file() -> None:
    state = with_module(recorded(), MODULE)
    provenance = provenance_of(state, MODULE)
    expected = {**module_view(state, MODULE), **file_view(state, provenance, "bridge")}
    detail = module_detail(state, MODULE)
    assert in_order(detail) == in_order(expected)
    assert list(detail)[-4:] == ["on_disk", "file", "file_now", "writable_entries"]
    assert list(provenance_view(provenance)) == list(detail)[10:17]
