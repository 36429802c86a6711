"""An engine that dies or hangs in its process, seen from the recordings: one is set aside, its neighbours land."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from diarynotes import observe
from diarynotes.errors import EngineFailed
from diarynotes.models import SAMPLE_RATE, Audio, Media, Span, Transcript
from diarynotes.transcribe import Heard, transcribe_recordings
from diarynotes.transcribe.process import Patience, ProcessEngine


def make_heard(name: str, level: float = 0.1) -> Heard:
    pcm = np.full(3 * SAMPLE_RATE, round(level * 32767), np.int16)
    pcm[0] = sum(name.encode())  # so that each is heard as something else
    return Heard(name, Audio(pcm, Media("wav", "pcm_s16le", 3.0, SAMPLE_RATE, 1)), (Span(0.0, 3.0),))


def transcribe(
    monkeypatch: pytest.MonkeyPatch, heard: Sequence[Heard], *, batch_size: int, window_s: float
) -> dict[str, object]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import deadly_engines

    opening = partial(deadly_engines.Deadly, batch_size)
    with closing(ProcessEngine(opening, name="deadly", model="lines", patience=Patience(window_s=window_s))) as engine:
        return dict(transcribe_recordings(engine, heard))


def test_the_culprit_that_kills_an_engine_is_found_and_its_neighbours_land(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = [make_heard(f"note {number}", 0.99 if number == 5 else 0.1) for number in range(10)]

    results = transcribe(monkeypatch, heard, batch_size=8, window_s=60.0)

    failed = {name: result for name, result in results.items() if not isinstance(result, Transcript)}
    assert list(failed) == ["note 5"]
    assert isinstance(failed["note 5"], EngineFailed)
    assert "died" in str(failed["note 5"])
    assert len(results) == 10


def test_the_culprit_that_hangs_an_engine_is_found_and_its_neighbours_land(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    heard = [make_heard("deep", -0.99), make_heard("plain"), make_heard("other")]

    with observe.listening(lambda event: told.append(event.name)):
        results = transcribe(monkeypatch, heard, batch_size=2, window_s=5.0)

    assert isinstance(results["deep"], EngineFailed)
    assert isinstance(results["plain"], Transcript)
    assert isinstance(results["other"], Transcript)
    assert "batch_halved" not in told  # it was not the number of them
