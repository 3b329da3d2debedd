"""The settings table and what is made of it: file, flags, defaults, refusals, the default file, differences."""

import argparse
import dataclasses
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmodmon.config.load import add_flags, default_file, flags_of, load, parse_file
from kmodmon.config.render import default_toml, markdown_table
from kmodmon.config.settings import SETTINGS, Settings, build_settings
from kmodmon.config.toml_writer import toml_value
from kmodmon.config.values import Address, Bytes, PassedSockets, Seconds
from kmodmon.types.error import ConfigError


def flags(*argv: str) -> dict[str, object]:
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    add_flags(parser)
    return dict(flags_of(parser.parse_args(argv)))


def settings_of(text: str, tmp_path: Path, *argv: str) -> Settings:
    file = tmp_path / "kmodmon.toml"
    file.write_text(text)
    return load(file, flags(*argv), {})


def refusal_of(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_file(text.encode(), "x.toml")
    return caught.value


def test_settings_when_nothing_is_given_are_the_defaults(tmp_path: Path) -> None:
    assert load(None, {}, {"CONFIGURATION_DIRECTORY": str(tmp_path)}) == Settings()


def test_setting_when_in_file_replaces_the_default(tmp_path: Path) -> None:
    read = settings_of('[poll]\nmodules = "1h30m"\n[web]\nlisten = ["[::1]:80"]\nconfig.file = "/w"\n', tmp_path)
    assert read.poll.modules == Seconds(5400)
    assert read.web.listen == (Address("::1", 80),)
    assert read.web.config_file == Path("/w")
    assert read.poll.taint == Settings().poll.taint


def test_setting_when_a_flag_too_is_the_flags(tmp_path: Path) -> None:
    text = '[poll]\nmodules = "30s"\n[kmsg]\nenabled = true\n[log]\nlevel = "debug"\n[history]\nqueue = 200\n'
    read = settings_of(text, tmp_path, "--poll.modules", "20s", "--no-kmsg.enabled", "--history.queue=300")
    assert (read.poll.modules, read.kmsg.enabled) == (Seconds(20), False)
    assert (read.log.level.value, read.history.queue) == ("debug", 300)


@pytest.mark.parametrize("flag", ["--listen", "--web.listen-address", "--web.listen"])
def test_listen_when_given_twice_holds_both(flag: str, tmp_path: Path) -> None:
    read = settings_of("", tmp_path, flag, ":1", flag, "localhost:2")
    assert read.web.listen == (Address("", 1), Address("localhost", 2))


@pytest.mark.parametrize("text", ["systemd", "systemd:web"])
def test_listen_when_systemd_listens_then_as_the_server_takes_it(text: str, tmp_path: Path) -> None:
    read = settings_of("", tmp_path, "--listen", text)
    assert read.web.listen == (PassedSockets(text.partition(":")[2]),)
    assert [*map(str, read.web.listen)] == [text]


def test_state_directory_when_systemd_names_it_stands_before_the_default_only(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/private/x:/var/lib/y", "CONFIGURATION_DIRECTORY": str(tmp_path)}
    assert load(None, {}, environ).history.directory == Path("/var/lib/private/x")
    (tmp_path / "kmodmon.toml").write_text('[history]\ndirectory = "/srv"\n')
    assert load(None, {}, environ).history.directory == Path("/srv")
    assert load(None, {"history.directory": "here"}, environ).history.directory == Path("here")


def test_default_file_when_systemd_names_a_directory_is_in_it() -> None:
    assert default_file({}) == Path("/etc/kmodmon/kmodmon.toml")
    assert default_file({"CONFIGURATION_DIRECTORY": "/a:/b"}) == Path("/a/kmodmon.toml")


def test_root_when_given_leads_to_every_interface_of_that_tree(tmp_path: Path) -> None:
    read = settings_of('[path]\nprocfs = "/host/proc"\n', tmp_path, "--root", "/tree", "--path.dev", "/dev")
    assert read.path.procfs == Path("/tree/proc")
    assert read.path.tracefs == Path("/tree/sys/kernel/tracing")
    assert read.path.modules == Path("/tree/lib/modules")
    assert read.path.kallsyms == Path("/tree/proc/kallsyms")
    assert read.path.dev == Path("/dev")


def test_path_when_it_names_another_follows_it(tmp_path: Path) -> None:
    text = '[path]\nsysfs = "/host/sys"\ntracefs = "{sysfs}/kernel/debug/tracing"\nmodules = "/m"\n'
    read = settings_of(text, tmp_path)
    assert read.path.tracefs == Path("/host/sys/kernel/debug/tracing")
    assert read.path.securityfs == Path("/host/sys/kernel/security")
    assert read.path.modules == Path("/m")


@pytest.mark.parametrize(
    ("text", "key", "line", "why", "hint"),
    [
        ('[poll]\n\nmodule = "1s"', "poll.module", 3, "no such setting", "did you mean poll.modules?"),
        ('modules = "1s"', "modules", 1, "no such setting", "did you mean poll.modules?"),
        ("[pol]\nx.y = 1", "pol.x.y", 2, "no such setting", "`kmodmon export config DIR` writes"),
        ("[histori]", "histori", 1, "no such setting", "did you mean history"),
        ('a = 1\n["web"]\nlisten = 1', "a", 1, "no such setting", ""),
        ("[web]\nlisten = 1", "web.listen", 2, "wants a list, not the number 1", "127.0.0.1:10069"),
        ('[web]\nlisten = ["a:1", "b"]', "web.listen", 2, 'value 2: "b" is not an address and port', "[::1]"),
        ('web.listen = ["a:70000"]', "web.listen", 1, "not an address", ""),
        ("web.listen = []", "web.listen", 1, "wants 1 to 16 values, not 0", ""),
        ("web = 1", "web", 1, "no such setting", ""),
        ("[poll]\nmodules = 15", "poll.modules", 2, "not the number 15", 'such as "15s"'),
        ('[poll]\nmodules = "15 parsecs"', "poll.modules", 2, '"15 parsecs" is not a duration', "unit"),
        ('[poll]\nmodules = "10ms"', "poll.modules", 2, "10ms is not between 1s and", ""),
        ("[poll]\nmodules = true", "poll.modules", 2, "not true", ""),
        ('[poll]\nmodules = ""', "poll.modules", 2, "not an empty text", ""),
        ('[history]\nmax_bytes = "1 lot"', "history.max_bytes", 2, '"1 lot" is not a size', "64MiB"),
        ("[history]\nmax_bytes = 1000", "history.max_bytes", 2, "1000 is not between 1MiB and", ""),
        ("[history]\nqueue = 5", "history.queue", 2, "5 is not between 100 and 1000000", ""),
        ("[history]\nqueue = true", "history.queue", 2, "not true", ""),
        ('[history]\nqueue = "5"', "history.queue", 2, 'not "5"', "without quotes"),
        ('[history]\ndirectory = "lib"', "history.directory", 2, '"lib" is not an absolute path', "absolute"),
        ('[history]\ndirectory = "{sysfs}/x"', "history.directory", 2, "not an absolute path", ""),
        ('[path]\ndev = "{procfss}/x"', "path.dev", 2, "not an absolute path", ""),
        ('[path]\ndev = "a\\u0000b"', "path.dev", 2, "control characters", ""),
        ('[kmsg]\nenabled = "yes"', "kmsg.enabled", 2, 'wants true or false, not "yes"', ""),
        ('[log]\nlevel = "loud"', "log.level", 2, '"loud" is not known', 'write one of "debug", "info"'),
        ("[log]\nlevel = 1979-05-27", "log.level", 2, "not a date or time", ""),
        ('[trace]\ninstance = "../x"', "trace.instance", 2, "is not a directory name", ""),
        ('[parameters]\nredact = ["a b"]', "parameters.redact", 2, "value 1: ", ""),
        ("[log]\nlevel = {a = 1}", "log.level", 2, "not a table", ""),
        ("[log\n", "", 1, "is not TOML: ", ""),
    ],
)
def test_file_when_wrong_is_refused_with_key_line_reason_and_hint(
    text: str, key: str, line: int | None, why: str, hint: str
) -> None:
    error = refusal_of(text)
    assert (error.file, error.key, error.line) == ("x.toml", key, line)
    assert why in error.why
    assert hint in error.hint
    assert "\n" not in str(error) and str(error).startswith("x.toml")


@pytest.mark.parametrize(
    ("argv", "key", "why"),
    [
        (("--poll.modules", "15"), "--poll.modules", '"15" is not a duration'),
        (("--history.queue", "many"), "--history.queue", "wants a whole number"),
        (("--listen", "nowhere"), "--listen", 'value 1: "nowhere" is not an address and port'),
        (("--log.level", "loud"), "--log.level", '"loud" is not known'),
        (("--path.procfs", ""), "--path.procfs", "not an empty text"),
    ],
)
def test_flag_when_wrong_is_refused_by_its_name(argv: tuple[str, ...], key: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of("", tmp_path, *argv)
    assert (caught.value.file, caught.value.key) == ("command line", key)
    assert why in caught.value.why


def test_file_when_named_and_missing_is_refused_and_when_default_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "kmodmon.toml", {}, {})
    assert load(None, {}, {"CONFIGURATION_DIRECTORY": str(tmp_path)}) == Settings()


def test_file_when_a_directory_or_binary_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {}, {})
    file = tmp_path / "x"
    file.write_bytes(b"a = 1\n\xff")
    with pytest.raises(ConfigError, match="line 2: is not UTF-8"):
        load(file, {}, {})
    file.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="larger than"):
        load(file, {}, {})


def test_error_when_the_key_holds_control_characters_stays_one_printable_line() -> None:
    assert str(refusal_of('"a\\n\\u001b[31m" = 1')).isprintable()


@given(st.binary(max_size=200))
@example(b"[web]\nlisten.x = 1")
@example(b"[[web]]\n")
@example(b"web.listen = [[[]]]")
@example(b"poll.modules = nan")
def test_file_when_any_bytes_gives_values_or_config_error(raw: bytes) -> None:
    try:
        parse_file(raw, "x.toml")
    except ConfigError as error:
        assert str(error).isprintable()


@given(st.text(alphabet=string.printable, max_size=120))
def test_any_value_of_any_setting_is_taken_or_refused(text: str) -> None:
    for row in SETTINGS:
        for raw in (text, [text], 7, -1, 2**70, 1.5, None, True, {"a": 1}):
            for read in (row.kind.read, row.kind.read_flag):
                try:
                    value = read(raw)
                except ValueError:
                    continue
                assert row.kind.read(_reparsed(value)) == value


def _reparsed(value: object) -> object:
    import tomllib

    return tomllib.loads(f"x = {toml_value(value)}")["x"]


def test_default_file_when_read_changes_nothing_even_with_every_comment_taken_away(tmp_path: Path) -> None:
    text = default_toml()
    assert settings_of(text, tmp_path) == Settings()
    live = "\n".join(line[1:] if line.startswith("#") and line[1:2].strip() else line for line in text.splitlines())
    assert parse_file(live.encode(), "x") == {row.key: row.default for row in SETTINGS}
    assert settings_of(live, tmp_path) == Settings()
    assert max(map(len, text.splitlines())) <= 130


def test_every_setting_is_explained_named_once_and_in_every_document() -> None:
    table = markdown_table()
    names = [row.key for row in SETTINGS] + [flag for row in SETTINGS for flag in row.flags]
    assert len(names) == len(set(names))
    for row in SETTINGS:
        assert row.help.endswith(".") and row.help[0] != " "
        assert f"| `{row.key}` |" in table
        assert row.key == row.key.lower() and row.flags[-1] == "--" + row.key.replace("_", "-")


def test_settings_can_be_hashed_and_not_changed() -> None:
    hash(Settings())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().poll.modules = Seconds(1)  # type: ignore[misc]  # that is what is tested


def test_differences_when_reloaded_name_each_setting_and_keep_what_wants_a_restart() -> None:
    old = Settings()
    new = build_settings({"poll.modules": Seconds(5), "web.listen": (Address("", 1),), "path.sysfs": Path("/s")})
    assert [(change.setting.key, change.setting.restart) for change in old.differences(new)] == [
        ("web.listen", True),
        *((f"path.{name}", True) for name in ("sysfs", "tracefs", "securityfs", "debugfs", "efivars", "pstore")),
        ("poll.modules", False),
    ]
    assert (old.differences(new)[0].old, old.differences(new)[0].new) == (old.web.listen, (Address("", 1),))
    assert old.reloaded(new) == build_settings({"poll.modules": Seconds(5)})
    assert old.differences(old) == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (0.2, "200ms"),
        (1.5, "1500ms"),
        (15, "15s"),
        (90, "90s"),
        (120, "2m"),
        (86400, "24h"),
        (7776000, "90d"),
    ],
)
def test_duration_is_written_as_people_write_it(seconds: float, text: str) -> None:
    assert str(Seconds(seconds)) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1000, "1000"), (65536, "64KiB"), (2**28, "256MiB"), (3 * 2**40, "3TiB")]
)
def test_size_is_written_with_the_unit_that_loses_nothing(count: int, text: str) -> None:
    assert str(Bytes(count)) == text
