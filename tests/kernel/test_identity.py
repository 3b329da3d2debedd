"""Which kernel it is, since when it runs."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.identity import (
    parse_boot_id,
    parse_boot_time,
    parse_version,
)
from kmodmon.types.error import ParseError


@pytest.mark.parametrize(
    ("raw", "release", "version"),
    [
        (
            b"Linux version 6.18.44-fc-v595 (builder@sandboxing) (gcc (GCC) 15.3.0, GNU ld (GNU Binutils) 2.46) "
            b"#1 SMP PREEMPT_DYNAMIC @0\n",
            "6.18.44-fc-v595", "#1 SMP PREEMPT_DYNAMIC @0",
        ),
        (
            b"Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) "
            b"12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-10-01)\n",
            "6.1.0-56-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-10-01)",
        ),
        (b"Linux version 4.4.0\n", "4.4.0", ""),
    ],
)  # fmt: skip
def test_parse_version_when_recorded_then_release_and_version(raw: bytes, release: str, version: str) -> None:
    found = parse_version(raw)
    assert (found.release, found.version) == (release, version)
    assert found.text == raw.decode().strip()


def test_parse_times_when_recorded_then_numbers() -> None:
    stat = b"cpu  1 2 3\nintr 0\nctxt 5\nbtime 1795412345\nprocesses 9\n"
    assert parse_boot_time(stat) == 1795412345
    assert parse_boot_id(b"0e1b2c3d-1111-4222-8333-abcdefabcdef\n") == "0e1b2c3d-1111-4222-8333-abcdefabcdef"


@pytest.mark.parametrize("parse", [parse_version, parse_boot_id, parse_boot_time])
@given(raw=st.binary(max_size=60))
def test_parsers_when_any_bytes_then_value_or_parse_error(parse: Callable[[bytes], object], raw: bytes) -> None:
    try:
        parse(raw)
    except ParseError:
        return


@pytest.mark.parametrize("parse", [parse_version, parse_boot_id, parse_boot_time])
def test_parsers_when_empty_then_refused(parse: Callable[[bytes], object]) -> None:
    with pytest.raises(ParseError):
        parse(b"")
