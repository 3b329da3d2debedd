"""Types of clocks and JSON. The name of a number says its unit and its clock (`monotonic_usec`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, TypeAlias

Usec = NewType("Usec", int)  # microseconds

JsonValue: TypeAlias = bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
JsonObject: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Instant:
    """One moment on two clocks."""

    realtime_usec: Usec  # CLOCK_REALTIME since the epoch; it may step and go back
    monotonic_usec: Usec  # CLOCK_MONOTONIC since boot; it does not count suspend

    @property
    def seconds(self) -> float:
        """CLOCK_REALTIME in seconds since the epoch, as Prometheus wants timestamps."""
        return self.realtime_usec / 1e6

    def back_to(self, monotonic_usec: int) -> "Instant":
        """Return the moment at `monotonic_usec` of CLOCK_MONOTONIC, its wall time by the offset of this moment."""
        return Instant(
            realtime_usec=Usec(self.realtime_usec - self.monotonic_usec + monotonic_usec),
            monotonic_usec=Usec(monotonic_usec),
        )
