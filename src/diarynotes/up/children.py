"""Processes that are to run for as long as we do: started, started again when they end, and stopped in order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from diarynotes.errors import StorageFailed

_PATIENCE_S = (1.0, 2.0, 5.0, 15.0, 30.0)
"""How long to wait before a process that ended is started again; the last one for ever."""
_STEADY_S = 60.0
"""One that has run for so long is started again as if it had never failed."""


class Child:
    """One process by its name; `command` are the arguments of `diarynotes.up.child`. Its words go to `log`."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0
        self._due_at: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Raises: StorageFailed where its log cannot be written."""
        try:
            log = self.log.open("ab")
        except OSError as error:
            raise StorageFailed(str(self.log), error.strerror or str(error)) from error
        self._close_pipe()
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "diarynotes.up.child", *self._command],
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, who stop them in order
            )
        self._started_at = time.monotonic()
        self._due_at = None

    def look_after(self) -> float | None:
        """Starts it again where it is time to. In how many seconds it will be, when it is found to have ended."""
        if self.is_running:
            return None
        now = time.monotonic()
        if self._due_at is None:
            self._failures = 0 if now - self._started_at > _STEADY_S else self._failures
            patience_s = _PATIENCE_S[min(self._failures, len(_PATIENCE_S) - 1)]
            self._failures += 1
            self._due_at = now + patience_s
            return patience_s
        if now >= self._due_at:
            self.start()
        return None

    def tell_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def stop(self, patience_s: float) -> None:
        """Ends it, by force after `patience_s`."""
        if self._process is None:
            return
        self.tell_to_stop()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close_pipe()

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
