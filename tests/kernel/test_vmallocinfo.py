"""Areas of modules in /proc/vmallocinfo, with real, hashed and zero addresses."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.vmallocinfo import ModuleArea, parse_module_areas

REAL = b"""\
0xffffb2c4c0000000-0xffffb2c4c0005000   20480 irq_init_percpu_irqstack+0x118/0x180 vmap
0xffffb2c4c0011000-0xffffb2c4c0013000    8192 gen_pool_add_owner+0x42/0xb0 pages=1 vmalloc N0=1
0xffffffffc034b000-0xffffffffc0350000   20480 load_module+0x9a7/0x2160 pages=4 vmalloc N0=4
0xffffffffc0400000-0xffffffffc0404000   16384 move_module+0x2a/0x170 pages=3 vmalloc N0=3
0xffffffffc0500000-0xffffffffc0502000    8192 execmem_alloc+0x5d/0x90 pages=1 vmalloc N0=1
0xffffffffc0600000-0xffffffffc0602000    8192 bpf_jit_alloc_exec+0x12/0x20 pages=1 vmalloc N0=1
"""
HASHED = b"0x00000000d2b1d5cb-0x000000005b6b06a5   20480 load_module+0x9a7/0x2160 pages=4 vmalloc N0=4\n"
ZERO = b"0x0000000000000000-0x0000000000000000   20480 load_module+0x9a7/0x2160 pages=4 vmalloc N0=4\n"


def test_parse_module_areas_when_real_then_only_modules_and_their_addresses() -> None:
    areas = parse_module_areas([REAL])
    assert [(area.caller, area.size) for area in areas] == [
        ("load_module", 20480), ("move_module", 16384), ("execmem_alloc", 8192),
    ]  # fmt: skip
    assert (areas[0].start, areas[0].end) == (0xFFFFFFFFC034B000, 0xFFFFFFFFC0350000)


@pytest.mark.parametrize("raw", [HASHED, ZERO])
def test_parse_module_areas_when_addresses_are_hidden_then_only_sizes(raw: bytes) -> None:
    areas = parse_module_areas([raw])
    assert areas == (ModuleArea(start=None, end=None, size=20480, caller="load_module"),)


@given(st.lists(st.integers(0, len(REAL)), max_size=6))
def test_parse_module_areas_when_cut_anywhere_then_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(REAL)]
    chunks = [REAL[start:end] for start, end in pairwise(places)]
    assert parse_module_areas(chunks) == parse_module_areas([REAL])


@given(st.lists(st.binary()))
def test_parse_module_areas_when_any_bytes_then_a_value(chunks: list[bytes]) -> None:
    assert all(area.size >= 0 for area in parse_module_areas(chunks))
