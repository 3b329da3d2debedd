"""`make sbom`: the wheel, and beside it the list of what it is made of and needs, as CycloneDX 1.5 in JSON.

The components are those of packaging/requirements.txt for Linux, with the hashes of that file and the licences of the
installed distributions. The list depends on nothing else: its serial number is made of the wheel's hash, and it has a
time only where SOURCE_DATE_EPOCH is set.
"""

import hashlib
import json
import os
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution
from pathlib import Path
from zipfile import Path as ZipPath
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kmodmon.types.units import JsonObject
from tests.supply.lock import DIRECTORY, ROOT, RUNTIME
from tests.supply.locked import PYTHONS, Locked, applies, read_lock
from tests.supply.wheel import build

# Identifiers of SPDX among the names that older metadata has.
_SPDX = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MPL-2.0"})
_LONGEST = 80  # characters of a licence's name; more is its text


class SbomError(Exception):
    """The list cannot be made; the text says why."""


def bill(wheel: Path) -> JsonObject:
    """The list of components of a wheel; raises SbomError when an installed version is not the locked one."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        own = PathDistribution(ZipPath(archive, f"{info}/"))
        locked = sorted((each for each in read_lock(DIRECTORY / RUNTIME.file) if each.on_linux), key=_name)
        known = {each.name: each for each in locked}
        metadata: dict[str, object] = {"component": _own_component(own, wheel.name, digest)}
        if (epoch := os.environ.get("SOURCE_DATE_EPOCH")) is not None:
            metadata["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
            "version": 1,
            "metadata": metadata,
            "components": [_component(each) for each in locked],
            "dependencies": [_needs(_purl("kmodmon", own.version), own, known), *(_of(each, known) for each in locked)],
        }
    plain: JsonObject = json.loads(json.dumps(document))
    return plain


def _name(locked: Locked) -> str:
    return locked.name


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _own_component(own: Distribution, file: str, digest: str) -> dict[str, object]:
    purl = _purl("kmodmon", own.version)
    return {
        "type": "application",
        "bom-ref": purl,
        "name": "kmodmon",
        "version": own.version,
        "description": own.metadata["Summary"],
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [_licence(own)],
        "purl": purl,
        "properties": [{"name": "kmodmon:file", "value": file}],
    }


def _component(locked: Locked) -> dict[str, object]:
    purl = _purl(locked.name, locked.version)
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": purl,
        "name": locked.name,
        "version": locked.version,
        "purl": purl,
        "externalReferences": [
            {
                "type": "distribution",
                "url": purl,
                "comment": "one of these files, by platform and Python",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in locked.hashes],
            }
        ],
    }
    if (installed := _installed(locked)) is not None:
        component["licenses"] = [_licence(installed)]
    if locked.requirement.marker is not None:
        component["properties"] = [{"name": "kmodmon:marker", "value": str(locked.requirement.marker)}]
    return component


def _installed(locked: Locked) -> Distribution | None:
    """The installed distribution; None: this Python does not need it."""
    try:
        found = distribution(locked.name)
    except PackageNotFoundError:
        if locked.requirement.marker is None or locked.requirement.marker.evaluate():
            raise SbomError(f"{locked.name} is not installed here: install from the lock file") from None
        return None
    if found.version != locked.version:
        raise SbomError(f"{locked.name} {found.version} is installed, {locked.version} is locked")
    return found


def _licence(found: Distribution) -> dict[str, object]:
    """The licence: an SPDX expression where the metadata has one, else its name."""
    if expression := found.metadata["License-Expression"]:
        return {"expression": expression}
    words = found.metadata["License"] or ""
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in found.metadata.get_all("Classifier", [])
        if text.startswith("License :: ")
    ]
    short = words if 0 < len(words) <= _LONGEST and "\n" not in words else ""
    name = short or " or ".join(classifiers)
    if not name:
        raise SbomError(f"{found.metadata['Name']} says no licence")
    return {"license": {"id" if name in _SPDX else "name": name}}


def _of(locked: Locked, known: dict[str, Locked]) -> dict[str, object]:
    installed = _installed(locked)
    purl = _purl(locked.name, locked.version)
    return {"ref": purl, "dependsOn": []} if installed is None else _needs(purl, installed, known)


def _needs(ref: str, found: Distribution, known: dict[str, Locked]) -> dict[str, object]:
    return {"ref": ref, "dependsOn": sorted({_purl(name, known[name].version) for name in needed(found)})}


def needed(found: Distribution) -> Iterator[str]:
    """Names of the distributions that this one needs on Linux, with any Python that is supported."""
    for text in found.requires or ():
        requirement = Requirement(text)
        if any(applies(requirement, python) for python in PYTHONS):
            yield canonicalize_name(requirement.name)


def main() -> int:
    """Write dist/*.whl and dist/*.cdx.json."""
    wheel = build(ROOT, ROOT / "dist")
    document = bill(wheel)
    target = wheel.with_name("-".join(wheel.name.split("-")[:2]) + ".cdx.json")
    target.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    print(target.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SbomError as error:
        sys.exit(str(error))
