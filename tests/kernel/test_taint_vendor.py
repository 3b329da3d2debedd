"""Vendor taint tables: the text their kernels print, and the evidence that chooses them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.taint import FLAGS, Flag, decode, parse_tainted_text
from kmodmon.kernel.taint_vendor import EL7, EL8, EL9, EL10, SUSE, choose_flags
from tests.kernel.render import render_tainted_text

TABLES = (EL7, EL8, EL9, EL10, SUSE)
EL8_VERSION = (
    "Linux version 4.18.0-553.el8_10.x86_64 (mockbuild@x86-vm-07.build.eng.example.com) "
    "(gcc version 8.5.0 20210514 (Red Hat 8.5.0-22) (GCC)) #1 SMP Fri May 24 13:05:10 UTC 2024"
)


@pytest.mark.parametrize("flags", TABLES)
def test_table_when_read_has_each_bit_and_label_once(flags: tuple[Flag, ...]) -> None:
    assert [flag.bit for flag in flags] == sorted({flag.bit for flag in flags})
    assert len({flag.label for flag in flags}) == len(flags)


def test_el8_when_out_of_tree_then_text_is_what_that_kernel_prints() -> None:
    assert render_tainted_text(12288, EL8) == "Tainted: G           OE    --------- -  -"
    assert parse_tainted_text("Tainted: G           OE    --------- -t - 4.18.0-553.el8", EL8).value == 12288 + (
        1 << 29
    )


def test_el9_when_unsigned_then_text_is_what_that_kernel_prints() -> None:
    assert render_tainted_text(8192, EL9) == "Tainted: G            E     -------  ---" + " "


def test_el10_when_named_form_then_vendor_names_are_found() -> None:
    found = parse_tainted_text("Tainted: [O]=OOT_MODULE, [h]=SUPPORT_REMOVED, [u]=UNPRIVILEGED_BPF", EL10)
    assert [flag.bit for flag in found.flags] == [12, 27, 31]


@pytest.mark.parametrize(
    ("version", "config", "flags"),
    [
        (EL8_VERSION, (), EL8),
        (EL8_VERSION.replace("el8_10.x86_64", "el8_10.x86_64+rt-debug"), (), EL8),
        ("Linux version 5.14.0-503.el9.x86_64 (b@h) (gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-2)) #1", (), EL9),
        ("Linux version 6.12.0-55.9.1.el10_0.aarch64 (b@h) (gcc (GCC) 14.2.1 (Red Hat 14.2.1-7)) #1", (), EL10),
        ("Linux version 6.12.9-1.el9.elrepo.x86_64 (b@h) (gcc (GCC) 11.5.0 (Red Hat 11.5.0-2)) #1", (), FLAGS),
        ("Linux version 5.15.0-300.el8uek.x86_64 (b@h) (gcc (GCC) 11.4.1 (Red Hat 11.4.1-2)) #2", (), FLAGS),
        ("Linux version 4.18.0-553.el8_10.x86_64 (me@home) (gcc (Debian 12.2.0-14) 12.2.0) #1", (), FLAGS),
        ("Linux version 6.4.0-150600.21-default (geeko@buildhost) (gcc (SUSE Linux) 7.5.0) #1", (), SUSE),
        ("Linux version 6.4.0 (x@y) (clang)", ("CONFIG_SUSE_KERNEL_SUPPORTED",), SUSE),
        ("Linux version 6.1.0-56-cloud-amd64 (debian-kernel@x) (gcc-12 (Debian 12.2.0-14+deb12u1))", (), FLAGS),
        ("", (), FLAGS),
    ],
)  # fmt: skip
def test_choose_flags_when_evidence_then_table(version: str, config: tuple[str, ...], flags: tuple[Flag, ...]) -> None:
    assert choose_flags(version, config) is flags


@given(st.sampled_from(TABLES), st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_decode_when_vendor_table_then_no_bit_is_lost(flags: tuple[Flag, ...], value: int) -> None:
    assert sum(flag.value for flag in decode(value, flags)) == value
