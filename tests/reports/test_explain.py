import pytest

from kmodmon.events.report import LoadFailure, ReportClass
from kmodmon.reports.explain import explain_line
from kmodmon.reports.signatures.errno import SENTENCES, TOOL_SENTENCES


def test_explain_line_when_a_prefix_stands_before_the_message_then_knows_it_all_the_same() -> None:
    explanation = explain_line("Mar  4 09:12:01 host kernel: [  12.345678] foo: version magic 'a' should be 'b'")
    assert explanation is not None
    assert (explanation.subject, explanation.module, explanation.reason) == (
        "version_magic",
        "foo",
        LoadFailure.VERSION_MAGIC,
    )
    assert explanation.report_class is ReportClass.MODULE_LOAD_FAILURE


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("modprobe: ERROR: could not insert 'foo': Key was rejected by service", "EKEYREJECTED"),
        ("insmod: ERROR: could not insert module foo.ko: Operation not permitted", "EPERM"),
        ("insmod: ERROR: could not insert module foo.ko: Invalid module format", "ENOEXEC"),
        ("modprobe: ERROR: could not insert 'foo': Exec format error", "ENOEXEC"),
        ("insmod: ERROR: could not insert module foo.ko: Unknown symbol in module", "ENOENT"),
        ("modprobe: ERROR: could not insert 'foo': Required key not available", "ENOKEY"),
        ("insmod: ERROR: could not insert module foo.ko: File exists", "EEXIST"),
        ("rmmod: ERROR: Module foo is in use", "is in use"),
        ("modprobe: FATAL: Module foo not found in directory /lib/modules/6.1.0", "not found in directory"),
        ("No such device or address", "ENXIO"),
        ("No such device", "ENODEV"),
        ("enomem", "ENOMEM"),
    ],
)
def test_explain_line_when_given_a_tools_sentence_then_names_the_errno(text: str, subject: str) -> None:
    explanation = explain_line(text)
    assert explanation is not None
    assert explanation.subject == subject
    assert explanation.meaning and explanation.next_step and explanation.why


def test_explain_line_when_nothing_is_known_then_none() -> None:
    assert explain_line("the weather is fine") is None
    assert explain_line("") is None


def test_sentences_when_read_then_each_says_what_and_what_to_do() -> None:
    assert all(
        sentence.text == sentence.text.lower() and sentence.meaning and sentence.next_step for sentence in SENTENCES
    )
    assert all(sentence.meaning and sentence.next_step for sentence in TOOL_SENTENCES)
