"""Warm processes that run flows one after another: started before they are needed, replaced when they have ended.

Knows processes and pipes. What they run, and what Prefect is told of it, is known in `residence` and `resident`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

_log = logging.getLogger("diarynotes.flows")

_READY_S = 300.0
_LEAVE_S = 5.0
"""How long a process may take to hand back its work before it is killed."""
_MOST_TRIES = 3
_PATIENCE_S = 2.0
"""How long to wait before another one is started where one did not come up."""
MOST_RUNS = 200
"""After so many runs a process is replaced, so that what a library leaks does not add up."""
MOST_GROWTH_BYTES = 1 << 30
"""Or when it has grown by so much since its first run."""


class ResidentDied(Exception):
    """The process ended before it had begun the run that it was given, so that another one may have it."""


class Resident:
    """One warm process. It ends when this one does: it reads a pipe that closes with us."""

    def __init__(self, process: asyncio.subprocess.Process, answers: asyncio.StreamReader) -> None:
        self.process = process
        self._answers = answers
        self._runs = 0
        self._first_bytes = 0
        self.is_worn = False
        """Whether it should not get another run."""

    @classmethod
    async def start(cls, environment: Mapping[str, str]) -> Resident:
        """A process that has begun to import what flows need; `wait_ready` tells when it has."""
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "flows.residence", str(writing)),
                env=dict(environment),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(writing,),
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        answers = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(answers)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
        return cls(process, answers)

    async def wait_ready(self) -> None:
        """Raises: ResidentDied where it ended instead, or takes too long."""
        try:
            answer = await asyncio.wait_for(self._answer(), _READY_S)
        except TimeoutError:
            answer = None
        if answer is None:
            raise ResidentDied

    async def begin(self, order: Mapping[str, Any]) -> None:
        """Gives it a run; returns when it has begun. Raises: ResidentDied."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            await self.process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise ResidentDied from error
        if await self._answer() is None:
            raise ResidentDied

    async def finish(self) -> int:
        """The exit code of the run when it has ended: the process's own where it ended with it."""
        answer = await self._answer()
        if answer is None:
            self.is_worn = True
            return await self.process.wait()
        self._runs += 1
        self._first_bytes = self._first_bytes or answer["memory_bytes"]
        grown_bytes = answer["memory_bytes"] - self._first_bytes
        self.is_worn = bool(answer["code"]) or self._runs >= MOST_RUNS or grown_bytes > MOST_GROWTH_BYTES
        return int(answer["code"])

    async def stop(self) -> None:
        """Lets it hand back its work, then ends it."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), _LEAVE_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    async def _answer(self) -> dict[str, Any] | None:
        """What it says next; None when it has ended."""
        line = await self._answers.readline()
        return json.loads(line) if line.endswith(b"\n") else None


class Residents:
    """At most `slots` processes, of which one waits for work as long as not all are at work.

    Work goes to whichever is ready first: to one that comes back, too, while another still starts.
    """

    def __init__(self, slots: int, environment: Mapping[str, str]) -> None:
        self._slots = slots
        self._environment = environment
        self._ready: list[Resident] = []
        """The last to come back is the first to get work."""
        self._failures = 0
        """How many did not come up so far."""
        self._changed = asyncio.Event()
        self._alive: set[Resident] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def keep_one_ready(self) -> None:
        """Starts a process where none waits for work and one more is allowed."""
        count = len(self._alive) + len(self._starting)
        if not self._ready and not self._starting and count < self._slots and not self._is_closed:
            self._starting.add(task := asyncio.create_task(self._start()))
            task.add_done_callback(self._starting.discard)

    @asynccontextmanager
    async def begun(self, order: Mapping[str, Any]) -> AsyncIterator[Resident]:
        """A process that has begun this run. It is kept for the next one when the block ends, unless it is worn."""
        resident = await self._begin(order)
        self.keep_one_ready()
        try:
            yield resident
        except BaseException:
            resident.is_worn = True
            raise
        finally:
            if resident.is_worn or self._is_closed:
                self._let_go(resident)
            else:
                self._take_back(resident)
            self.keep_one_ready()

    async def close(self) -> None:
        """Ends them all; what they were at is handed back."""
        self._is_closed = True
        for task in tuple(self._starting):
            task.cancel()
        for resident in tuple(self._alive):
            self._let_go(resident)
        await asyncio.gather(*self._starting, *self._stopping, return_exceptions=True)

    async def _begin(self, order: Mapping[str, Any]) -> Resident:
        for _ in range(_MOST_TRIES):
            self._drop_dead()
            self.keep_one_ready()
            resident = await self._next()
            if resident is None:
                await asyncio.sleep(_PATIENCE_S)
                continue
            try:
                await resident.begin(order)
            except ResidentDied:
                _log.warning("a process that was to run a flow had ended; another one is started")
                self._let_go(resident)
            except BaseException:
                self._let_go(resident)
                raise
            else:
                return resident
        raise RuntimeError("no process that runs flows could be started; the worker's log tells why")

    async def _next(self) -> Resident | None:
        """The next that is ready; None where one that was to be did not come up while we waited."""
        failures = self._failures
        while not self._ready:
            if self._failures > failures:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._ready.pop()

    async def _start(self) -> None:
        try:
            resident = await Resident.start(self._environment)
            self._alive.add(resident)
            await self._wait_ready(resident)
        except (ResidentDied, OSError) as error:
            _log.warning("a process that runs flows did not come up (%s)", type(error).__name__)
            self._failures += 1
            self._changed.set()
        else:
            self._take_back(resident)

    async def _wait_ready(self, resident: Resident) -> None:
        try:
            await resident.wait_ready()
        except BaseException:
            self._let_go(resident)
            raise

    def _take_back(self, resident: Resident) -> None:
        self._ready.append(resident)
        self._changed.set()

    def _drop_dead(self) -> None:
        """Those that ended while they waited for work are no reason to give up a run."""
        for resident in [one for one in self._ready if one.process.returncode is not None]:
            self._ready.remove(resident)
            self._let_go(resident)

    def _let_go(self, resident: Resident) -> None:
        if resident in self._alive:
            self._alive.discard(resident)
            self._stopping.add(task := asyncio.create_task(resident.stop()))
            task.add_done_callback(self._stopping.discard)
