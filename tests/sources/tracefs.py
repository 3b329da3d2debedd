"""A tracefs made of files and pipes, and events for it."""

import os
import shutil
from pathlib import Path
from typing import Self

from tests.trace_maker import RECORDING, Made, page, record


def load(second: int, name: bytes = b"hello_unsigned") -> Made:
    return record("module_load", 999999, nsec=second * 10**9 + 100_000, name=name, taints=1 << 12 | 1 << 13)


def init(second: int) -> Made:
    return record("initcall_finish", 999999, nsec=second * 10**9 + 200_000, ret=-5)


def free(second: int) -> Made:
    return record("module_free", 999998, nsec=second * 10**9 + 300_000, name=b"hello_unsigned")


def request(tid: int, name: bytes, usec: int = 1) -> Made:
    return record("module_request", tid, nsec=7 * 10**9 + usec * 1000, name=name)


def execution(tid: int, program: bytes, second: int) -> Made:
    return record("sched_process_exec", tid, nsec=second * 10**9, filename=program)


class Tracefs:
    """A tracefs of plain files; the instance is there already, as after a crash, because mkdir makes no files here.

    The pages of a CPU are a pipe that gives one write for each read, as a CPU's buffer gives a page.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.instance = place / "instances" / "kmodmon"
        for event in ("module/module_load", "module/module_free", "module/module_request", "initcall/initcall_finish",
                      "sched/sched_process_exec"):  # fmt: skip
            (self.instance / "events" / event).mkdir(parents=True)
            (self.instance / "events" / event / "enable").write_text("0\n")
            shutil.copy(RECORDING.directory / event.partition("/")[2], self.instance / "events" / event / "format")
        shutil.copy(RECORDING.directory / "header_page", self.instance / "events")
        (self.instance / "events/sched/sched_process_exec/filter").write_text("none\n")
        for name, text in (("trace_clock", "local global [mono] boot\n"), ("buffer_size_kb", "1408\n"),
                           ("buffer_percent", "50\n"), ("tracing_on", "0\n"), ("trace_pipe", "")):  # fmt: skip
            (self.instance / name).write_text(text)
        self.readers: list[int] = []
        self.writers: list[int] = []
        self.add_cpu()
        self.add_cpu()

    def add_cpu(self) -> None:
        directory = self.instance / "per_cpu" / f"cpu{len(self.writers)}"
        directory.mkdir(parents=True)
        reader, writer = os.pipe2(os.O_DIRECT | os.O_NONBLOCK | os.O_CLOEXEC)
        (directory / "trace_pipe_raw").symlink_to(f"/proc/self/fd/{reader}")
        self.readers.append(reader)
        self.writers.append(writer)

    def close_writers(self) -> None:
        for writer in self.writers:
            os.close(writer)

    def open_writers(self) -> None:
        self.writers = [os.open(f"/proc/self/fd/{reader}", os.O_WRONLY | os.O_NONBLOCK) for reader in self.readers]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writers()
        for reader in self.readers:
            os.close(reader)

    def write(self, *records: Made, cpu: int = 0) -> None:
        self.write_page(page(*records), cpu)

    def write_page(self, raw: bytes, cpu: int = 0) -> None:
        assert os.write(self.writers[cpu], raw) == len(raw)

    def read(self, name: str) -> str:
        return (self.instance / name).read_text().strip()
