"""modules.builtin, as Debian's kernels ship it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.builtin import parse_builtin
from kmodmon.types.error import ParseError


def test_parse_builtin_when_recorded_then_kernel_names() -> None:
    raw = b"kernel/arch/x86/events/amd/amd-uncore.ko\nkernel/fs/ext4/ext4.ko\nkernel/lib/libcurve25519-generic.ko\n"
    assert parse_builtin(raw) == ("amd_uncore", "ext4", "libcurve25519_generic")


def test_parse_builtin_when_empty_then_none() -> None:
    assert parse_builtin(b"") == ()


@pytest.mark.parametrize("raw", [b"kernel/fs/ext4/ext4.ko\nkernel/fs/jb", b"kernel/.ko/\n", b".ko\n", b"\x7fELF\x02"])
def test_parse_builtin_when_cut_or_something_else_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_builtin(raw)


@given(st.lists(st.binary(min_size=1, max_size=12).filter(lambda raw: not set(raw) & set(b"/\n"))))
def test_parse_builtin_when_any_names_then_all_of_them(names: list[bytes]) -> None:
    assert len(parse_builtin(b"".join(b"kernel/%b.ko\n" % name for name in names))) == len(names)


@given(st.binary())
def test_parse_builtin_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        names = parse_builtin(raw)
    except ParseError:
        return
    assert all(name.isprintable() for name in names)
