#!/usr/bin/python3
"""Records a tracefs instance in both of its forms; runs in the guest, for tests/vm/traced.py.

record_trace.py DIRECTORY SCRIPT...: for each script, events as kmodmon enables them are recorded while it runs. Then
the kernel's own text of them (`trace`, which consumes nothing) and the pages of each CPU (`trace_pipe_raw`) are saved;
the last script's in a buffer that is too small for it, and with the kernel's count of what it overwrote (`stats`).
"""

import os
import pathlib
import shutil
import subprocess
import sys

TRACING = pathlib.Path("/sys/kernel/tracing")
INSTANCE = TRACING / "instances/recorded"
EVENTS = (
    "module/module_load", "module/module_free", "module/module_request", "initcall/initcall_finish",
    "sched/sched_process_exec",
)  # fmt: skip
TOOLS = ("insmod", "modprobe", "rmmod")
FILTER = " || ".join(f'filename == "{place}/{tool}"' for place in ("/sbin", "/usr/sbin") for tool in TOOLS)
PAGE_ROOM = 1 << 17


def put(name, value):
    (INSTANCE / name).write_text(value)


def set_up():
    INSTANCE.mkdir()
    put("trace_clock", "mono")
    put("buffer_size_kb", "64")
    put("events/sched/sched_process_exec/filter", FILTER)
    for event in EVENTS:
        put(f"events/{event}/enable", "1")


def pages(cpu):
    """What is left of this CPU's buffer, page by page, as the daemon reads it."""
    descriptor = os.open(cpu / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)
    found = []
    try:
        while page := os.read(descriptor, PAGE_ROOM):
            found.append(page)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
    return b"".join(found)


def record(directory, number, script):
    put("tracing_on", "1")
    subprocess.run(["/bin/sh", "-c", script], stdin=subprocess.DEVNULL, check=False)
    put("tracing_on", "0")
    (directory / f"{number}.text").write_bytes((INSTANCE / "trace").read_bytes())
    for cpu in sorted((INSTANCE / "per_cpu").iterdir()):
        (directory / f"{number}.{cpu.name}.stats").write_bytes((cpu / "stats").read_bytes())
        (directory / f"{number}.{cpu.name}").write_bytes(pages(cpu))
    (directory / f"{number}.saved_cmdlines").write_bytes((TRACING / "saved_cmdlines").read_bytes())


def main(directory, scripts):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    set_up()
    try:
        shutil.copyfile(INSTANCE / "events/header_page", directory / "header_page")
        for event in EVENTS:
            shutil.copyfile(INSTANCE / "events" / event / "format", directory / event.partition("/")[2])
        for number, script in enumerate(scripts, start=1):
            if number == len(scripts):
                put("buffer_size_kb", "4")
            record(directory, number, script)
    finally:
        INSTANCE.rmdir()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
