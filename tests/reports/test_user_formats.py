"""Every text of a kernel that prints user text, with hostile user text: none opens a report.

The texts are those of Linux 6.1 (user_formats.py, which says how it was decided what a user chooses). The hostile texts
are the lines of the recorded reports: in front of a line also every beginning of them that fits into a name.
"""

import re
from functools import cache
from itertools import cycle, islice

import pytest

from kmodmon.events.kinds.log import KernelReported
from kmodmon.events.kinds.module import ModuleLoadFailed
from kmodmon.events.kinds.posture import LockdownDenied
from kmodmon.reports.opening import read_opening
from kmodmon.reports.signatures.signature import LogSignature, texts
from kmodmon.reports.signatures.table import SIGNATURES, search
from kmodmon.reports.signatures.task_line import MAX_NAME, TAILS
from kmodmon.savedlog.savedlog import read_saved_log
from kmodmon.subjects.log import account_to_json
from tests.kmsg_maker import record
from tests.reports.casefile import CASES, read_case
from tests.reports.test_live_log import Listener, later
from tests.reports.user_formats import DATA

KIND = re.compile(r"\{(task|path|option|label|netdev|device|name)\}")
LINE_FEED = r"\x0a"
FORGED, BATCH = 100_000, 500


def _formats() -> list[str]:
    lines = (line.split("\t", 1) for line in DATA.read_text().splitlines() if not line.startswith("#"))
    return list(dict.fromkeys(line for _, line in lines))


FORMATS = _formats()


@cache
def samples() -> dict[str, tuple[str, ...]]:
    """Give lines of recorded reports that open one, by signature: one for each way to begin."""
    out: dict[str, dict[str, str]] = {}
    for path in CASES:
        for saved in read_saved_log(read_case(path).log):
            for line in texts(saved.text):
                match = search(line.lstrip(" "))
                if match is not None:
                    out.setdefault(match.signature.name, {}).setdefault(line.lstrip(" ")[:MAX_NAME], line.lstrip(" "))
    return {name: tuple(lines.values()) for name, lines in out.items()}


def hostile(kind: str, *, first: bool) -> list[str]:
    """Give what a user may choose; `first`: at the beginning of a line, where all beginnings matter."""
    lines = [line for some in samples().values() for line in (some if first else some[:1])]
    match kind:
        case "task":
            heads = {line[:MAX_NAME] for line in lines}
            return sorted(heads | {head[:-1] + LINE_FEED for head in heads})
        case "netdev":  # dev_valid_name(): no blank, no slash, no colon
            words = {re.sub(r"[\s/:].*", "", line) for line in lines} | {re.sub(r"[\s/:]", "", line) for line in lines}
            return sorted({word[:MAX_NAME] for word in words if word})
        case _:
            return [*lines, *(f"x{LINE_FEED}{line}" for line in lines), *(f"{line}{LINE_FEED}x" for line in lines)]


def opened(line: str) -> LogSignature | None:
    opening = read_opening(line)
    return None if opening.match is None else opening.match.signature


def filled(line: str, kind: str, text: str) -> str:
    return KIND.sub(lambda place: text if place[1] == kind else "abc", line)


def test_formats_when_read_then_there_are_those_that_forged_reports() -> None:
    for format_ in (
        "{task}[12] bad frame in abcdefg frame:00000000deadbeef ip:1f sp:1f orax:1f",
        "{task} (12): drop_caches: 12",
        "{task}/12: reached RLIMIT_SIGPENDING, dropped signal 12",
        "abcdefg: Unknown parameter '{option}'",
        "process '{path}' started with executable stack",
    ):
        assert any(format_ in line for line in FORMATS), format_
    assert {kind for line in FORMATS for kind in KIND.findall(line)} >= {"task", "path", "option", "netdev", "device"}
    assert samples().keys() == {signature.name for signature in SIGNATURES}


@pytest.mark.parametrize("kind", ["task", "path", "option", "label", "netdev", "device", "name"])
@pytest.mark.parametrize("first", [True, False])
def test_a_format_when_the_user_text_in_it_is_hostile_then_it_opens_no_report(kind: str, first: bool) -> None:
    opening = {}
    for line in FORMATS:
        at = line.find(f"{{{kind}}}")
        if at < 0 or (at <= MAX_NAME) is not first:
            continue
        honest = opened(filled(line, kind, "abc"))  # a few formats are reports themselves
        for text in hostile(kind, first=first):
            forged = filled(line, kind, text)
            if (signature := opened(forged)) is not None and signature is not honest:
                opening[forged] = signature.name
    assert opening == {}


def test_a_task_line_when_the_name_is_any_beginning_of_a_banner_then_it_opens_no_report() -> None:
    # Of formats with a name in front, one of each wording behind it.
    formats = {pattern: line for line in FORMATS for pattern, _ in TAILS if re.match(r"\{task\}" + pattern, line)}
    names = {line[:length] for some in samples().values() for line in some for length in range(1, MAX_NAME)}
    opening = {}
    for line in set(formats.values()):
        honest = opened(filled(line, "task", "abc"))
        for name in names:
            if (signature := opened(filled(line, "task", name))) is not None and signature is not honest:
                opening[filled(line, "task", name)] = signature.name
    assert len(formats) > 15
    assert opening == {}


def test_listener_when_100000_records_of_each_door_come_then_none_is_a_report_and_the_state_stays_small() -> None:
    names = [head for head in hostile("task", first=True) if len(head) > 4]
    lines = [line for some in samples().values() for line in some]
    doors = (
        [f"tmpfs: Unknown parameter 'x{LINE_FEED}{line}'" for line in lines],
        [f"{name}[471] bad frame in rt_sigreturn frame:00 ip:7f sp:7f orax:ffffffffffffffff" for name in names],
    )
    for door in doors:
        listener = Listener()
        sent = [text.encode() for text in door]
        for at in range(0, FORGED, BATCH):
            batch = islice(cycle(sent), at % len(sent), at % len(sent) + BATCH)
            listener.take(tuple(record(at + n, text) for n, text in enumerate(batch)), later(at / 10_000))
        listener.wait(later(1000))
        for kind in (KernelReported, ModuleLoadFailed, LockdownDenied):
            assert listener.of(kind.kind.type) == []
        assert len(listener.events) < 20
        assert len(str(account_to_json(listener.account))) < 4096
        assert listener.account.forged > FORGED // 100
