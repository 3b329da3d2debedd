import re
from collections.abc import Mapping

import pytest
from hypothesis import given

from kmodmon.events.event import Actor, Event, EventType, Process, recorded_event
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.events.kinds.log import LogLost
from kmodmon.events.kinds.module import ModuleLoaded, ModuleLoadFailed
from kmodmon.events.kinds.posture import ParameterChanged, PostureChanged
from kmodmon.events.kinds.source import SourceLost
from kmodmon.events.kinds.taint import TaintAdded, TaintCleared
from kmodmon.events.sentence import LONGEST_SENTENCE, actor_words, sentence_of
from kmodmon.types.units import JsonObject, JsonValue
from tests.events.event_strategies import EVENTS
from tests.fake_clock import EPOCH

MODPROBE = Actor(process=Process(pid=411, comm="modprobe"), uid=0)


def said(kind: EventType, module: str | None = None, actor: Actor | None = None, **fields: JsonValue) -> str:
    return sentence_of(recorded_event(type=kind, at=EPOCH, module=module, actor=actor, fields=fields))


def test_every_type_has_a_sentence_and_a_message_id() -> None:
    assert all(kind.sentence for kind in EVENT_KINDS.values())
    assert len({kind.message_id for kind in EVENT_KINDS.values()}) == len(EVENT_KINDS)
    assert all(re.fullmatch(r"[0-9a-f]{32}", kind.message_id) for kind in EVENT_KINDS.values())


@given(EVENTS)
def test_any_event_gives_a_bounded_sentence_without_remains_of_its_template(event: Event) -> None:
    sentence = sentence_of(event)
    assert 0 < len(sentence) <= LONGEST_SENTENCE


@pytest.mark.parametrize("kind", list(EVENT_KINDS))
def test_event_without_any_detail_is_still_a_sentence(kind: EventType) -> None:
    sentence = said(kind)
    assert sentence[0].isupper() or sentence.startswith("kmodmon")
    assert not set("{}[]|") & set(sentence)
    assert "  " not in sentence and not sentence.endswith((" ", ",", ":", "."))


@pytest.mark.parametrize(
    ("kind", "module", "fields", "sentence"),
    [
        (ModuleLoaded.kind.type, "vboxdrv", {"signature": "unsigned", "taints": "OE", "while_down": True},
         "Module vboxdrv was loaded, signature unsigned, taints OE while kmodmon was not running"),
        (ModuleLoaded.kind.type, "ext4", {"signature": "valid", "taints": ""},
         "Module ext4 was loaded, signature valid"),
        (ModuleLoadFailed.kind.type, None, {"reason": "unknown_symbol", "symbol": "foo"},
         "A module could not be loaded: unknown_symbol (foo)"),
        (TaintAdded.kind.type, "vboxdrv", {"flag": "out_of_tree_module", "letter": "O", "cause": "module:vboxdrv"},
         "The kernel is now tainted by out_of_tree_module (O), cause module:vboxdrv"),
        (TaintCleared.kind.type, None, {"flag": "warn", "letter": "W", "old": 512, "new": 0},
         "Taint flag warn (W) is gone, which the kernel itself never does: 512 became 0"),
        (PostureChanged.kind.type, None, {"setting": "kptr_restrict", "old": 2, "new": 0, "direction": "weakened"},
         "kptr_restrict changed from 2 to 0, weakened"),
        (ParameterChanged.kind.type, "e1000e", {"parameter": "debug", "old": "", "new": "1"},
         "Parameter debug of module e1000e changed to 1"),
        (LogLost.kind.type, None, {"lost": 7}, "7 records of the kernel log were lost"),
        (SourceLost.kind.type, None, {"source": "kmsg", "why": "Permission denied"},
         "Source kmsg fails: Permission denied"),
    ],
)  # fmt: skip
def test_sentence_says_what_the_event_holds(
    kind: EventType, module: str | None, fields: JsonObject, sentence: str
) -> None:
    assert sentence_of(recorded_event(type=kind, at=EPOCH, module=module, fields=fields)) == sentence


def test_actor_is_named_with_the_one_who_made_it_act() -> None:
    mount = Actor(process=Process(pid=400, comm="mount"))
    probe = Actor(process=Process(pid=411, comm="modprobe"), uid=0, requester=mount)
    assert actor_words(probe) == "modprobe[411] (uid 0) for mount[400]"
    assert actor_words(Actor(process=Process(pid=7), exited=True)) == "exited[7]"
    assert said(ModuleLoaded.kind.type, "ext4", probe).startswith("Module ext4 was loaded by modprobe[411] (uid 0) for")


def test_text_that_looks_like_a_template_stays_text() -> None:
    assert said(ModuleLoaded.kind.type, "{actor}[x]", MODPROBE) == (
        "Module {actor}[x] was loaded by modprobe[411] (uid 0)"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(("a", "b"), "a, b"), ({"x": 1, "y": None}, "x 1, y no"), ("x" * 5000, "x" * 199 + "…"), (1.5, "1.5")],
)
def test_values_of_every_kind_are_written(value: JsonValue, text: str) -> None:
    fields: Mapping[str, JsonValue] = {"source": "s", "why": value}
    assert sentence_of(recorded_event(type=SourceLost.kind.type, at=EPOCH, fields=fields)) == f"Source s fails: {text}"
