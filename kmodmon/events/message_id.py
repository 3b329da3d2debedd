"""The journal's MESSAGE_ID of every type of event: `journalctl MESSAGE_ID=…` finds all of one kind, whatever they say.

Random 128-bit numbers, as journald wants them (sd-id128(3)); never change one, rules and catalogs know them.
"""

from collections.abc import Mapping

from kmodmon.events.event import EventType

MESSAGE_IDS: Mapping[EventType, str] = {
    EventType.MODULE_LOADED: "544cfd9483ef40cc9e92b0de0e0f02da",
    EventType.MODULE_UNLOADED: "a990805b6a0e4dd69ac9c9aeaa0a1e66",
    EventType.MODULE_TRANSIENT: "58d835d8b2e34c5e8d3c32521189a460",
    EventType.MODULE_LOAD_FAILED: "13455d9c046643b0b0939a0d1f023d50",
    EventType.MODULE_CHANGED: "cfd23bd7b8ab462db5369a1cffe591f5",
    EventType.MODULE_HIDDEN: "bc6ffdbdd20240899c80595765a239e5",
    EventType.MODULE_UNHIDDEN: "20725e4851254de290b56a0aeb33c57f",
    EventType.MODULE_REQUESTED: "1f5e632a0f7c4cf0a4507171b95579af",
    EventType.WITNESS_CONTRADICTED: "1d04f2ebb3424f7fb669a248bef45314",
    EventType.TAINT_ADDED: "3792014ede9840c0b1fc1d9a1cbc25b3",
    EventType.TAINT_CLEARED: "448c285fc3824645a644f5b265dced40",
    EventType.LOCKDOWN_CHANGED: "523a12963ef44e39a9589ebbea770996",
    EventType.LOCKDOWN_DENIED: "4e3efd60c08848af9f48db00d4bf0ae1",
    EventType.MODULES_DISABLED: "72543aa8776f4b6ea1b5c70e3b4f67c3",
    EventType.SIGNATURE_ENFORCEMENT_CHANGED: "48390dcc741343f29ccd1b717072ce90",
    EventType.POSTURE_CHANGED: "5e5d8527823844f59ba155eafcc96c6e",
    EventType.PARAMETER_CHANGED: "b5ebffb02e4740778accf67b9252dadb",
    EventType.KERNEL_REPORT: "5710123c711b4c2597cbee9577ad0fb5",
    EventType.LOG_FORGED: "a1aa49ea7f19431bb76a600545c58f51",
    EventType.LOG_LOST: "334b48ed764e42128df85de79b34a2a4",
    EventType.SOURCE_LOST: "9926407385284d1988a0e3da575a0a0a",
    EventType.SOURCE_RECOVERED: "6c943a4546fd402780f4a8e5c537f06c",
    EventType.POLICY_VIOLATED: "e6c2b0986a254a858d29271060a9e7ca",
    EventType.BASELINE_DRIFTED: "4f07625729d14cc6a5e664e001b671fc",
    EventType.FILE_CHANGED: "542e2d07f3974fccb8225523462c6cb2",
    EventType.CONFIG_REFUSED: "6979441e8c4141ba829bc382b8d1ecd2",
    EventType.STARTED: "963f3e530fd8471e98ff0981e709c51f",
    EventType.STOPPED: "0b53badd631f4d5fb9c232481a4bbf43",
}
