"""An engine that a loud window kills and a deep one hangs; a child imports it from here by name."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

from diarynotes.models import Window, WindowText
from diarynotes.testing import ScriptedEngine


class Deadly(ScriptedEngine):
    def __init__(self, batch_size: int) -> None:
        super().__init__(batch_size=batch_size)

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        if any(window.samples.max() > 0.9 for window in windows):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(window.samples.min() < -0.9 for window in windows):
            threading.Event().wait()
        return super().decode(windows)
