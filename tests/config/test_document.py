"""The reader of documents: typed getters, and refusals with path, line and the nearest known name, in TOML and YAML."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmodmon.config.document import Section, nearest
from kmodmon.config.toml_document import parse_toml, toml_lines
from kmodmon.config.yaml_document import parse_yaml
from kmodmon.types.error import ConfigError


def toml(text: str) -> Section:
    return parse_toml(text.encode(), "x.toml")


def yaml(text: str) -> Section:
    return parse_yaml(text.encode(), "x.yml")


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize(
    ("section", "file"),
    [(toml("\n[colour]\nred = 1\n"), "x.toml"), (yaml("\ncolour:\n  red: 1\n"), "x.yml")],
)
def test_key_when_unknown_then_toml_and_yaml_say_the_same(section: Section, file: str) -> None:
    assert refusal(lambda: section.only(["color"])) == (
        f"{file}, line 2: colour: there is no such key; did you mean color?"
    )
    assert refusal(lambda: section.section("colour").only(["green", "blue"])) == (
        f"{file}, line 3: colour.red: there is no such key; there are green, blue"
    )


@pytest.mark.parametrize("section", [toml('a = ["x", 7]\n'), yaml("a: [x, 7]\n")])
def test_list_when_an_entry_is_wrong_then_its_number_is_in_the_path(section: Section) -> None:
    assert refusal(lambda: section.texts("a")).endswith(
        ", line 1: a[1]: wants a text, not the number 7; write it in quotes"
    )
    assert refusal(lambda: section.texts("a", ["y"])).endswith(', line 1: a[0]: "x" is not known here; write one of y')


def test_list_entry_when_in_yaml_then_it_has_a_line_of_its_own() -> None:
    section = yaml("a:\n  - x\n  - 7\n")
    assert refusal(lambda: section.texts("a")).startswith("x.yml, line 3: a[1]: ")


@pytest.mark.parametrize("section", [toml(""), yaml("a: ~\n")])
def test_key_when_missing_or_null_then_the_default_or_a_refusal(section: Section) -> None:
    assert section.text("a", "d") == "d"
    assert section.optional_text("a") is None
    assert section.flag("a", True) is True
    assert section.word("a", ["w"], "w") == "w"
    assert section.texts("a") == ()
    assert section.section("a").values == {}
    assert "a: is missing; write a" in refusal(lambda: section.text("a"))


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda section: section.text("n"), "n: wants a text, not the number 1; write it in quotes"),
        (lambda section: section.text("s", pattern="[0-9]+", what="a number"), 's: "word" is not a number'),
        (lambda section: section.flag("s", True), 's: wants true or false, not "word"; write true or false without'),
        (lambda section: section.word("s", ["words"]), 's: "word" is not known here; did you mean words?'),
        (lambda section: section.texts("n"), "n: wants a text or a list of texts, not the number 1"),
        (lambda section: section.texts("s", single=False), 's: wants a list of texts, not "word"'),
        (lambda section: section.section("s"), 's: wants a table, not "word"; write [s]'),
        (lambda section: section.sections("s"), "s: wants an array of tables; write [[s]]"),
        (lambda section: section.version(2), "version: wants 2; a newer kmodmon may know it"),
    ],
)
def test_value_when_of_another_type_then_the_message_says_what_is_wanted(
    read: Callable[[Section], object], message: str
) -> None:
    section = toml("n = 1\ns = 'word'\nversion = 1\n")
    assert message in refusal(lambda: read(section))


def test_key_when_it_has_control_characters_then_the_message_is_one_printable_line() -> None:
    assert refusal(lambda: toml('"a\\n\\u001b" = 1').only([])).isprintable()
    assert refusal(lambda: yaml('"a\\n\\e\\ud800": 1').only([])).isprintable()


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("\n[a]\nb=1", "a.b", 3),
        ("a.b = 1", "a.b", 1),
        ('["a"]\n"b" = 1', "a.b", 2),
        ("\na = {b = 1}", "a.b", 2),
        ("[[r]]\nx = 1\n[r.m]\ny = 1\n[[r]]\n'odd.key' = 2\n[r.m]\ny = 3\n", "r[0].m.y", 4),
        ("[[r]]\nx = 1\n[r.m]\ny = 1\n[[r]]\n'odd.key' = 2\n[r.m]\ny = 3\n", "r[1].m.y", 8),
        ("[[r]]\nx = 1\n[r.m]\ny = 1\n[[r]]\n'odd.key' = 2\n[r.m]\ny = 3\n", "r[1].m.z", 7),
        ("a = '''\n[b]\nc = 1\n'''\n[b]\nc = 2\n", "b.c", 6),
        ('a = """\n[b]\nc = 1\n"""\n[b]\nc = 2\n', "b.c", 6),
        ("# it's\na = 1\n# it's\n", "a", 2),
        ("a = [\n  'x',\n  7,\n]", "a[1]", 1),
        ("a = 1", "b", None),
    ],
)
def test_line_when_asked_for_then_that_of_the_key_or_of_what_is_around_it(
    text: str, path: str, line: int | None
) -> None:
    assert toml(text).line(path) == line


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a:\n  b: {c: 1}\n  d:\n  - e\n  - f: g\n", "a.d[1].f", 5),
        ("a: &x\n  b: 1\nc: *x\n", "c.b", 3),
        ("a: &x\n  b: 1\nc:\n  <<: *x\n  d: 1\n", "c.b", 3),
    ],
)
def test_line_when_in_yaml_then_that_of_the_key_or_of_what_is_around_it(text: str, path: str, line: int) -> None:
    assert yaml(text).line(path) == line


def test_key_when_twice_in_yaml_then_refused_and_dotted_keys_are_not_mistaken_for_it() -> None:
    assert refusal(lambda: yaml("a:\n  b: 1\n  b: 2\n")) == "x.yml, line 3: a.b: is there twice"
    assert yaml("a.b: 1\na: {b: 2}\n").values == {"a.b": 1, "a": {"b": 2}}


def test_nearest_when_nothing_is_near_then_none() -> None:
    assert nearest("colour", ["color", "cool"]) == "color"
    assert nearest("xyz", ["color"]) is None


@given(st.text(max_size=100))
@example("[[a]]\n[a.b]\n[[a.b]]\n")
def test_lines_when_of_any_text_then_they_are_lines_of_it(text: str) -> None:
    assert all(1 <= line <= text.count("\n") + 1 for line in toml_lines(text).values())
