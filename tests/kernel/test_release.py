"""Which kernel is newer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.release import is_newer


@pytest.mark.parametrize(
    ("release", "running"),
    [
        ("6.1.0-22-amd64", "6.1.0-18-amd64"),
        ("6.1.0-9-amd64", "6.1.0-8-amd64"),
        ("6.12.9-1-amd64", "6.1.0-18-amd64"),
        ("6.8.0-45-generic", "6.8.0-9-generic"),
        ("5.14.0-503.el9.x86_64", "5.14.0-427.el9.x86_64"),
        ("6.10.11-arch1-1", "6.10.2-arch1-1"),
        ("6.12.0", "6.12.0-rc3"),
        ("6.12.0-rc4", "6.12.0-rc3"),
        ("6.12", "6.12-rc7"),
        ("6.12.1", "6.12"),
        ("6.12.22+bpo-amd64", "6.1.0-18-amd64"),
        ("6.1.0-010-amd64", "6.1.0-9-amd64"),
        (f"6.1.0-{'9' * 5000}-amd64", "6.1.0-18-amd64"),  # int() refuses it; found by fuzzing
    ],
)
def test_releases_when_of_one_flavour_then_the_later_one_is_newer(release: str, running: str) -> None:
    assert is_newer(release, running)
    assert not is_newer(running, release)


@pytest.mark.parametrize(
    ("release", "running"),
    [
        ("6.1.0-22-cloud-amd64", "6.1.0-18-amd64"),
        ("6.1.0-22-rt-amd64", "6.1.0-18-amd64"),
        ("6.8.0-45-lowlatency", "6.8.0-9-generic"),
        ("6.1.0-18-amd64", "6.1.0-18-amd64"),
    ],
)
def test_releases_when_of_two_flavours_then_neither_is_newer(release: str, running: str) -> None:
    assert not is_newer(release, running)
    assert not is_newer(running, release)


@given(st.text(), st.text())
def test_releases_when_they_are_any_text_then_at_most_one_is_newer(one: str, other: str) -> None:
    assert not (is_newer(one, other) and is_newer(other, one))
