import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.codec import ShapeError, canonical_json
from kmodmon.events.event import Event, recorded_event
from kmodmon.events.kinds.daemon import Started
from kmodmon.store.row import NO_HASH, HistoryRow, chained, digest, read_back
from kmodmon.types.units import Instant, Usec
from tests.events.event_strategies import EVENTS, TEXT
from tests.store.making import event

ROOMY = EVENTS.filter(lambda any_event: any_event.module is None or any_event.module.isprintable())


@given(ROOMY, st.integers(1, 2**62), TEXT, st.binary(min_size=32, max_size=32))
def test_hash_is_that_of_the_public_json_without_hash(
    any_event: Event, row_id: int, boot_id: str, prev_hash: bytes
) -> None:
    row = chained(any_event, row_id, boot_id, prev_hash)
    public = read_back(row)
    assert public.event == any_event
    document = {name: value for name, value in public.to_json().items() if name != "hash"}
    assert hashlib.sha256(canonical_json(document)).hexdigest() == public.hash


@given(
    ROOMY,
    st.sampled_from(["id", "boot_id", "realtime_usec", "monotonic_usec", "type", "severity", "module", "prev_hash"]),
)
def test_hash_covers_every_column(any_event: Event, column: str) -> None:
    row = chained(any_event, 7, "boot", NO_HASH)
    other: dict[str, HistoryRow] = {
        "id": row._replace(id=8),
        "boot_id": row._replace(boot_id="boot2"),
        "realtime_usec": row._replace(realtime_usec=row.realtime_usec + 1),
        "monotonic_usec": row._replace(monotonic_usec=row.monotonic_usec + 1),
        "type": row._replace(type=row.type + "x"),
        "severity": row._replace(severity="bad"),
        "module": row._replace(module=(row.module or "") + "x"),
        "prev_hash": row._replace(prev_hash=b"\1" * 32),
    }
    assert digest(other[column]) != row.hash


@pytest.mark.parametrize("module", ["a\udc80", "a\nb", "\0"])
def test_module_that_is_no_safe_text_is_refused(module: str) -> None:
    with pytest.raises(ShapeError, match="safe text"):
        chained(event(1, module=module), 1, "boot", NO_HASH)


@pytest.mark.parametrize("wall", [-1, 2**63])
def test_time_that_no_column_holds_is_refused(wall: int) -> None:
    at = Instant(realtime_usec=Usec(wall), monotonic_usec=Usec(0))
    with pytest.raises(ShapeError, match="63 bits"):
        chained(recorded_event(type=Started.kind.type, at=at), 1, "boot", NO_HASH)


def test_row_of_a_newer_version_is_a_shape_error() -> None:
    row = chained(event(1), 1, "boot", NO_HASH)
    with pytest.raises(ShapeError, match="event 1"):
        read_back(row._replace(type="ModuleTeleported"))
