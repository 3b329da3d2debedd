"""/proc/PID/status as 6.1 prints it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.task_status import TaskStatus, parse_task_status
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

RECORDED = b"""\
Name:\tinsmod
Umask:\t0022
State:\tR (running)
Tgid:\t344
Ngid:\t0
Pid:\t345
PPid:\t320
TracerPid:\t0
Uid:\t1000\t0\t0\t0
Gid:\t0\t0\t0\t0
"""


def test_parse_task_status_when_recorded_then_who_it_is() -> None:
    assert parse_task_status(RECORDED) == TaskStatus(comm="insmod", process=344, parent=320, uid=1000)


@pytest.mark.parametrize(
    ("printed", "comm"), [(b"a\\nb", b"a\nb"), (b"a\\\\n", b"a\\n"), (b"x\tUid:\t5", b"x\tUid:\t5")]
)
def test_parse_task_status_when_name_is_odd_then_its_bytes(printed: bytes, comm: bytes) -> None:
    found = parse_task_status(RECORDED.replace(b"insmod", printed))
    assert (found.comm, found.uid) == (safe_text(comm), 1000)


@pytest.mark.parametrize("missing", [b"Name:", b"Tgid:", b"PPid:", b"Uid:"])
def test_parse_task_status_when_a_line_is_missing_then_refused(missing: bytes) -> None:
    with pytest.raises(ParseError):
        parse_task_status(RECORDED.replace(missing, b"X:"))


@given(st.binary() | st.binary(max_size=40).map(lambda raw: RECORDED + raw))
def test_parse_task_status_when_any_bytes_then_value_or_parse_error(raw: bytes) -> None:
    with suppress(ParseError):
        assert parse_task_status(raw).comm.isprintable()
