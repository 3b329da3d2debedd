"""The journal's catalog: an entry for every type of event, in systemd's format."""

import importlib
import re
import shlex

from kmodmon.cli import VERBS
from kmodmon.cli.frame import parser_of
from kmodmon.events.event import EventType
from kmodmon.events.journal_catalog import EXPLANATIONS, catalog
from kmodmon.events.message_id import MESSAGE_IDS

# Events of these types are always about one module.
OF_A_MODULE = {kind for kind in EventType if kind.value.startswith("Module")} - {
    EventType.MODULE_LOAD_FAILED,
    EventType.MODULE_REQUESTED,
    EventType.MODULES_DISABLED,
}


def test_catalog_when_made_then_every_type_has_an_entry_that_systemd_can_read() -> None:
    entries = re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.+)\nDefined-By: kmodmon\n\n(.+)\n", catalog(), re.MULTILINE)
    assert {identity for identity, _, _ in entries} == set(MESSAGE_IDS.values())
    assert len(entries) == len(EventType) == catalog().count("\n-- ")


def test_catalog_when_it_names_a_field_then_every_such_event_has_it() -> None:
    for kind, texts in EXPLANATIONS.items():
        fields = set(re.findall(r"@(\w+)@", " ".join(texts)))
        allowed = {"KMODMON_MODULE"} if kind in OF_A_MODULE | {EventType.PARAMETER_CHANGED} else set()
        assert fields <= allowed, kind


def test_catalog_when_it_names_a_command_then_the_command_line_takes_it() -> None:
    verbs = {verb.name: verb for verb in VERBS}
    commands = [code for _, text in EXPLANATIONS.values() for code in re.findall(r"`(kmodmon [^`]+)`", text)]
    assert len(commands) > 15
    for command in commands:
        _, name, *arguments = shlex.split(command)
        parser_of(verbs[name], importlib.import_module(verbs[name].module)).parse_args(arguments)
