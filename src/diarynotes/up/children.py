"""The processes of `up`: how one is started and stopped. When it is started again is known in `keeping`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from diarynotes.errors import StorageFailed


class Child:
    """One process: what `diarynotes.up.child` does by that name, with these arguments. Its words go to `log`."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Raises: StorageFailed where its log cannot be written, or the machine makes no process now."""
        self._close_pipe()
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "diarynotes.up.child", self.name, *self._arguments],
                    env={**os.environ, **self._environment},
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for us, who stop them in order
                )
        except OSError as error:
            raise StorageFailed(error.filename or f"the {self.name}", error.strerror or str(error)) from error

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
