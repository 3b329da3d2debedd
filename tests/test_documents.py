"""Pages for people: their links lead somewhere, their commands are taken, what they show as a file can be read."""

import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kmodmon.cli import VERBS
from kmodmon.cli.frame import parser_of
from kmodmon.policy.document import parse_policy

ROOT = Path(__file__).parent.parent
PAGES = tuple(sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("grafana/*.md"))))
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


def fenced(page: str, kind: str) -> list[str]:
    return [found[2] for found in _FENCE.finditer(text_of(page)) if found[1] == kind]


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
        assert not anchor or anchor in anchors(target.read_text()), f"{page}: {link}"


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


def test_readme_when_it_shows_rules_and_a_scrape_then_they_are_valid() -> None:
    (rules,) = fenced("README.md", "toml")
    assert [rule.name for rule in parse_policy(rules.encode(), "README.md").rules[:2]] == ["nvidia", "no-bluetooth"]
    assert tomllib.loads(rules)
    for example in fenced("README.md", "yaml"):
        assert yaml.safe_load(example)["scrape_configs"]


def test_readme_when_it_names_a_file_of_the_tree_then_it_is_there() -> None:
    named = re.findall(r"`((?:kmodmon|tests|grafana|systemd|packaging)/[\w./-]+)`", text_of("README.md"))
    assert named and all((ROOT / path).exists() for path in named), named
    rooms = re.findall(
        r"^\| ((?:`[\w/.]+` ?)+)\|", text_of("README.md").partition("## How it is built")[2], re.MULTILINE
    )
    for row in rooms:
        for room in re.findall(r"`([\w/.]+)`", row):
            assert (ROOT / "kmodmon" / room).exists(), room
