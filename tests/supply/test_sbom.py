"""The list of components: by the schema of CycloneDX 1.5, complete, and the same each time."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from kmodmon.types.units import JsonObject, JsonValue
from tests.supply.lock import DIRECTORY, ROOT, RUNTIME
from tests.supply.locked import read_lock
from tests.supply.sbom import bill
from tests.supply.wheel import build

# From bom-1.5.schema.json: the members that an object may have (no others), and those that it must have.
DOCUMENT = {"bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies"}
METADATA = {"timestamp", "tools", "authors", "component", "manufacture", "supplier", "licenses", "properties"}
COMPONENT = {
    "type", "mime-type", "bom-ref", "supplier", "author", "publisher", "group", "name", "version", "description",
    "scope", "hashes", "licenses", "copyright", "cpe", "purl", "swid", "pedigree", "externalReferences", "components",
    "evidence", "releaseNotes", "properties", "modelCard", "data", "signature",
}  # fmt: skip
REFERENCE = {"url", "comment", "type", "hashes"}
LICENCE = {"bom-ref", "id", "name", "text", "url", "licensing", "properties"}
TYPES = {"application", "framework", "library", "container", "platform", "operating-system", "device", "file"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture
def document(wheel: Path) -> JsonObject:
    return bill(wheel)


def members(value: JsonValue) -> JsonObject:
    assert isinstance(value, Mapping)
    return value


def items(value: JsonValue) -> Sequence[JsonObject]:
    assert isinstance(value, list)
    return [members(item) for item in value]


def components(document: JsonObject) -> Iterator[JsonObject]:
    yield members(members(document["metadata"])["component"])
    yield from items(document["components"])


def hashes(component: JsonObject) -> list[str]:
    found = list(items(component.get("hashes", [])))
    for reference in items(component.get("externalReferences", [])):
        found += items(reference["hashes"])
    assert all(each.keys() == {"alg", "content"} and each["alg"] == "SHA-256" for each in found)
    return [str(each["content"]) for each in found]


def test_document_when_checked_by_the_schema_then_it_has_what_it_must_and_nothing_else(document: JsonObject) -> None:
    assert document.keys() == DOCUMENT
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(document["serialNumber"]))
    assert members(document["metadata"]).keys() <= METADATA
    for component in components(document):
        assert component.keys() <= COMPONENT and {"type", "name"} <= component.keys()
        assert component["type"] in TYPES
        for reference in items(component.get("externalReferences", [])):
            assert reference.keys() <= REFERENCE and {"type", "url"} <= reference.keys()
            assert reference["type"] == "distribution"
        for row in items(component.get("properties", [])):
            assert row.keys() == {"name", "value"}
        assert all(re.fullmatch(r"[0-9a-f]{64}", content) for content in hashes(component))


def test_document_when_it_lists_dependencies_then_each_is_a_component_and_listed_once(document: JsonObject) -> None:
    known = [str(component["bom-ref"]) for component in components(document)]
    assert len(known) == len(set(known))
    rows = items(document["dependencies"])
    assert sorted(str(row["ref"]) for row in rows) == sorted(known)
    needed = {name for row in rows for name in cast("list[str]", row["dependsOn"])}
    assert needed == set(known) - {known[0]}, "each component but kmodmon is there because something needs it"
    assert all(row.keys() == {"ref", "dependsOn"} for row in rows)


def test_components_when_listed_then_each_dependency_has_version_hashes_and_licence(document: JsonObject) -> None:
    listed = {str(component["name"]): component for component in items(document["components"])}
    locked = {each.name: each for each in read_lock(DIRECTORY / RUNTIME.file) if each.on_linux}
    assert listed.keys() == locked.keys()
    for name, component in listed.items():
        assert component["version"] == locked[name].version
        assert hashes(component) == list(locked[name].hashes)
        assert component["purl"] == f"pkg:pypi/{name}@{locked[name].version}"
        marker = locked[name].requirement.marker
        if marker is None or marker.evaluate():
            licences(component)
    licences(next(components(document)))


def licences(component: JsonObject) -> None:
    (licence,) = items(component["licenses"])
    if "expression" in licence:
        assert licence.keys() == {"expression"} and licence["expression"]
    else:
        assert licence.keys() == {"license"}
        inner = members(licence["license"])
        assert inner.keys() <= LICENCE and len({"id", "name"} & inner.keys()) == 1


def test_document_when_made_again_then_it_is_the_same_and_has_a_time_only_on_request(
    wheel: Path, document: JsonObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert bill(wheel) == bill(wheel)
    assert "timestamp" not in members(bill(wheel)["metadata"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert members(bill(wheel)["metadata"])["timestamp"] == "2023-11-14T22:13:20Z"
