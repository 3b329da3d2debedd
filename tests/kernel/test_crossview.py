"""Names of modules in kallsyms, available_filter_functions and the kprobe list."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.crossview import filter_function_modules, kallsyms_modules, kprobe_modules
from kmodmon.types.text import safe_text

KALLSYMS = b"""\
ffffffff81000000 T startup_64
ffffffff81000030 t secondary_startup_64
0000000000000000 t dummy_setup\t[dummy]
0000000000000000 t dummy_xmit\t[dummy]
ffffffffc05be000 t hello_init\t[hello_unsigned]
ffffffffc0700000 t bpf_prog_6deef7357e7b4530\t[bpf]
ffffffffc0700000 t ftrace_trampoline\t[__builtin__ftrace]
ffffffffc0700000 t kprobe_optinsn_page\t[__builtin__kprobes]
"""
FUNCTIONS = b"""\
__traceiter_initcall_level
__ftrace_invalid_address___64
hidden_ping [hidden_mod]
hidden_pong [hidden_mod]
dummy_xmit [dummy]
"""
KPROBES = b"""\
ffffffff81234560  k  do_sys_open+0x0    [FTRACE]
ffffffffc05be000  k  hello_work+0x0  hello_unsigned [DISABLED][FTRACE]
ffffffffc05be010  r  kmt_probe+0x10  kmt 
ffffffffc05be020  k  lost_fn+0x0/0x20 [kmtlost] [GONE]
"""  # noqa: W291


def test_kallsyms_modules_when_recorded_then_modules_without_pseudo_ones() -> None:
    assert kallsyms_modules([KALLSYMS]) == {"dummy", "hello_unsigned"}


def test_filter_function_modules_when_recorded_then_the_hidden_one_too() -> None:
    assert filter_function_modules([FUNCTIONS]) == {"hidden_mod", "dummy"}


def test_kprobe_modules_when_listed_then_owners() -> None:
    assert kprobe_modules(KPROBES) == {"hello_unsigned", "kmt", "kmtlost"}


@pytest.mark.parametrize("name", [b"a b", b"a\nb", b"\xff", b"x" * 59, b"a\tb", b"[x"])
def test_kallsyms_modules_when_name_is_odd_then_it_comes_back(name: bytes) -> None:
    assert safe_text(name) in kallsyms_modules([KALLSYMS, b"0 t f\t[%b]\n" % name])


@given(st.lists(st.integers(0, len(KALLSYMS)), max_size=8))
def test_kallsyms_modules_when_cut_anywhere_then_the_same_names(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(KALLSYMS)]
    chunks = [KALLSYMS[start:end] for start, end in pairwise(places)]
    assert kallsyms_modules(chunks) == {"dummy", "hello_unsigned"}


@given(st.lists(st.binary()))
def test_lists_when_any_bytes_then_names(chunks: list[bytes]) -> None:
    for names in (kallsyms_modules(chunks), filter_function_modules(chunks), kprobe_modules(b"".join(chunks))):
        assert all(name and name.isprintable() for name in names)
