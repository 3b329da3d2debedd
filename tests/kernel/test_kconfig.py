"""Kernel configurations, plain and packed."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.kconfig import parse_kconfig
from kmodmon.types.error import ParseError

DEBIAN = b"""\
#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.1.170 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14) 12.2.0"
CONFIG_LOCALVERSION=""
CONFIG_MODULES=y
CONFIG_MODULE_FORCE_LOAD=y
CONFIG_MODULE_UNLOAD=y
CONFIG_MODVERSIONS=y
# CONFIG_MODULE_SRCVERSION_ALL is not set
CONFIG_MODULE_SIG=y
# CONFIG_MODULE_SIG_FORCE is not set
CONFIG_MODULE_SIG_HASH="sha256"
CONFIG_SECURITY_LOCKDOWN_LSM=y
CONFIG_SECURITY_LOCKDOWN_LSM_EARLY=y
CONFIG_LOCK_DOWN_KERNEL_FORCE_NONE=y
CONFIG_LSM="landlock,lockdown,yama,loadpin,safesetid,integrity,apparmor,selinux,smack,tomoyo,bpf,ipe"
CONFIG_KFENCE=y
CONFIG_KFENCE_SAMPLE_INTERVAL=0
CONFIG_LIVEPATCH=y
CONFIG_NET=y
"""


@pytest.mark.parametrize("raw", [DEBIAN, gzip.compress(DEBIAN, mtime=0)])
def test_parse_kconfig_when_plain_or_packed_then_what_matters(raw: bytes) -> None:
    config = parse_kconfig(raw)
    assert config.is_on("CONFIG_MODULE_SIG")
    assert not config.is_on("CONFIG_MODULE_SIG_FORCE")
    assert not config.is_on("CONFIG_IMA_ARCH_POLICY")
    assert config.values["CONFIG_MODULE_SIG_FORCE"] == "n"
    assert config.values["CONFIG_MODULE_SIG_HASH"] == "sha256"
    assert config.values["CONFIG_KFENCE_SAMPLE_INTERVAL"] == "0"
    assert config.values["CONFIG_LSM"].startswith("landlock,lockdown")
    assert {"CONFIG_MODULES", "CONFIG_MODVERSIONS", "CONFIG_SECURITY_LOCKDOWN_LSM_EARLY"} <= config.values.keys()
    assert "CONFIG_NET" not in config.values


@pytest.mark.parametrize(
    "raw", [b"", b"garbage\n", gzip.compress(DEBIAN, mtime=0)[:20], b"\x1f\x8bnothing", b"\x7fELF"]
)
def test_parse_kconfig_when_no_configuration_then_refused(raw: bytes) -> None:
    with pytest.raises(ParseError):
        parse_kconfig(raw)


def test_parse_kconfig_when_a_bomb_then_bounded() -> None:
    bomb = gzip.compress(b"CONFIG_MODULES=y\n" + b"\0" * (1 << 26))
    assert parse_kconfig(bomb).values == {"CONFIG_MODULES": "y"}


@given(st.binary() | st.binary().map(gzip.compress) | st.binary().map(lambda raw: b"CONFIG_MODULES=" + raw))
def test_parse_kconfig_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    try:
        config = parse_kconfig(raw)
    except ParseError:
        return
    assert all(name.startswith("CONFIG_") and value.isprintable() for name, value in config.values.items())
