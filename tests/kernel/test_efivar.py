"""EFI variables and the Secure Boot decision."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.efivar import EfiVariable, SecureBoot, parse_efivar, secure_boot
from kmodmon.types.error import ParseError

ON, OFF = (parse_efivar(b"\x06\0\0\0" + data) for data in (b"\1", b"\0"))
NON_VOLATILE_ON = parse_efivar(b"\x07\0\0\0\1")


@pytest.mark.parametrize(
    ("secure", "setup", "mok", "expected"),
    [
        (ON, OFF, None, "enabled"),
        (ON, OFF, OFF, "enabled"),
        (ON, OFF, ON, "shim_validation_disabled"),
        (ON, OFF, NON_VOLATILE_ON, "enabled"),
        (OFF, OFF, None, "disabled"),
        (OFF, ON, None, "setup_mode"),
        (ON, ON, None, "setup_mode"),
        (ON, None, None, "unknown"),
        (ON, EfiVariable(attributes=6, data=b"\x07"), None, "unknown"),
        (EfiVariable(attributes=6, data=b"\x07"), OFF, None, "unknown"),
        (None, OFF, None, "disabled"),
    ],
)
def test_secure_boot_when_variables_then_as_the_kernel_decides(
    secure: EfiVariable | None, setup: EfiVariable | None, mok: EfiVariable | None, expected: str
) -> None:
    assert secure_boot(secure, setup, mok, variables_readable=True) is SecureBoot(expected)


def test_secure_boot_when_variables_cannot_be_listed_then_unknown() -> None:
    assert secure_boot(None, None, None, variables_readable=False) is SecureBoot.UNKNOWN


def test_parse_efivar_when_read_then_attributes_and_data() -> None:
    assert parse_efivar(b"\x07\x01\0\0ab") == EfiVariable(attributes=0x107, data=b"ab")
    assert parse_efivar(b"") is None


@given(st.binary(max_size=12))
def test_parse_efivar_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        variable = parse_efivar(raw)
    except ParseError:
        assert 0 < len(raw) < 5
        return
    assert variable is None or variable.attributes.to_bytes(4, "little") + variable.data == raw
