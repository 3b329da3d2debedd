"""Targets that read what people and other programs wrote: settings, rules, checkpoints, command lines."""

import functools
import json

import psutil

from kmodmon.config.load import parse_file
from kmodmon.config.settings import build_settings
from kmodmon.config.toml_document import parse_toml, toml_lines
from kmodmon.config.yaml_document import parse_yaml
from kmodmon.events.codec import ShapeError, actor_from_json, canonical_json, parse_json, texts_from_json
from kmodmon.kernel.parameter import REDACTED
from kmodmon.kernel.task_status import TaskStatus
from kmodmon.metrics import METRICS
from kmodmon.metrics.exposition import Exposition, ExpositionFormat
from kmodmon.policy.baseline_document import baseline_toml, parse_baseline
from kmodmon.sources.actor import Actors, ProcSnapshot
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.system.root import Root
from kmodmon.view.public import PublicState
from kmodmon.view.status import status_view
from kmodmon.web.webconfig import read_web_config
from tests.fake_clock import FakeClock
from tests.fuzz.examiner_targets import put, scratch
from tests.fuzz.inputs import tried
from tests.fuzz.page_targets import EMPTY, loaded

_SECRET = "hunter2hunter2"


def settings(data: bytes) -> object:
    """Values that a file may have are values that settings can be built of."""
    return build_settings(parse_file(data, "kmodmon.toml")) is not None


def toml(data: bytes) -> object:
    parse_toml(data, "x.toml")
    return len(toml_lines(data.decode("utf-8")))


def yaml(data: bytes) -> object:
    return len(parse_yaml(data, "x.yml").values)


def baseline(data: bytes) -> object:
    """A baseline that was read is the same after it is written and read again."""
    document = parse_baseline(data, "baseline.toml")
    assert parse_baseline(baseline_toml(document).encode(), "baseline.toml") == document
    return None


def web_config(data: bytes) -> object:
    return len(read_web_config(put("web.yml", data)).notes)


def event_json(data: bytes) -> object:
    """JSON that can be written in the canonical form is the same when it is read again."""
    value = parse_json(data, "event")
    canonical = tried(ShapeError, canonical_json, value)
    if canonical is not None:
        assert canonical_json(parse_json(canonical, "event")) == canonical
    tried(ShapeError, actor_from_json, value)
    tried(ShapeError, texts_from_json, value, "evidence")
    return None


def checkpoints(data: bytes) -> object:
    """What was read of a checkpoint can be written, and is then read back as the same part of the state."""
    document = parse_json(data, "checkpoint")
    if not isinstance(document, dict):
        return None
    for checkpoint in CHECKPOINTS:
        saved = document.get(checkpoint.section)
        if isinstance(saved, dict):
            state = checkpoint.load(EMPTY, saved)
            written = canonical_json(checkpoint.save(state))
            again = parse_json(written, "checkpoint")
            assert isinstance(again, dict)
            assert canonical_json(checkpoint.save(checkpoint.load(EMPTY, again))) == written, checkpoint.section
            checkpoint.join(state, saved)
    return None


def shown_checkpoints(data: bytes) -> object:
    """A state that was read of checkpoints can be shown, whole and to anybody."""
    state = loaded(data)
    public = PublicState().of(state)
    json.dumps([status_view(state), status_view(public)])
    return [len(Exposition(METRICS).body(each, ExpositionFormat.OPENMETRICS)) for each in (state, public)]


@functools.cache
def _actors() -> Actors:
    """The look-up of tasks on a host that has kthreadd and nothing else."""
    status = b"Name:\tkthreadd\nTgid:\t2\nPid:\t2\nPPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
    file = put("proc/2/status", status)
    put("proc/stat", b"btime 1699999900\n")
    actors = Actors(
        Root(procfs=bytes(file.parent.parent), rootfs=bytes(scratch())),
        build_settings({}),
        FakeClock(),
        b"/nonexistent",
    )
    assert actors.resolves
    return actors


def redaction(data: bytes) -> object:
    """The value of a secret parameter behind any other arguments is never kept."""
    arguments = data.rstrip(b"\0") + f"\0psk={_SECRET}\0".encode()
    clock = FakeClock()
    status = TaskStatus(comm="insmod", process=3, parent=0, uid=0)
    snapshot = ProcSnapshot(status=status, cmdline=arguments, at_usec=clock.monotonic_usec)
    before = psutil.PROCFS_PATH
    try:
        actors = _actors()
        psutil.PROCFS_PATH = str(scratch() / "proc")
        actor, alias = actors.capture(3, clock.monotonic_usec, snapshot)
    finally:
        psutil.PROCFS_PATH = before
    kept = actor.process.cmdline or ()
    assert _SECRET not in " ".join(kept)
    assert any(REDACTED in argument or argument == "…" for argument in kept)
    return kept, alias
