"""The files of one livepatch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.livepatch import Livepatch, PatchState, parse_livepatch
from kmodmon.types.error import ParseError


@pytest.mark.parametrize(
    ("enabled", "transition", "state"),
    [
        (b"1\n", b"0\n", "enabled"), (b"0\n", b"0\n", "disabled"),
        (b"1\n", b"1\n", "enabling"), (b"0\n", b"1\n", "disabling"),
    ],
)  # fmt: skip
def test_parse_livepatch_when_two_switches_then_state(enabled: bytes, transition: bytes, state: str) -> None:
    assert parse_livepatch(enabled, transition) == Livepatch(state=PatchState(state))


def test_parse_livepatch_when_newer_files_then_read() -> None:
    patch = parse_livepatch(b"1\n", b"0\n", b"1\n", b"2\n")
    assert (patch.replace, patch.stack_order) == (True, 2)


@given(
    st.binary(max_size=4), st.binary(max_size=4), st.none() | st.binary(max_size=4), st.none() | st.binary(max_size=4)
)
def test_parse_livepatch_when_any_bytes_then_value_or_parse_error(
    enabled: bytes, transition: bytes, replace: bytes | None, order: bytes | None
) -> None:
    try:
        parse_livepatch(enabled, transition, replace, order)
    except ParseError:
        return
