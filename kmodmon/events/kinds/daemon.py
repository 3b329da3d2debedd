"""Event kinds of kmodmon itself."""

from collections.abc import Mapping
from typing import ClassVar

from kmodmon.events.event import EventDetails, EventKind, EventType
from kmodmon.types.units import JsonObject


class ConfigRefused(EventDetails):
    """New settings were invalid and are not in force."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("ConfigRefused"),
        message_id="6979441e8c4141ba829bc382b8d1ecd2",
        sentence="New settings were refused, the earlier ones stay in force[: {evidence}]",
        title="New settings of kmodmon were refused",
        advice="The file has an error, which KMODMON_EVIDENCE names with file, key and hint; the earlier settings "
        "stay in force.",
    )
    file: str


class RulesRefused(ConfigRefused):
    """A new policy or baseline was invalid and is not in force."""

    what: str  # policy or baseline
    key: str  # the wrong key; empty: none in particular
    line: int | None  # None: not known
    hint: str

    def fields(self) -> JsonObject:
        """The JSON object `fields`, with `what` as its first member."""
        return {"what": self.what, "file": self.file, "key": self.key, "line": self.line, "hint": self.hint}


class Started(EventDetails):
    """kmodmon started."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("Started"),
        message_id="963f3e530fd8471e98ff0981e709c51f",
        sentence="kmodmon started",
        title="kmodmon started",
        advice="From here on it sees what happens; what it finds was there before.",
    )


class Stopped(EventDetails):
    """kmodmon stopped."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("Stopped"),
        message_id="0b53badd631f4d5fb9c232481a4bbf43",
        sentence="kmodmon stopped",
        title="kmodmon stopped",
        advice="Until it starts again nobody watches; what happens meanwhile is told later as far as it left traces.",
    )


class EventsSuppressed(EventDetails):
    """Events that users can provoke were left out of the history, because there were too many."""

    kind: ClassVar[EventKind] = EventKind(
        type=EventType("EventsSuppressed"),
        message_id="f35535cfaea6402ba1ad06d203e30e98",
        sentence="{count|Some} events that users can cause were only counted[: {types}]",
        title="Events that users can cause were only counted",
        advice="The same event is told once in ten minutes, and so are a hundred different ones of a kind: more would "
        "push other events out of the history. The metrics count them all, each for its reason.\n"
        "`kmodmon events --since 20m` shows those that were told; somebody may try to hide one among many.",
        provokable=True,
    )
    count: int  # events since the previous event of this kind
    types: Mapping[str, int]  # events by type
