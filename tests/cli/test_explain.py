import io
import json
from pathlib import Path
from typing import cast

import pytest

from kmodmon.__main__ import main

CASES = Path(__file__).parent.parent / "reports" / "cases"


class _Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_explain_when_a_log_has_a_report_then_exits_1_and_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--log", str(CASES / "x86-null-4.18.log")]) == 1
    shown = capsys.readouterr().out
    assert "NULL pointer dereference in foo_read [foo]" in shown
    assert "ended in a panic" in shown


def test_explain_when_json_then_gives_the_public_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json", "--log", str(CASES / "x86-null-4.18.log")]) == 1
    (report,) = cast("list[dict[str, object]]", json.loads(capsys.readouterr().out))
    assert (report["class"], report["module"], report["panic"], report["taint"]) == ("oops", "foo", True, "OE")
    assert (report["first_line"], report["last_line"]) == (4, 22)


def test_explain_when_the_log_is_clean_then_exits_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", _Stdin(b"[    1.000000] all is well\n"))
    assert main(["explain", "--log", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_explain_when_refusals_are_asked_for_then_lists_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = b"foo: Unknown symbol bar (err -2)\nfoo: loading out-of-tree module taints kernel.\n"
    monkeypatch.setattr("sys.stdin", _Stdin(log))
    assert main(["explain", "--log", "-"]) == 0
    monkeypatch.setattr("sys.stdin", _Stdin(log))
    assert main(["explain", "--log", "-", "--all"]) == 1
    assert "unknown symbol: foo" in capsys.readouterr().out


def test_explain_when_the_file_cannot_be_read_then_exits_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--log", "/nonexistent/file"]) == 3
    assert "/nonexistent/file" in capsys.readouterr().err


def test_explain_when_log_and_thing_are_both_given_or_neither_then_exits_2() -> None:
    assert main(["explain", "--log", "x", "y"]) == 2
    assert main(["explain"]) == 2


@pytest.mark.parametrize(
    ("thing", "word"),
    [
        ("4096", "out_of_tree_module"),
        ("OE", "unsigned_module"),
        ("W", "warning"),
        ("foo: disagrees about version of symbol bar", "symbol_version"),
        ("insmod: ERROR: could not insert module x.ko: Operation not permitted", "EPERM"),
    ],
)
def test_explain_when_given_a_thing_then_says_what_it_means(
    thing: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", thing]) == 0
    assert word in capsys.readouterr().out
    assert main(["explain", "--json", thing]) == 0
    assert word in capsys.readouterr().out


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        ("EPERM", "CAP_SYS_MODULE"),  # its letters are taint letters as well
        ("-126", "ENOKEY"),
        ("err -2", "ENOENT"),
        ("ENOTTY", "The module loader gives it no meaning of its own"),
        ("12289", "proprietary_module"),
        ("0", "not tainted"),
        ("PO", "out_of_tree_module"),
        ("loading out-of-tree module taints kernel.", "not built as part of the kernel"),
        ("Unknown symbol foo (err -2)", "symbol that the module needs"),
        ("foo: disagrees about version of symbol bar", "another version"),
        ("insmod: ERROR: could not insert module x.ko: Key was rejected by service", "EKEYREJECTED"),
    ],
)
def test_explain_when_given_an_errno_a_number_or_half_a_line_then_says_what_it_means(
    thing: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "--", thing]) == 0
    shown = capsys.readouterr().out
    assert says in shown and "a_module" not in shown


def test_explain_when_nothing_is_known_then_exits_1_and_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "no", "such", "thing"]) == 1
    assert "as the kernel or the tool printed it" in capsys.readouterr().out
