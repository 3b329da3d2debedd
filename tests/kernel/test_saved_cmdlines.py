r"""saved_cmdlines as kernels gave it, with names that look like lines, `a\n1 evil` and `\n\n` among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.saved_cmdlines import parse_saved_cmdlines
from kmodmon.types.text import safe_text
from tests.kernel.trace_recording import KERNELS, TRACES, Recording


@pytest.mark.parametrize("kernel", KERNELS)
def test_saved_cmdlines_when_recorded_then_tools_by_name_and_no_forged_one(kernel: str) -> None:
    recording = Recording(TRACES / kernel)
    raw = recording.read("3.saved_cmdlines")
    names = parse_saved_cmdlines(raw)
    tools = {event.tid: event.comm for chunk in recording.chunks(3) for event in chunk.events if event.comm is not None}
    known = {tid: names[tid] for tid in tools if tid in names}
    assert known == {tid: tools[tid] for tid in known} and len(known) > len(tools) / 2
    assert 1 not in names and "evil" not in names.values()


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"344 insmod\n345 systemd-udevd\n", {344: "insmod", 345: "systemd-udevd"}),
        (b"344 a b\n345 kworker/0:1-mm_\n", {344: "a b", 345: "kworker/0:1-mm_"}),
        (b"700 a\n1 evil\n", {}),  # one task of that name, or two
        (b"344 insmod\n700 a\n1 evil\n345 systemd-udevd\n", {345: "systemd-udevd"}),
        (b"344 insmod\n700 a\n1 evil\n1 systemd\n", {}),
        (b"344 insmod\n344 kworker/0:1-mm_\n", {}),
        (b"344 insmod", {}),  # the kernel ends its last line
        (b"344 insmod\n\n\n345 systemd-udevd\n", {345: "systemd-udevd"}),
        (b"-5 insmod-insmod\nx\n0345 systemd-udevd\n99999999999 systemd-udevd\n", {}),
        (b"344 abcdefghijklmno\n345 abcdefghijklmnop\n", {344: "abcdefghijklmno"}),
        (b"344 \xff\x1b[31m-------\n", {344: "\\xff\\x1b[31m-------"}),
        (b"", {}),
    ],
)
def test_saved_cmdlines_when_a_name_may_be_two_then_unknown(raw: bytes, names: dict[int, str]) -> None:
    assert parse_saved_cmdlines(raw) == names


@given(st.dictionaries(st.integers(1, 99999), st.binary(max_size=15).filter(lambda name: b"\0" not in name)))
def test_saved_cmdlines_when_names_are_any_then_no_task_has_the_name_of_another(tasks: dict[int, bytes]) -> None:
    raw = b"".join(b"%d %b\n" % (tid, name) for tid, name in tasks.items())
    names = parse_saved_cmdlines(raw)
    assert names == {tid: safe_text(tasks[tid]) for tid in names}
