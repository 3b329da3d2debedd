"""The daemon's side: runs the examiner process for a batch of modules and remembers what it learnt.

The process is killed when it takes too long or says too much. When it dies at a file, that file's answer says so, and
another process goes on after it. What was answered is kept by file stamp: an unchanged file is not read again.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from kmodmon.events.codec import ShapeError
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
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """Files by the name that was asked for (paths, for files asked for), and what could not be read."""

    files: Mapping[str, ModuleFile] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Examiner:
    """Examines module files of one host. `places` is a request without modules: where things are."""

    places: ExamineRequest
    timeout: float = 120.0  # seconds, for one batch
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "kmodmon.examiner")
    _cache: dict[str, ModuleFile] = field(default_factory=dict)
    _kernel: JsonObject | None = None
    _trust: str = ""

    async def examine(self, modules: Iterable[WantedModule] = (), files: Iterable[str] = ()) -> Examination:
        """Examine loaded modules and files; raises ExaminerError when the process cannot do its work at all.

        What was not reached in time is missing from the answer, and the problems say so.
        """
        asked = tuple(self._with_knowledge(one) for one in modules)
        request = replace(self.places, modules=asked, files=tuple(files), kernel=self._kernel, trust=self._trust)
        found: dict[str, ModuleFile] = {}
        problems: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(self.timeout):
                problems = await self._until_closed(request, found)
        except TimeoutError:
            missing = len(asked) + len(request.files) - len(found)
            problems = (f"examining took more than {self.timeout:g} s, {missing} files were not reached",)
        self._remember(found)
        return Examination(files=MappingProxyType(found), problems=problems)

    async def _until_closed(self, request: ExamineRequest, found: dict[str, ModuleFile]) -> tuple[str, ...]:
        """Run processes until one ends well; a file at which one died is blamed and left out."""
        fruitless = 0
        for _ in range(_MAX_DEATHS):
            before = len(found)
            closing, why = await self._run(request, found)
            if closing is not None:
                self._kernel, self._trust = closing.kernel, closing.trust
                return closing.problems
            fruitless = fruitless + 1 if len(found) == before else 0
            if fruitless > 1:
                raise ExaminerError(why)
            request, left = _after_death(request, found, why)
            if not left:
                return (why,)
        return (f"given up: {why}",)

    async def _run(self, request: ExamineRequest, found: dict[str, ModuleFile]) -> tuple[Closing | None, str]:
        """Run one process; fills `found`. Without a closing answer the text says how it ended."""
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")))),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command, env=environment, limit=ANSWER_LIMIT,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise ExaminerError(f"cannot start the examiner: {error}") from error
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read(_STDERR_LIMIT))
        try:
            closing = await _talk(process, request, found, self._cache)
            code = await process.wait()
        finally:
            # also when cancelled: the process must not outlive the question
            if process.returncode is None:
                process.kill()
                await process.wait()
            said = (await errors).decode("utf-8", "replace").strip().rpartition("\n")[2]
        if closing is None and code == _REFUSED:
            raise ExaminerError(f"the examiner refused the request: {said}")
        return closing, _ending(code, said)

    def _with_knowledge(self, wanted: WantedModule) -> WantedModule:
        known = self._cache.get(wanted.name)
        if known is None or (wanted.build_id, wanted.srcversion) != _identity(wanted, known):
            return wanted
        return replace(wanted, known_path=known.path, known_stamp=known.stamp)

    def _remember(self, found: Mapping[str, ModuleFile]) -> None:
        self._cache.update(found)
        self._trust = self._trust or next((file.trust for file in found.values() if file.trust), "")
        for name in list(self._cache)[: max(0, len(self._cache) - _MAX_CACHE)]:
            del self._cache[name]


def _identity(wanted: WantedModule, known: ModuleFile) -> tuple[str | None, str | None]:
    """The identity as far as both sides have it: another build of the same name is looked for anew."""
    build = wanted.build_id if known.build_id is None or wanted.build_id is None else known.build_id
    source = wanted.srcversion if known.srcversion is None or wanted.srcversion is None else known.srcversion
    return build, source


async def _talk(
    process: asyncio.subprocess.Process,
    request: ExamineRequest,
    found: dict[str, ModuleFile],
    cache: Mapping[str, ModuleFile],
) -> Closing | None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(encode_request(request))
    process.stdin.close()
    names = iter([*(one.name for one in request.modules), *request.files])
    try:
        while line := await process.stdout.readline():
            answer = parse_answer(line)
            if isinstance(answer, Closing):
                return answer
            name = next(names)
            found[name] = cache[name] if isinstance(answer, Same) else answer
    except (ShapeError, ValueError, KeyError, StopIteration) as error:
        raise ExaminerError(f"the examiner said something else than an answer: {error}") from error
    return None


def _ending(code: int, said: str) -> str:
    if code < 0:
        return f"the examiner died of {signal.Signals(-code).name} at this file"
    return f"the examiner ended with {code} at this file: {said}"


def _after_death(request: ExamineRequest, found: dict[str, ModuleFile], why: str) -> tuple[ExamineRequest, bool]:
    """Blame the first file without an answer, and ask for the rest."""
    names = [*(one.name for one in request.modules), *request.files]
    left = [name for name in names if name not in found]
    if not left:
        return request, False
    facts = SignatureFacts(verdict=SignatureStatus.UNKNOWN, reason=why, errno="?")
    found[left[0]] = ModuleFile(name=left[0], signature=facts, problem=why)
    rest = set(left[1:])
    modules = tuple(one for one in request.modules if one.name in rest)
    return replace(request, modules=modules, files=tuple(path for path in request.files if path in rest)), bool(rest)
