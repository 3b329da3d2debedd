"""Runs tests in a forked process for each request, so that libraries are imported once.

A request is a line of JSON on stdin: the paths of tests, and after how many seconds they hang. The answer is a line on
stdout: `killed` if a test failed, `survived` if all passed, `hung`.
"""

import json
import os
import resource
import select
import signal
import sys

import hypothesis
import prometheus_client
import prometheus_client.parser
import psutil
import pytest

PRELOADED = (hypothesis, prometheus_client, psutil)
MEMORY_BYTES = 4 << 30


def child(tests: list[str]) -> int:
    """Run the tests until one fails; what they print goes nowhere."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    # Of a plugin that is imported already pytest warns, and warnings are errors.
    quiet = ("-q", "--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning")
    return int(pytest.main(["-x", *quiet, "-p", "no:xdist", *tests]))


def verdict(tests: list[str], seconds: float) -> str:
    """What becomes of a run of tests in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = child(tests)
        finally:
            os._exit(code)
    watched = os.pidfd_open(pid)
    ended, _, _ = select.select([watched], [], [], seconds)
    os.close(watched)
    if not ended:
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not ended:
        return "hung"
    return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"


def main() -> None:
    sys.dont_write_bytecode = True  # a file changes twice within one tick of its time
    for line in sys.stdin:
        request = json.loads(line)
        print(verdict(request["tests"], request["seconds"]), flush=True)


if __name__ == "__main__":
    main()
