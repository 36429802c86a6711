from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LISTEN = """
import numpy as np
from diarynotes.models import Audio, Media
from diarynotes.transcribe.vad import find_speech
find_speech(Audio(np.zeros(32_000, np.int16), Media("wav", "pcm_s16le", 2.0, 16_000, 1)))
import data_checks
data_checks.warm_up()
"""


def test_no_library_marks_this_machine_to_report_on_it(tmp_path: Path) -> None:
    """onnxruntime keeps an id of the machine under the home as soon as it may report."""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", LISTEN], env=environment, check=True)
    assert not list((tmp_path / ".cache" / "Microsoft").rglob("*"))
