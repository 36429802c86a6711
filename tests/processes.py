"""Processes that tests start."""

from __future__ import annotations

import subprocess
from typing import Any


def end_process(process: subprocess.Popen[Any]) -> None:
    """Ends it if it is still there, and lets go of its pipes, whatever has become of the test."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
