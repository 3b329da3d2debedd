"""Parameters of every kind, on files; a FIFO stands for a getter that never answers."""

import os
import time
from dataclasses import replace
from pathlib import Path

from kmodmon.config.sections import ParameterSettings
from kmodmon.config.values import Seconds
from kmodmon.sources.deadline import MAX_STUCK, DeadlineReader
from kmodmon.sources.parameters import ParametersReader
from kmodmon.subjects.parameters import Parameter, ParametersRead, parameters_changed
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Read
from tests.states import Story

QUICK = replace(ParameterSettings(), read_timeout=Seconds(0.2))


class Host:
    """A sysfs of plain files."""

    def __init__(self, tmp_path: Path) -> None:
        self.sysfs = tmp_path / "sys"
        (self.sysfs / "module").mkdir(parents=True)
        self.root = Root(sysfs=str(self.sysfs).encode())

    def put(self, module: str, **parameters: bytes) -> Path:
        directory = self.sysfs / "module" / module / "parameters"
        directory.mkdir(parents=True, exist_ok=True)
        for name, raw in parameters.items():
            (directory / name).write_bytes(raw)
        return directory


def table(reader: ParametersReader) -> ParametersRead:
    outcome = reader().outcome
    assert isinstance(outcome, Read)
    assert isinstance(outcome.value, ParametersRead)
    return outcome.value


def parameter(read: ParametersRead, module: str, name: str) -> Parameter:
    return read.table.parameters[module][name]


def test_values_when_of_many_kinds_then_each_is_what_the_kernel_printed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put(
        "m", number=b"-5\n", flag=b"Y\n", text=b"eth0\n", list=b"1,2,3\n", empty=b"", odd=b"\xff\n\n", hex=b"0x00beef\n"
    )
    read = table(ParametersReader(host.root, QUICK))
    values = {name: one.value for name, one in read.table.parameters["m"].items()}
    numbers = {name: value.number for name, value in values.items() if value is not None}
    assert numbers == {"number": -5, "flag": 1, "text": None, "list": None, "empty": None, "odd": None, "hex": 0xBEEF}
    assert values["odd"] is not None and values["odd"].text == "\\xff\\x0a"


def test_sweep_when_nothing_changed_then_the_same_object_comes_again(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put("m", a=b"1\n")
    reader = ParametersReader(host.root, QUICK)
    assert table(reader) is table(reader)


def test_secrets_when_read_then_the_value_never_leaves_and_its_change_shows(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put("wifi", password=b"hunter2\n", api_token=b"abc\n", keyboard=b"us\n")
    reader = ParametersReader(host.root, QUICK)
    before = table(reader)
    assert "hunter2" not in repr(before) and "abc" not in repr(before)
    assert parameter(before, "wifi", "keyboard").value is not None
    assert not parameter(before, "wifi", "keyboard").redacted
    host.put("wifi", password=b"hunter3\n")
    after = table(reader)
    events = parameters_changed(before.table.parameters, after.table.parameters, Story().clock.now())
    assert [(event.fields["parameter"], event.fields["old"], event.fields["new"]) for event in events] == [
        ("password", "<redacted>", "<redacted>")
    ]


def test_unreadable_when_refused_then_it_is_kept_with_the_reason_and_counted(tmp_path: Path) -> None:
    host = Host(tmp_path)
    directory = host.put("m", good=b"1\n", bad=b"2\n")
    root = host.root.failing({str(directory / "bad").encode(): 13})
    reader = ParametersReader(root, QUICK)
    read = table(reader)
    assert read.table.unreadable == 1
    assert "Permission denied" in parameter(read, "m", "bad").why
    assert reader().unreadable == 1


def test_hanging_when_one_never_answers_then_other_modules_are_read_and_it_is_given_up(tmp_path: Path) -> None:
    host = Host(tmp_path)
    directory = host.put("m", a=b"1\n", z=b"26\n")
    for name in ("m", "n"):
        host.put(name, b=b"2\n")
        (host.sysfs / "module" / name / "initstate").write_text("live\n")
    os.mkfifo(directory / "hang")
    reader = ParametersReader(host.root, QUICK)
    read = table(reader)
    assert parameter(read, "m", "hang").why == "no answer within 0.2 s"
    assert parameter(read, "m", "a").value is not None
    assert parameter(read, "m", "z").why.startswith("not read")  # it shares the lock of the one that hangs
    assert parameter(read, "n", "b").value is not None
    with open(directory / "hang", "wb", buffering=0):  # the getter returns after all
        pass
    deadline = time.monotonic() + 10
    while parameter(table(reader), "m", "z").value is None:
        assert time.monotonic() < deadline
    assert parameter(table(reader), "m", "hang").value is None  # and is not asked again


def test_hanging_when_a_value_is_known_then_it_stays_while_its_module_hangs(tmp_path: Path) -> None:
    host = Host(tmp_path)
    directory = host.put("m", z=b"26\n")
    (host.sysfs / "module/m/initstate").write_text("live\n")
    reader = ParametersReader(host.root, QUICK)
    table(reader)
    os.mkfifo(directory / "hang")
    value = parameter(table(reader), "m", "z").value
    assert value is not None and value.number == 26
    with open(directory / "hang", "wb", buffering=0):
        pass


def test_deadline_when_too_many_reads_hang_then_no_more_threads_are_spent(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"hang{number}").encode() for number in range(MAX_STUCK + 3)]
    for path in paths:
        os.mkfifo(path)
    reader = DeadlineReader(Root().read, 0.02)
    answers = reader.read_all([(path, path) for path in paths])
    try:
        assert len(answers.hung) == MAX_STUCK
        assert set(answers.outcomes) == set(answers.hung)
        assert len(reader.stuck) == MAX_STUCK
    finally:
        for path in answers.hung:
            with open(path, "wb", buffering=0):
                pass


def test_source_when_there_is_no_sysfs_then_it_is_absent(tmp_path: Path) -> None:
    assert isinstance(ParametersReader(Root(sysfs=str(tmp_path / "none").encode()), QUICK)().outcome, Absent)


def test_change_when_a_parameter_is_written_then_one_event_says_old_and_new(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put("m", level=b"1\n", other=b"7\n")
    reader = ParametersReader(host.root, QUICK)
    story = Story()
    assert story.see("parameters", table(reader)) == ()
    host.put("m", level=b"2\n")
    (event,) = story.see("parameters", table(reader))
    assert (event.type, event.module) == ("ParameterChanged", "m")
    assert (event.fields["old"], event.fields["new"]) == ("1", "2")
    assert story.state.counts["kmodmon_module_parameter_changes_total"] == {(): 1}


def test_parameters_when_a_mode_changes_then_the_next_sweep_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "module/some/parameters/level"
    file.parent.mkdir(parents=True)
    file.write_text("1\n")
    file.chmod(0o644)
    read = ParametersReader(Root(sysfs=str(tmp_path).encode()), QUICK)
    modes = []
    for mode in (0o644, 0o666):
        file.chmod(mode)
        outcome = read().outcome
        assert isinstance(outcome, Read) and isinstance(outcome.value, ParametersRead)
        modes.append(outcome.value.table.parameters["some"]["level"].mode)
    assert modes == [0o644, 0o666]


def test_settings_when_they_change_then_no_parameter_did_and_no_secret_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put("m", password=b"hunter2\n", pin=b"4711\n", long=b"a" * 100 + b"\n", longer=b"b" * 2000)
    plain = replace(QUICK, redact=("pass*",), max_value_length=32)
    story = Story()
    story.see("parameters", table(ParametersReader(host.root, plain)))
    for settings in (replace(plain, redact=("pass*", "pin")), replace(plain, max_value_length=256), plain):
        assert story.see("parameters", table(ParametersReader(host.root, settings))) == ()


def test_settings_when_they_change_and_a_value_too_then_that_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.put("m", password=b"hunter2\n", key=b"\n", long=b"a" * 100 + b"\n")
    story = Story()
    story.see("parameters", table(ParametersReader(host.root, replace(QUICK, max_value_length=32))))
    host.put("m", password=b"hunter3\n", key=b"secret\n", long=b"a" * 99 + b"\n")
    events = story.see("parameters", table(ParametersReader(host.root, QUICK)))
    told = {str(event.fields["parameter"]): (event.fields["old"], event.fields["new"]) for event in events}
    assert told["password"] == ("<redacted>", "<redacted>") and told["key"] == ("", "<redacted>")
    assert set(told) == {"password", "key", "long"} and "hunter" not in repr(events)


def test_unreadable_when_its_module_has_a_hostile_name_then_the_reason_is_safe_text(tmp_path: Path) -> None:
    name = b"a\xff\n\x1b[31m".decode("utf-8", "surrogateescape")
    (Host(tmp_path).sysfs / "module" / name / "parameters" / "directory").mkdir(parents=True)
    read = table(ParametersReader(Root(sysfs=str(tmp_path / "sys").encode()), QUICK))
    (parameters,) = read.table.parameters.values()
    why = parameters["directory"].why
    assert why.endswith("/module/a\\xff\\x0a\\x1b[31m/parameters/directory: Is a directory")
