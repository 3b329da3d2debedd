"""States of hosts for tests, made by the pipeline itself from observations."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from kmodmon.events.event import Event
from kmodmon.lifecycle.inventory import Module, ModuleAttributes
from kmodmon.lifecycle.signals import ModulesRead
from kmodmon.metrics import EVENT_METRICS
from kmodmon.pipeline import Rules, step
from kmodmon.state.observation import Reading
from kmodmon.state.state import State
from kmodmon.subjects.taint import TaintRead
from kmodmon.types.outcome import Observation, Read
from kmodmon.types.source_name import SourceName
from tests.fake_clock import FakeClock

BOOT = "11111111-2222-3333-4444-555555555555"


def module(name: str, taint: str = "", *, instance: int = 1, srcversion: str = "ABC", size: int = 16384) -> Module:
    return Module(
        name=name,
        size=size,
        refcnt=0,
        taint=taint,
        attributes=ModuleAttributes(instance=instance, srcversion=srcversion),
    )


def modules_read(*modules: Module) -> ModulesRead:
    return ModulesRead(modules=MappingProxyType({one.name: one for one in modules}))


class Story:
    """Feeds observations to the pipeline and keeps what happened."""

    def __init__(self, state: State | None = None) -> None:
        self.clock = FakeClock()
        self.state = state or State(boot_id=BOOT, started=self.clock.now())
        self.events: list[Event] = []
        self.rules = Rules(event_metrics=EVENT_METRICS)

    def see(self, source: str, observation: Observation, after: float = 0.0, *, lost: int = 0) -> Sequence[Event]:
        self.clock.advance(after)
        return self.take(source, Reading(outcome=Read(observation), lost=lost))

    def take(self, source: str, reading: Reading) -> Sequence[Event]:
        self.state, events = step(self.state, SourceName(source), reading, self.clock.now(), self.rules)
        self.events += events
        return events

    def modules(self, *modules: Module, after: float = 1.0) -> Sequence[Event]:
        return self.see("modules", modules_read(*modules), after)

    def taint(self, value: int, after: float = 0.0) -> Sequence[Event]:
        return self.see("taint", TaintRead(value=value), after)


def types(events: Sequence[Event]) -> list[str]:
    return [event.type for event in events]


def field(event: Event, name: str) -> object:
    fields: Mapping[str, object] = event.fields
    return fields.get(name)
