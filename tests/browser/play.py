"""Scenes: what a reader does on the page, played in Chromium by a script each; the tests judge what came of it."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kmodmon.types.units import JsonValue
from tests.browser.tools import chromium, node, npm_packages

SCENES = Path(__file__).parent / "scenes"
PATIENCE = 120


def play(scene: str, url: str, **told: JsonValue) -> Mapping[str, JsonValue]:
    """Play a scene at `url`; raises AssertionError when it breaks off, or when the browser complained of the page."""
    with tempfile.TemporaryDirectory() as profile:
        script = {
            "url": url,
            "chromium": str(chromium()),
            "packages": str(npm_packages()),
            "profile": profile,
            **told,
        }
        done = subprocess.run(
            (node(), SCENES / f"{scene}.mjs", json.dumps(script)),
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 0, f"{scene}: {done.stderr[-4000:]}"
    told_back = json.loads(done.stdout)
    assert isinstance(told_back, dict)
    assert told_back.pop("complaints") == [], told_back
    return told_back
