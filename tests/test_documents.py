"""Pages for people: their links lead somewhere, their commands are taken, what they show as a file can be read."""

import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from grafana.src.generate import definitions
from kmodmon import __version__
from kmodmon.cli import VERBS
from kmodmon.cli.frame import parser_of
from kmodmon.policy.document import parse_policy
from tests.test_layers import MAY_IMPORT, PURE_ROOMS, WIRING

ROOT = Path(__file__).parent.parent
_FOREIGN = {".venv", "node_modules", "trees", "files"}  # not ours, or recorded
PAGES = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.md")
        if _FOREIGN.isdisjoint(path.relative_to(ROOT).parts)
    )
)
README_LINES = 150
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_VERBS = {verb.name: verb for verb in VERBS}


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def anchors(text: str) -> set[str]:
    """The names that a forge gives to headings."""
    plain = _FENCE.sub("", text)
    headings = re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def anchors_of(target: Path) -> set[str]:
    """What a link into a file may name: a heading of a page, or a line of a source."""
    text = target.read_text()
    return anchors(text) if target.suffix == ".md" else {f"L{line}" for line in range(1, len(text.splitlines()) + 1)}


def fenced(page: str, kind: str) -> list[str]:
    return [block[2] for block in _FENCE.finditer(text_of(page)) if block[1] == kind]


def commands(page: str) -> Iterator[str]:
    """Every command line of ours: after a prompt in a block, or as code in the text."""
    for block in fenced(page, "console"):
        for line in block.splitlines():
            if line[:2] in ("# ", "$ "):
                yield from (part.strip() for part in re.split(r"&&|\|", line[2:]))
    for code in re.findall(r"`([^`\n]+)`", _FENCE.sub("", text_of(page))):
        yield from (part.strip() for part in code.split(" | "))


@pytest.mark.parametrize("page", PAGES)
def test_page_when_it_links_then_the_link_leads_somewhere(page: str) -> None:
    links = [link for link in _LINK.findall(text_of(page)) if not re.match(r"https?:", link)]
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors_of(target), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_page_when_it_names_a_command_of_ours_then_the_command_line_takes_it(page: str) -> None:
    for command in commands(page):
        words = shlex.split(command, comments=True) if command.startswith("kmodmon ") else []
        if len(words) > 1 and words[1] in _VERBS:
            # of `rules|dashboards` any one stands for all, DIR and NAME for themselves
            arguments = [word.split("|")[0] for word in words[2:]]
            if arguments or f"`{command}`" not in text_of(page):
                verb = _VERBS[words[1]]
                parser_of(verb, importlib.import_module(verb.module)).parse_args(arguments)
        elif len(words) > 1:
            assert words[1].startswith("-"), f"{page}: there is no command {command!r}"


def test_pages_when_they_show_rules_and_a_scrape_then_they_are_valid() -> None:
    (rules,) = fenced("docs/policy.md", "toml")
    assert [rule.name for rule in parse_policy(rules.encode(), "policy.md").rules[:2]] == ["nvidia", "no-bluetooth"]
    assert tomllib.loads(rules)
    examples = fenced("docs/production.md", "yaml")
    assert examples
    for example in examples:
        assert yaml.safe_load(example)["scrape_configs"]


def test_readme_when_it_grows_then_it_stays_short() -> None:
    assert len(text_of("README.md").splitlines()) < README_LINES


def test_readme_when_a_page_is_written_then_it_links_to_it() -> None:
    links = set(_LINK.findall(text_of("README.md")))
    assert {page for page in PAGES if "/" not in page or page.startswith("docs/")} - links == {"README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_page_when_it_names_a_file_of_the_tree_then_it_is_there(page: str) -> None:
    named = re.findall(r"`((?:kmodmon|tests|grafana|systemd|packaging|docs)/[\w./-]+)`", text_of(page))
    created = set(re.findall(r"^Create `([^`]+)`:$", text_of(page), re.MULTILINE))  # by a recipe
    assert [path for path in named if path not in created and not (ROOT / path).exists()] == []


def test_architecture_when_it_lists_rooms_then_they_are_those_of_the_layer_test() -> None:
    text = text_of("ARCHITECTURE.md").partition("## Rooms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    imports = {room: set(re.findall(r"`(\w+)`", allowed)) for room, _, allowed in rows if allowed != "everything"}
    assert imports == MAY_IMPORT
    assert {room for room, duty, _ in rows if duty.endswith("; pure")} == PURE_ROOMS
    assert {room for room, _, allowed in rows if allowed == "everything"} <= WIRING


def test_architecture_when_it_names_a_function_then_the_file_defines_it() -> None:
    stops = re.findall(r"`([\w/]+\.py):([A-Za-z_][\w.]*)`", text_of("ARCHITECTURE.md"))
    assert len(stops) > 25
    missing = [(path, name) for path, name in stops if name not in definitions((ROOT / "kmodmon" / path).read_text())]
    assert missing == []


def test_security_when_it_names_a_test_then_there_is_one() -> None:
    tests = re.findall(r"`(tests/[\w/]+\.py):(\w+)`", text_of("SECURITY.md"))
    assert len(tests) > 20
    assert [name for path, name in tests if f"def {name}(" not in text_of(path)] == []


def test_hooks_when_listed_then_they_call_the_virtual_environment() -> None:
    (local,) = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        assert hook["language"] == "system" and hook["entry"].startswith(".venv/bin/")
        assert all((ROOT / word).exists() for word in hook["entry"].split() if word.startswith("tests/"))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_form_when_read_then_every_question_has_a_name_and_a_label(form: Path) -> None:
    document = yaml.safe_load(form.read_text())
    assert set(document) == {"name", "description", "labels", "body"}
    questions = [item for item in document["body"] if item["type"] != "markdown"]
    assert len({question["id"] for question in questions}) == len(questions)
    assert all(question["attributes"]["label"] for question in questions)


def test_version_when_it_is_released_then_it_is_written_in_one_place() -> None:
    assert text_of("CHANGELOG.md").partition("\n## ")[2].startswith(f"{__version__} (")
    assert re.search(r"^version\s*=", text_of("pyproject.toml"), re.MULTILINE) is None
    for page in PAGES:
        assert set(re.findall(r"kmodmon-(\d[\d.]*\d)-py3", text_of(page))) <= {__version__}, page
