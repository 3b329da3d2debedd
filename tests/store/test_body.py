import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.codec import ShapeError
from kmodmon.events.event import Event, recorded_event
from kmodmon.store.body import DICTIONARIES, MAX_BODY_BYTES, body_of, pack, split, unpack
from tests.events.event_strategies import EVENTS
from tests.store.making import event, typical

# Histories on disks were written with these: never change one, add another.
SHIPPED = ("d799e6a92011",)


def test_dictionaries_are_the_ones_that_histories_were_written_with() -> None:
    assert tuple(hashlib.sha256(words).hexdigest()[:12] for words in DICTIONARIES) == SHIPPED


@given(st.binary(max_size=5000))
def test_packed_body_comes_back(body: bytes) -> None:
    assert unpack(pack(body)) == body


@given(EVENTS)
def test_body_of_any_event_is_three_lines(any_event: Event) -> None:
    assert len(split(body_of(any_event))) == 3


@given(st.binary(max_size=200))
def test_any_bytes_unpack_or_are_refused(packed: bytes) -> None:
    try:
        assert len(unpack(packed)) <= MAX_BODY_BYTES
    except ValueError as error:
        assert "packed body" in str(error)


@given(st.integers(0, 10_000))
def test_cut_or_continued_body_is_refused(where: int) -> None:
    packed = pack(body_of(typical(3)))
    with pytest.raises(ValueError, match="packed body"):
        unpack(packed[: where % len(packed)])
    with pytest.raises(ValueError, match="packed body"):
        unpack(packed + b"x")


def test_decompression_bomb_is_refused_without_being_unpacked() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -12, 5, zlib.Z_DEFAULT_STRATEGY, DICTIONARIES[0])
    bomb = b"\0" + deflate.compress(bytes(64 * MAX_BODY_BYTES)) + deflate.flush()
    assert len(bomb) < MAX_BODY_BYTES // 4
    with pytest.raises(ValueError, match="too long"):
        unpack(bomb)


def test_event_of_absurd_length_is_refused() -> None:
    huge = recorded_event(type=event(1).type, at=event(1).at, evidence=("x" * MAX_BODY_BYTES,))
    with pytest.raises(ShapeError, match="bytes"):
        body_of(huge)


def test_typical_body_takes_a_third_of_its_text() -> None:
    body = body_of(typical(7))
    assert len(pack(body)) < len(body) / 3
