"""The journal's catalog: an entry for every type of event, in systemd's format."""

import importlib
import re
import shlex

from kmodmon.cli import VERBS
from kmodmon.cli.frame import parser_of
from kmodmon.events.journal_catalog import catalog
from kmodmon.events.kinds import EVENT_KINDS
from kmodmon.events.kinds.module import ModuleLoadFailed, ModuleRequested
from kmodmon.events.kinds.posture import ModulesDisabled, ParameterChanged

# Events of these types are always about one module.
OF_A_MODULE = {kind for kind in EVENT_KINDS if kind.startswith("Module")} - {
    ModuleLoadFailed.kind.type,
    ModuleRequested.kind.type,
    ModulesDisabled.kind.type,
}


def test_catalog_when_made_then_every_type_has_an_entry_that_systemd_can_read() -> None:
    entries = re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.+)\nDefined-By: kmodmon\n\n(.+)\n", catalog(), re.MULTILINE)
    assert {identity for identity, _, _ in entries} == {kind.message_id for kind in EVENT_KINDS.values()}
    assert len(entries) == len(EVENT_KINDS) == catalog().count("\n-- ")


def test_catalog_when_it_names_a_field_then_every_such_event_has_it() -> None:
    for kind, declared in EVENT_KINDS.items():
        fields = set(re.findall(r"@(\w+)@", f"{declared.title} {declared.advice}"))
        allowed = {"KMODMON_MODULE"} if kind in OF_A_MODULE | {ParameterChanged.kind.type} else set()
        assert fields <= allowed, kind


def test_catalog_when_it_names_a_command_then_the_command_line_takes_it() -> None:
    verbs = {verb.name: verb for verb in VERBS}
    commands = [code for kind in EVENT_KINDS.values() for code in re.findall(r"`(kmodmon [^`]+)`", kind.advice)]
    assert len(commands) > 15
    for command in commands:
        _, name, *arguments = shlex.split(command)
        parser_of(verbs[name], importlib.import_module(verbs[name].module)).parse_args(arguments)
