"""The workers of chaos as their maker sees them: forked off a nursery on demand, each with a log of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.chaos.worker import READY

_PATIENCE_S = 240.0


@dataclass
class WorkerProcess:
    """A worker by its number; it is `up` once it has opened all that it needs."""

    number: int
    pid: int
    log: Path
    frozen: bool = False

    @property
    def up(self) -> bool:
        return self.status is None and not self.frozen and READY.encode() in self.log.read_bytes()

    @property
    def status(self) -> int | None:
        """None while it lives; its nursery writes down how it ended."""
        with suppress(FileNotFoundError, ValueError):
            return int(self.log.with_suffix(".status").read_text())
        return None

    def wait(self) -> int:
        end = time.monotonic() + _PATIENCE_S
        while (status := self.status) is None:
            assert time.monotonic() < end, f"worker {self.number} does not end"
            time.sleep(0.02)
        return status


class Nursery:
    """The process that workers are forked off, in `environment`; logs go into `folder`. See `worker.nurse`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        with (folder / "nursery.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.chaos.worker"],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=Path(__file__).parents[3],
            )
        assert self._hear() == READY

    def hatch(self, number: int, environment: Mapping[str, str]) -> WorkerProcess:
        """A worker under this number, with what it has in its environment beside the nursery's own."""
        log = self._folder / f"worker-{number}.log"
        log.touch()
        asked = {"stop": str(self._folder / "stop"), "log": str(log), "environment": dict(environment)}
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(asked)}\n")
        self._process.stdin.flush()
        return WorkerProcess(number, int(self._hear()), log)

    def close(self) -> None:
        """Ends the nursery; workers that it left end in order soon after."""
        if self._process.poll() is None:
            self._process.communicate()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
