"""Lines of the kernel's log that show values: the printks of kernel/params.c, kernel/module/main.c and init/main.c."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.kmsg import may_show_values
from kmodmon.kernel.parameter import REDACTED, SecretNames
from kmodmon.kernel.redacted_log import redact_log_lines, redact_log_text, redact_record

SHIPPED = SecretNames()
LONG = "topsecret" * 110


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x: `topsecret' invalid for parameter `psk'", "x: `<redacted>' invalid for parameter `psk'"),
        ("x: `topsecret' too large for parameter `wep_key1'", "x: `<redacted>' too large for parameter `wep_key1'"),
        ("Booting kernel: `topsecret' invalid for parameter `x.psk'", None),
        ("x: `a' invalid for parameter `b' topsecret' invalid for parameter `psk'", None),
        ("x: `a' invalid for parameter `psk' topsecret' invalid for parameter `b'", None),
        ("x: `a\\x0atopsecret' invalid for parameter `psk'", "x: `<redacted>' invalid for parameter `psk'"),
        (f"x: `{LONG}", "x: `<redacted>"),
        ("x: parameters 'psk=topsecret level=2' after `--' ignored",
         "x: parameters 'psk=<redacted> level=2' after `--' ignored"),
        ("Kernel command line: root=/dev/sda1 ro x.psk=topsecret quiet",
         "Kernel command line: root=/dev/sda1 ro x.psk=<redacted> quiet"),
        ("Unknown kernel command line parameters \"psk=topsecret splash\", will be passed to user space.",
         "Unknown kernel command line parameters \"psk=<redacted> splash\", will be passed to user space."),
        ("doing x, parsing ARGS: 'level=1 psk=topsecret'", "doing x, parsing ARGS: 'level=1 psk=<redacted>'"),
        ("doing x: psk='topsecret'", "doing x: psk='<redacted>'"),
        ("Kernel panic - not syncing: Too many boot env vars at `psk=topsecret'",
         "Kernel panic - not syncing: Too many boot env vars at `psk=<redacted>'"),
    ],
)  # fmt: skip
def test_log_when_a_line_shows_a_secret_then_only_it_is_hidden(text: str, shown: str | None) -> None:
    kept = redact_log_text(text, SHIPPED)
    assert "topsecret" not in kept and REDACTED in kept
    assert shown in (None, kept)
    assert redact_log_text(kept, SHIPPED) == kept
    record = b"3,100,200,-;" + text.encode() + b"\n SUBSYSTEM=x\n"
    assert may_show_values(record)
    assert redact_record(record, SHIPPED) == b"3,100,200,-;" + kept.encode() + b"\n SUBSYSTEM=x\n"
    dump = f"<3>[   12.345678] {text}\n<6>[   12.345679][  T12] {text}\n{text}\nnext".encode()
    assert redact_log_lines(dump, SHIPPED) == dump.replace(text.encode(), kept.encode())


@pytest.mark.parametrize(
    "text",
    [
        "x: `5x' invalid for parameter `level'",
        "x: `eth0,eth1,eth2' too large for parameter `names'",
        "x: Unknown parameter `psk'",
        "x: unknown parameter 'psk' ignored",
        "x: can only take 4 arguments",
        "x: string doesn't fit in 31 chars.",
        "Kernel command line: BOOT_IMAGE=/boot/vmlinuz root=UUID=1 ro module.sig_enforce=1 console=ttyS0,115200n8",
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "audit: type=1400 audit(1.2:3): apparmor=\"DENIED\" operation=\"open\" name=\"/etc/key\" key=\"x\"",
        "usb 1-1: Product: `key' board",
        "systemd[1]: doing something with key=value",
        "",
    ],
)  # fmt: skip
def test_log_when_a_line_shows_no_secret_then_whole(text: str) -> None:
    assert redact_log_text(text, SHIPPED) == text
    assert redact_log_lines(f"<3>[   12.345678] {text}\n".encode(), SHIPPED) == f"<3>[   12.345678] {text}\n".encode()


def test_log_when_own_settings_then_they_decide() -> None:
    names = SecretNames(redact=("wifi.opaque",), allow=())
    assert redact_log_text("wifi: `1x' invalid for parameter `opaque'", names).startswith(f"wifi: `{REDACTED}'")
    for text in ("eth: `1x' invalid for parameter `opaque'", "wifi: `1x' invalid for parameter `psk'"):
        assert redact_log_text(text, names) == text


def test_log_when_a_value_goes_over_two_lines_of_a_dump_then_both_parts_are_hidden() -> None:
    dump = b"[    1.000000] x: `topsec\n[    1.000000] topsecret' invalid for parameter `psk'\n"
    shown = b"[    1.000000] x: `<redacted>\n[    1.000000] <redacted>' invalid for parameter `psk'\n"
    assert redact_log_lines(dump, SHIPPED) == shown


def test_log_when_more_than_a_name_follows_the_words_for_a_parameter_then_the_name_alone_counts() -> None:
    # Found by fuzzing: what was hidden once was taken for another name when it was read again.
    line = f"Kernel command line: a' invalid for parameter `mode] psk-te: {'b' * 300} c"
    once = redact_log_text(line, SHIPPED)
    assert once == f"Kernel command line: a' invalid for parameter `mode] psk-te: {REDACTED} c"
    assert redact_log_text(once, SHIPPED) == once


def test_log_when_a_record_is_cut_within_the_name_of_a_parameter_then_the_value_is_not_shown() -> None:
    assert redact_log_text("x: `topsecret' invalid for parameter `ps", SHIPPED) == (
        f"x: `{REDACTED}' invalid for parameter `ps"
    )


VALUES = st.text(st.sampled_from("abcdefXYZ0123 '\"`\\=:,;|"), min_size=1, max_size=40)


@given(VALUES, st.sampled_from(["invalid", "too large"]), st.sampled_from(["x", "wifi_mod", "Booting kernel"]))
def test_log_when_any_value_is_refused_then_it_is_not_shown(value: str, why: str, doing: str) -> None:
    kept = redact_log_text(f"{doing}: `{value}' {why} for parameter `psk'", SHIPPED)
    assert kept == f"{doing}: `{REDACTED}' {why} for parameter `psk'"


@given(st.binary(max_size=300))
def test_log_when_any_bytes_then_a_bounded_record_and_the_same_again(raw: bytes) -> None:
    for given_ in (raw, b"3,1,2,-;x: `" + raw, b"Kernel command line: " + raw, b"doing x: psk='" + raw):
        for hide in (redact_record, redact_log_lines):
            once = hide(given_, SHIPPED)
            assert len(once) <= len(REDACTED) * len(given_) and hide(once, SHIPPED) == once
