"""A command in a child process, so that the caller gets the exit code although a thread hangs in the kernel.

The kernel keeps a process until its last thread has ended, and a thread that waits for a lock uninterruptibly does not
end, not even by SIGKILL: a shell, cron or a monitoring system would wait for it. So the command runs in a child, which
says its exit code when it is done. The parent reads nothing that could hang, and waits no longer than for that.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

_REAP = 0.2  # seconds for a child that is done to end; one that hangs is left to init
_CANNOT = 3  # exit code, as of every command that could not do its work
_SIGNALLED = 128  # exit code of a child that a signal ended, as shells count


def run_in_child(command: Callable[[], int]) -> int:
    """Run a command in a child process and give its exit code."""
    receive, send = os.pipe()
    # Held back until there is somebody to pass them on: a parent that ended before would leave the child behind.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _run_and_answer(command, send)
    os.close(send)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child too, which answers it
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    answer = os.read(receive, 1)
    if not answer:
        status = os.waitpid(child, 0)[1]
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else _SIGNALLED + os.WTERMSIG(status)
    if select.select((receive,), (), (), _REAP)[0]:  # all its threads have closed their files, so none hangs
        os.waitpid(child, 0)
    return answer[0]


def _run_and_answer(command: Callable[[], int], send: int) -> NoReturn:
    try:
        code = command()
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        os._exit(_SIGNALLED + signal.SIGINT)
    except BaseException:  # noqa: BLE001 - this process must not go on as the parent would
        sys.excepthook(*sys.exc_info())
        os._exit(_CANNOT)
    os.write(send, bytes((code,)))
    os._exit(code)
