"""How tests wait for what must happen: at once where it has happened, and far longer than any machine needs for it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

PATIENCE_S = 300.0
"""Only what never comes takes so long; a busy machine is no fault of the product's."""

Found = TypeVar("Found")


def wait_for(look: Callable[[], Found], what: str = "it", *, process: subprocess.Popen[Any] | None = None) -> Found:
    """What `look` finds, as soon as it finds something; `process`, which is to bring it about, must not end before."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        ended = process is not None and process.poll() is not None
        if found := look():
            return found
        assert not ended, f"the process ended, and {what} never came true"
        assert time.monotonic() < give_up_at, f"{what} never came true"
        time.sleep(0.01)
