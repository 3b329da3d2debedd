"""The daemon's side: runs the examiner process for a batch of modules and caches its answers.

The process is killed when it takes too long or writes too much. When it dies at a file, the answer for that file names
the reason, and another process continues with the next file. Answers are cached with the stamp of the file: an
unchanged file is not read again.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from kmodmon.events.codec import ShapeError
from kmodmon.examiner.boot import open_image
from kmodmon.examiner.protocol import (
    ANSWER_LIMIT,
    Closing,
    ExamineRequest,
    ExaminerError,
    Same,
    WantedModule,
    encode_request,
    parse_answer,
)
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.subjects.module_file import ModuleFile, SignatureFacts
from kmodmon.types.units import JsonObject

_MAX_DEATHS = 3
_MAX_CACHE = 4096
_STDERR_LIMIT = 4096
_REFUSED = 2
_DYING = 0.5  # seconds until a killed process is left behind
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Examined files by the requested module name or path, and what could not be read."""

    files: Mapping[str, ModuleFile] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Examiner:
    """Examines module files of one host. `places` is a request without modules, which holds the paths and limits."""

    places: ExamineRequest
    timeout: float = 120.0  # seconds, for one batch
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "kmodmon.examiner")
    _cache: dict[str, ModuleFile] = field(default_factory=dict)
    _kernel: JsonObject | None = None
    _trust: str = ""

    async def examine(self, modules: Iterable[WantedModule] = (), files: Iterable[str] = ()) -> Examination:
        """Examine loaded modules and files; raises ExaminerError when the process cannot work at all.

        Files that were not reached in time are missing from the result, and `problems` says so.
        """
        wanted = tuple(self._with_knowledge(module) for module in modules)
        request = replace(self.places, modules=wanted, files=tuple(files), kernel=self._kernel, trust=self._trust)
        results: dict[str, ModuleFile] = {}
        problems: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(self.timeout):
                problems = await self._until_closed(request, results)
        except TimeoutError:
            missing = len(wanted) + len(request.files) - len(results)
            problems = (f"examining took more than {self.timeout:g} s, {missing} files were not reached",)
        self._remember(results)
        return Examination(files=MappingProxyType(results), problems=problems)

    async def _until_closed(self, request: ExamineRequest, files: dict[str, ModuleFile]) -> tuple[str, ...]:
        """Run processes until one sends its closing answer; a file at which one dies gets an answer with the reason."""
        fruitless = 0
        for _ in range(_MAX_DEATHS):
            before = len(files)
            closing, why = await self._run(request, files)
            if closing is not None:
                self._kernel, self._trust = closing.kernel, closing.trust
                return closing.problems
            fruitless = fruitless + 1 if len(files) == before else 0
            if fruitless > 1:
                raise ExaminerError(why)
            request, has_more = _after_death(request, files, why)
            if not has_more:
                return (why,)
        return (f"given up: {why}",)

    async def _run(self, request: ExamineRequest, files: dict[str, ModuleFile]) -> tuple[Closing | None, str]:
        """Run one process and add its answers to `files`. Without a closing answer the text says how it ended."""
        image = open_image(request.host, request.release)
        if image is not None:
            request = replace(request, image_path=image[0], image_fd=image[1])
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")))),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command, env=environment, limit=ANSWER_LIMIT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                pass_fds=() if image is None else image[1:],
            )  # fmt: skip
        except OSError as error:
            raise ExaminerError(f"cannot start the examiner: {error}") from error
        finally:
            if image is not None:
                os.close(image[1])
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read(_STDERR_LIMIT))
        try:
            closing = await _talk(process, request, files, self._cache)
            code = await process.wait()
        finally:
            # also when cancelled: the process must not outlive its request
            message = await _ended(process, errors)
        if closing is None and code == _REFUSED:
            raise ExaminerError(f"the examiner refused the request: {message}")
        return closing, _ending(code, message)

    def _with_knowledge(self, wanted: WantedModule) -> WantedModule:
        cached = self._cache.get(wanted.name)
        if cached is None or (wanted.build_id, wanted.srcversion) != _identity(wanted, cached):
            return wanted
        return replace(wanted, known_path=cached.path, known_stamp=cached.stamp)

    def _remember(self, files: Mapping[str, ModuleFile]) -> None:
        self._cache.update(files)
        self._trust = self._trust or next((file.trust for file in files.values() if file.trust), "")
        for name in list(self._cache)[: max(0, len(self._cache) - _MAX_CACHE)]:
            del self._cache[name]


def _identity(wanted: WantedModule, cached: ModuleFile) -> tuple[str | None, str | None]:
    """Give build-id and srcversion as far as both sides have them; another build of that name is examined anew."""
    build = wanted.build_id if cached.build_id is None or wanted.build_id is None else cached.build_id
    source = wanted.srcversion if cached.srcversion is None or wanted.srcversion is None else cached.srcversion
    return build, source


async def _talk(
    process: asyncio.subprocess.Process,
    request: ExamineRequest,
    files: dict[str, ModuleFile],
    cache: Mapping[str, ModuleFile],
) -> Closing | None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(encode_request(request))
    process.stdin.close()
    names = iter([*(module.name for module in request.modules), *request.files])
    try:
        while line := await process.stdout.readline():
            answer = parse_answer(line)
            if isinstance(answer, Closing):
                return answer
            name = next(names)
            files[name] = cache[name] if isinstance(answer, Same) else answer
    except (ShapeError, ValueError, KeyError, StopIteration) as error:
        raise ExaminerError(f"the examiner said something else than an answer: {error}") from error
    return None


async def _ended(process: asyncio.subprocess.Process, errors: asyncio.Task[bytes]) -> str:
    """Kill the process if it still runs; the last line that it wrote to stderr."""
    if process.returncode is None:
        process.kill()
        with contextlib.suppress(TimeoutError):  # it waits in the kernel uninterruptibly: it ends when that ends
            await asyncio.wait_for(process.wait(), _DYING)
    await asyncio.wait((errors,), timeout=_DYING)
    return errors.result().decode("utf-8", "replace").strip().rpartition("\n")[2] if errors.done() else ""


def _ending(code: int, message: str) -> str:
    if code < 0:
        return f"the examiner died of {signal.Signals(-code).name} at this file"
    return f"the examiner ended with {code} at this file: {message}"


def _after_death(request: ExamineRequest, files: dict[str, ModuleFile], why: str) -> tuple[ExamineRequest, bool]:
    """Record the reason for the first file without an answer, and give the request for the files after it."""
    names = [*(module.name for module in request.modules), *request.files]
    missing = [name for name in names if name not in files]
    if not missing:
        return request, False
    facts = SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason=why, errno="?")
    files[missing[0]] = ModuleFile(name=missing[0], signature=facts, problem=why)
    rest = set(missing[1:])
    modules = tuple(module for module in request.modules if module.name in rest)
    return replace(request, modules=modules, files=tuple(path for path in request.files if path in rest)), bool(rest)
