"""Small tools for processes."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from contextlib import suppress

import psutil

from diarynotes.telemetry import forbid_telemetry


def plain_environment() -> dict[str, str]:
    """This process's, without what would lead a child elsewhere or have it call home."""
    forbid_telemetry()
    strange = ("DIARYNOTES_", "PREFECT_API", "PREFECT_HOME", "AWS_", "OPENAI_", "ANTHROPIC_", "MISTRAL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, OSError):
        return False


def end_family(pid: int) -> None:
    """Kills a process and all that it started."""
    parent = psutil.Process(pid)
    for process in [*parent.children(recursive=True), parent]:
        with suppress(psutil.Error):
            process.kill()
