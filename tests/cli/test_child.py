"""A command in a child process: the caller sees what it would have seen of the command itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kmodmon.cli import VERBS, reads_once

TREE = Path(__file__).parent.parent / "trees/debian12-6.1-x86_64"
PROLOGUE = "import os, signal, sys, threading, time\nfrom kmodmon.cli.child import run_in_child\n"


def run(command: str) -> "subprocess.CompletedProcess[str]":
    code = f"{PROLOGUE}{command}\nsys.exit(run_in_child(command))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_command_when_it_ends_then_output_and_exit_code_are_its_own() -> None:
    done = run("def command():\n print('out'); print('err', file=sys.stderr); return 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_command_when_a_signal_ends_it_then_the_exit_code_says_which() -> None:
    assert run("def command():\n os.kill(os.getpid(), signal.SIGKILL)").returncode == 128 + signal.SIGKILL


def test_command_when_the_child_does_not_end_after_its_answer_then_it_is_left_behind() -> None:
    # As if a thread hung in the kernel: the process stays, with its end of the pipe.
    stays = "os._exit = lambda code: time.sleep(60)\nprint(os.getpid(), flush=True)\ndef command():\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{PROLOGUE}{stays} print(os.getpid()); return 3\nsys.exit(run_in_child(command))"],
        stdout=(read_write := os.pipe())[1],
        timeout=30,
        check=False,
    )
    os.close(read_write[1])
    child = int(os.read(read_write[0], 100).split()[-1])
    os.close(read_write[0])
    os.kill(child, signal.SIGKILL)  # it was there still
    assert done.returncode == 3


def test_command_when_the_caller_is_terminated_then_the_child_is_too() -> None:
    code = f"{PROLOGUE}def command():\n print(os.getpid(), flush=True); time.sleep(60)\nsys.exit(run_in_child(command))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_command_when_it_fails_by_a_fault_of_its_own_then_that_is_shown() -> None:
    code = f"{PROLOGUE}def command():\n raise LookupError('a fault')\nsys.exit(run_in_child(command))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3 and "LookupError: a fault" in done.stderr


def test_pipe_when_the_reader_of_a_command_is_gone_then_it_ends_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kmodmon", "modules", "--root", str(TREE)]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("name", ["status", "modules", "taint", "check", "baseline", "doctor", "metrics", "record"])
def test_verbs_when_they_read_the_host_then_they_run_in_a_child(name: str) -> None:
    assert reads_once([name, "--json"])


def test_verbs_when_they_read_no_host_or_go_on_then_they_do_not() -> None:
    assert not any(map(reads_once, ([], ["--version"], ["run"], ["events", "--follow"], ["export"], ["unknown"])))
    assert {verb.name for verb in VERBS if not verb.once} == {"run", "events", "explain", "handover", "export"}
