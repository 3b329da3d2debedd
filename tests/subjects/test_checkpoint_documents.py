"""Checkpoints of the subjects: what is saved comes back, and no document from a disk raises anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.codec import canonical_json
from kmodmon.events.counters import counts_from_json, counts_to_json
from kmodmon.events.timestamps import Timestamps, timestamps_from_json, timestamps_to_json
from kmodmon.state.checkpoint import CHECKPOINTS, Checkpoint
from kmodmon.state.state import State
from kmodmon.subjects.files import FilesState
from kmodmon.subjects.files_json import files_from_json, files_to_json
from kmodmon.subjects.hidden import Confidence, HiddenModule, HiddenState, hidden_from_json, hidden_to_json
from kmodmon.subjects.log import LogAccount, Unfinished, account_from_json, account_to_json
from kmodmon.subjects.log_clock import LogClock
from kmodmon.subjects.reported import ReportedFingerprint, reported_from_json, reported_to_json
from kmodmon.types.units import JsonObject, JsonValue
from tests.events.event_strategies import INSTANTS, JSON, TEXT
from tests.fake_clock import EPOCH

EMPTY_STATE = State(boot_id="b", started=EPOCH)
COUNT = st.integers(0, 2**40)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
WORDS = st.text("abc", max_size=3)
LABELS = st.lists(TEXT, max_size=2).map(tuple)
ACCOUNTS = st.builds(
    LogAccount,
    opened=st.booleans(),
    first_seq=st.none() | COUNT,
    next_seq=st.none() | COUNT,
    records=st.dictionaries(st.tuples(WORDS, WORDS), COUNT, max_size=3),
    lost=COUNT,
    lost_reported=COUNT,
    malformed=COUNT,
    forged=COUNT,
    forged_reported=COUNT,
    repeats=st.dictionaries(TEXT, COUNT, max_size=3),
    suppressed=COUNT,
    unfinished=st.none() | st.from_type(Unfinished),
    clock=st.from_type(LogClock),
)
HIDDEN = st.builds(
    HiddenModule,
    module=st.just("m"),
    since=INSTANTS,
    missing_from=TEXTS,
    seen_in=TEXTS,
    confidence=st.sampled_from(Confidence),
    evidence=TEXTS,
)
KEYS = (
    "ledger", "0", "value", "since", "actor", "records", "file", "own", "releases", "newer", "writable", "told",
    "reports", "unfinished", "clock", "ahead", "seen", "lost_told", "confidence", "missing_from", "present", "why",
)  # fmt: skip
NAMES = st.sampled_from(KEYS) | TEXT
FOREIGN = st.recursive(JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=8)


def through_text(document: JsonObject) -> JsonObject:
    read: JsonObject = json.loads(canonical_json(document))
    return read


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda each: each.section)
@given(st.dictionaries(NAMES, FOREIGN, max_size=5))
def test_checkpoint_when_the_document_is_foreign_then_nothing_is_raised(
    checkpoint: Checkpoint, document: dict[str, JsonValue]
) -> None:
    checkpoint.load(EMPTY_STATE, document)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda each: each.section)
def test_checkpoint_of_an_empty_state_is_an_empty_state(checkpoint: Checkpoint) -> None:
    assert checkpoint.part(checkpoint.load(EMPTY_STATE, through_text(checkpoint.save(EMPTY_STATE)))) == checkpoint.part(
        EMPTY_STATE
    )


@given(ACCOUNTS)
def test_log_account_through_json_text_is_the_same(account: LogAccount) -> None:
    assert account_from_json(through_text(account_to_json(account))) == account


@given(HIDDEN)
def test_hidden_modules_through_json_text_are_the_same(finding: HiddenModule) -> None:
    state = HiddenState(findings={finding.module: finding})
    assert hidden_from_json(through_text(hidden_to_json(state))) == state


@given(st.lists(st.builds(ReportedFingerprint, fingerprint=TEXT, printk_usec=st.none() | COUNT, panic=st.booleans())))
def test_reported_fingerprints_through_json_text_are_the_same(reported: list[ReportedFingerprint]) -> None:
    assert reported_from_json(through_text(reported_to_json(tuple(reported)))) == tuple(reported)


@given(st.dictionaries(TEXT, st.dictionaries(LABELS, COUNT, max_size=3), max_size=3))
def test_counts_through_json_text_are_the_same(counts: dict[str, dict[tuple[str, ...], int]]) -> None:
    assert counts_from_json(through_text(counts_to_json(counts))) == counts


@given(st.dictionaries(TEXT, st.dictionaries(LABELS, st.floats(0, 1e10), max_size=3), max_size=3))
def test_timestamps_through_json_text_are_the_same(series: dict[str, dict[tuple[str, ...], float]]) -> None:
    assert timestamps_from_json(through_text(timestamps_to_json(Timestamps(series=series)))).series == series


@given(TEXTS, st.none() | TEXTS, st.dictionaries(TEXT, TEXTS, max_size=2))
def test_module_trees_through_json_text_are_the_same(
    newer: tuple[str, ...], releases: tuple[str, ...] | None, writable: dict[str, tuple[str, ...]]
) -> None:
    files = FilesState(newer=newer, releases=releases, writable=writable)
    assert files_from_json(through_text(files_to_json(files))) == files
