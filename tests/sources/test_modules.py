"""The reader against files that change under it, as a module list does (kernel/module/procfs.c, one page a read)."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.lifecycle.signals import ModulesRead
from kmodmon.sources.modules import ModulesReader
from kmodmon.sources.source import Reading
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Outcome, Read


def line(name: str, taint: str = "") -> bytes:
    return f"{name} 16384 0 - Live 0x0000000000000000{f' ({taint})' if taint else ''}\n".encode()


class PassesRoot(Root):
    """A root whose /proc/modules gives the next of some passes at each reading; the last one stays."""

    passes: list[bytes]
    __slots__ = ("passes",)

    def read(self, path: bytes, limit: int = 1 << 26) -> Outcome[bytes]:
        passes: list[bytes] = self.passes
        if path != b"/proc/modules":
            return Absent("not here")
        return Read(passes.pop(0) if len(passes) > 1 else passes[0])


def rooted(tmp_path: Path, passes: list[bytes], sysfs: tuple[str, ...] = ()) -> Root:
    for name in sysfs:
        (tmp_path / "module" / name).mkdir(parents=True, exist_ok=True)
    root = PassesRoot(sysfs=str(tmp_path).encode())
    object.__setattr__(root, "passes", passes)
    return root


def names(look: Reading) -> set[str]:
    assert isinstance(look.outcome, Read)
    seen = look.outcome.value
    assert isinstance(seen, ModulesRead)
    return set(seen.modules)


def observation(look: Reading) -> ModulesRead:
    assert isinstance(look.outcome, Read)
    assert isinstance(look.outcome.value, ModulesRead)
    return look.outcome.value


MANY = [f"module_{number:03}" for number in range(120)]  # more than one page


def whole(*listed: str) -> bytes:
    return b"".join(line(name) for name in listed)


def test_list_when_unchanged_then_the_same_object_comes_again(tmp_path: Path) -> None:
    reader = ModulesReader(rooted(tmp_path, [whole("a", "b")]))
    assert observation(reader()) is observation(reader())


def test_list_when_a_pass_misses_a_module_then_it_is_not_gone(tmp_path: Path) -> None:
    # An unload between two pages made module_060 vanish from one pass.
    torn = [name for name in MANY if name not in ("module_060",)]
    reader = ModulesReader(rooted(tmp_path, [whole(*MANY), whole(*MANY), whole(*torn), whole(*MANY)]))
    assert names(reader()) == set(MANY)
    assert names(reader()) == set(MANY)


def test_list_when_a_load_shows_a_line_twice_then_it_is_one_module(tmp_path: Path) -> None:
    twice = [*MANY[:60], MANY[59], *MANY[60:]]
    reader = ModulesReader(rooted(tmp_path, [whole(*twice), whole("new", *MANY)]))
    assert names(reader()) == {"new", *MANY}


def test_list_when_passes_never_agree_then_sysfs_decides(tmp_path: Path) -> None:
    passes = [whole(*MANY, f"odd_{number}") for number in range(8)]
    reader = ModulesReader(rooted(tmp_path, passes, sysfs=("odd_4",)))
    assert names(reader()) - set(MANY) == {"odd_4"}


def test_attributes_when_the_directory_is_another_then_they_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/modules").write_bytes(whole("dummy"))
    directory = tmp_path / "sys/module/dummy"
    directory.mkdir(parents=True)
    (directory / "srcversion").write_text("AAA\n")
    (directory / "coresize").write_text("16384\n")
    reader = ModulesReader(Root(procfs=str(tmp_path / "proc").encode(), sysfs=str(tmp_path / "sys").encode()))
    first = observation(reader()).modules["dummy"].attributes
    keep = tmp_path / "kept"
    directory.rename(keep)
    directory.mkdir()
    (directory / "srcversion").write_text("BBB\n")
    second = observation(reader()).modules["dummy"].attributes
    assert (first.srcversion, first.coresize, second.srcversion, second.coresize) == ("AAA", 16384, "BBB", None)
    assert first.instance != second.instance


def test_attributes_when_no_uevent_was_sent_then_sysfs_is_not_listed_again(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/modules").write_bytes(whole("dummy"))
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/uevent_seqnum").write_text("100\n")
    directory = tmp_path / "sys/module/dummy"
    directory.mkdir(parents=True)
    reader = ModulesReader(Root(procfs=str(tmp_path / "proc").encode(), sysfs=str(tmp_path / "sys").encode()))
    first = observation(reader()).modules["dummy"].attributes
    directory.rename(tmp_path / "kept")
    directory.mkdir()
    assert observation(reader()).modules["dummy"].attributes is first
    (tmp_path / "sys/kernel/uevent_seqnum").write_text("102\n")
    assert observation(reader()).modules["dummy"].attributes.instance != first.instance


def test_list_when_a_count_moves_then_only_that_module_is_another(tmp_path: Path) -> None:
    moved = whole(*MANY).replace(b"module_007 16384 0", b"module_007 16384 12")
    reader = ModulesReader(rooted(tmp_path, [whole(*MANY), whole(*MANY), moved], sysfs=tuple(MANY)))
    before, after = observation(reader()).modules, observation(reader()).modules
    assert list(after) == list(before) == MANY and after["module_007"].refcnt == 12
    assert [name for name in MANY if after[name] is not before[name]] == ["module_007"]
    assert after["module_007"].attributes is before["module_007"].attributes


def test_list_when_a_line_is_about_another_module_then_one_went_and_one_came(tmp_path: Path) -> None:
    reader = ModulesReader(rooted(tmp_path, [whole("a", "b", "c"), whole("a", "x", "c")]))
    assert names(reader()) == {"a", "b", "c"} and names(reader()) == {"a", "x", "c"}


LINES = st.builds(
    lambda name, refs, state, taint: b"%b 16384 %d - %b 0x0000000000000000%b\n" % (name, refs, state, taint),
    st.sampled_from([b"a", b"b", b"c", b"a b", b"x\ny"]),
    st.integers(0, 11),
    st.sampled_from([b"Live", b"Loading"]),
    st.sampled_from([b"", b" (OE)"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(LINES, max_size=5).map(b"".join), min_size=2, max_size=6))
def test_list_when_read_again_and_again_then_as_if_read_for_the_first_time(passes: list[bytes]) -> None:
    root = PassesRoot(sysfs=b"/nonexistent")
    object.__setattr__(root, "passes", passes)
    reader = ModulesReader(root)
    for each in tuple(passes):
        fresh = PassesRoot(sysfs=b"/nonexistent")
        object.__setattr__(fresh, "passes", [each])
        wanted = observation(ModulesReader(fresh)())
        found = observation(reader())
        assert list(found.modules.items()) == list(wanted.modules.items()) and found.skipped == wanted.skipped


def test_list_when_a_module_is_listed_twice_and_its_first_line_changes_then_the_later_line_counts() -> None:
    line = b"a 16384 %d - Live 0x0000000000000000\n"
    root = PassesRoot(sysfs=b"/nonexistent")
    object.__setattr__(root, "passes", [line % 0 + line % 1, line % 2 + line % 1])
    reader = ModulesReader(root)
    assert [observation(reader()).modules["a"].refcnt for _ in range(2)] == [1, 1]


def test_list_when_absent_or_unreadable_then_the_outcome_says_which(tmp_path: Path) -> None:
    assert isinstance(ModulesReader(Root(procfs=str(tmp_path).encode()))().outcome, Absent)
    (tmp_path / "modules").mkdir()
    assert isinstance(ModulesReader(Root(procfs=str(tmp_path).encode()))().outcome, Failed)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6))
def test_list_when_it_is_garbage_then_the_reader_survives_and_counts(passes: list[bytes]) -> None:
    root = PassesRoot(sysfs=b"/nonexistent")
    object.__setattr__(root, "passes", passes)
    reader = ModulesReader(root)
    for _ in range(4):
        assert isinstance(reader().outcome, Read)
