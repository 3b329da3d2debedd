"""The lock files: they satisfy pyproject.toml, hold everything that is needed in turn, and a hash for all of it."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply.lock import DIRECTORY, LOCKS, ROOT, RUNTIME, Lock, requirements
from tests.supply.locked import PYTHONS, Locked, applies, read_lock
from tests.supply.sbom import needed

BY_FILE = {lock.file: lock for lock in LOCKS}


def entries(lock: Lock) -> dict[str, list[Locked]]:
    found: dict[str, list[Locked]] = {}
    for each in read_lock(DIRECTORY / lock.file):
        found.setdefault(each.name, []).append(each)
    return found


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
@pytest.mark.parametrize("python", PYTHONS)
def test_lock_when_a_python_is_supported_then_it_satisfies_pyproject(lock: Lock, python: str) -> None:
    locked = entries(lock)
    wanted = [Requirement(text) for text in requirements(lock)]
    assert wanted
    for requirement in wanted:
        if applies(requirement, python):
            chosen = [each for each in locked[canonicalize_name(requirement.name)] if applies(each.requirement, python)]
            assert [requirement.specifier.contains(each.version) for each in chosen] == [True], requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_lock_when_what_it_names_is_installed_then_all_that_this_needs_is_locked_too(lock: Lock) -> None:
    locked = entries(lock)
    found = {
        name: here
        for name, chosen in locked.items()
        if (here := installed(name)) is not None and here.version in {each.version for each in chosen}
    }
    missing = {name: set(needed(here)) - locked.keys() for name, here in found.items()}
    assert {name: names for name, names in missing.items() if names} == {}
    assert found or lock.extra in ("fuzz", "lock")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_lock_when_read_then_each_entry_has_hashes_and_no_index_is_named(lock: Lock) -> None:
    text = (DIRECTORY / lock.file).read_text()
    assert [line for line in text.splitlines() if line.startswith("-") or "://" in line] == []
    for each in read_lock(DIRECTORY / lock.file):
        assert each.hashes and len(set(each.hashes)) == len(each.hashes), each.name
    assert text.count("--hash=") == sum(len(each.hashes) for each in read_lock(DIRECTORY / lock.file))


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock.within is not None], ids=lambda lock: lock.file)
def test_lock_when_it_is_within_another_then_they_agree(lock: Lock) -> None:
    larger = entries(BY_FILE[str(lock.within)])
    for name, chosen in entries(lock).items():
        if name in larger:
            assert [(each.version, each.hashes) for each in chosen] == [
                (each.version, each.hashes) for each in larger[name]
            ]
    assert lock != RUNTIME or entries(lock).keys() <= larger.keys()


def test_makefile_when_it_installs_then_by_hashes_or_the_tree_itself() -> None:
    text = (ROOT / "Makefile").read_text()
    installs = re.findall(r"\$\(PIP\) (.*)", text)
    assert len(installs) >= 5
    assert [line for line in installs if not line.startswith("$(HASHED) ") and line != "$(OWN)"] == []
    assert re.search(r"^HASHED := install .*--require-hashes$", text, re.MULTILINE)
    assert re.search(r"^OWN +:= install .*--no-deps --no-build-isolation --editable \.$", text, re.MULTILINE)
    named = set(re.findall(r"\$\(LOCK\)(-\w+)?\.txt", text))
    assert {f"requirements{suffix}.txt" for suffix in named} == BY_FILE.keys()
