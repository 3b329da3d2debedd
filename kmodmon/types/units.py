"""Clocks and JSON, as types: a number says in its name which clock it belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, TypeAlias

Usec = NewType("Usec", int)

JsonValue: TypeAlias = bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
JsonObject: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Instant:
    """One moment on both clocks: CLOCK_REALTIME (steps, may go back) and CLOCK_MONOTONIC (does not count suspend)."""

    realtime_usec: Usec
    monotonic_usec: Usec

    @property
    def seconds(self) -> float:
        """CLOCK_REALTIME in seconds since the epoch, as Prometheus wants timestamps."""
        return self.realtime_usec / 1e6

    def back_to(self, monotonic_usec: int) -> "Instant":
        """The moment at which CLOCK_MONOTONIC stood at `monotonic_usec`, wall time by the offset of this moment."""
        return Instant(
            realtime_usec=Usec(self.realtime_usec - self.monotonic_usec + monotonic_usec),
            monotonic_usec=Usec(monotonic_usec),
        )


EPOCH = Instant(realtime_usec=Usec(0), monotonic_usec=Usec(0))
