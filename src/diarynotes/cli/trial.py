"""One engine over decoded clips, in a process of its own: what it heard, how fast, and in how much memory.

The process makes the memory the engine's alone: what another engine, or this process, has loaded does not count.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]

from diarynotes.audio import Decoded
from diarynotes.errors import DiarynotesError, EngineFailed
from diarynotes.models import SAMPLE_RATE, Span, Window
from diarynotes.telemetry import forbid_telemetry
from diarynotes.transcribe import Care, Engine, Heard, HeardResult, Opening, transcribe_recordings
from diarynotes.transcribe.preprocess import apply_steps

_SAMPLE_EVERY_S = 0.05
"""How often memory is looked at."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A decoded clip, its samples still in a spool file, where somebody speaks in it, and how it is preprocessed."""

    file: str
    decoded: Decoded
    spans: tuple[Span, ...]
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """What an engine made of the clips, by file; `seconds` is what that took once the engine was loaded."""

    engine: str
    model: str
    results: tuple[HeardResult, ...]
    seconds: float


def try_engine(
    opening: Opening, clips: Sequence[Clip], *, spool: Path, progress: Callable[[str], object] = str
) -> tuple[Trial, int]:
    """What came of it, and the peak memory in bytes of the engine's process with all its children.

    Pages that processes share count once where the system tells (Linux); memory of a GPU does not count. `spool` is the
    folder of the clips' samples: should this process be killed, the other one deletes it. `progress` is told the file
    of each clip that was heard. Raises what opening the engine raises, and EngineFailed when its process dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_listen, args=(theirs, opening, clips, spool))
    process.start()
    theirs.close()
    try:
        peak_bytes = 0
        answer: str | Trial | DiarynotesError = ""
        while isinstance(answer, str):
            peak_bytes = max(peak_bytes, _measure_memory(process.pid))
            if ours.poll(_SAMPLE_EVERY_S):
                answer = ours.recv()
                if isinstance(answer, str):
                    progress(answer)
    except EOFError as error:
        raise EngineFailed(opening.name, "its process died") from error
    finally:
        process.terminate()
        process.join()
        ours.close()
    if isinstance(answer, DiarynotesError):
        raise answer
    return answer, peak_bytes


def _listen(answers: Connection, opening: Opening, clips: Sequence[Clip], spool: Path) -> None:
    """What the process of its own does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it
    threading.Thread(target=_leave_with_parent, args=(spool,), daemon=True).start()
    os.dup2(2, 1)  # libraries may print; stdout belongs to the command
    forbid_telemetry()
    try:
        engine = opening.open()
        try:
            answers.send(_time(engine, clips, answers.send))
        finally:
            engine.close()
    except DiarynotesError as error:
        answers.send(error)


def _leave_with_parent(spool: Path) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    shutil.rmtree(spool, ignore_errors=True)  # nobody's voice is left behind
    os._exit(1)


def _time(engine: Engine, clips: Sequence[Clip], progress: Callable[[str], object]) -> Trial:
    heard = [Heard(clip.file, clip.decoded.open(keep=True), clip.spans, steps=clip.steps) for clip in clips]
    silence = np.zeros(SAMPLE_RATE, np.float32)
    apply_steps(silence, sorted({step for clip in clips for step in clip.steps}))  # what they need is imported now
    with suppress(EngineFailed):
        engine.decode([Window("warm-up", 0, 0.0, silence, (Span(0.0, 1.0),))])  # some load when they are first used
    begun = time.perf_counter()
    results: list[HeardResult] = []
    for result in transcribe_recordings(engine, heard, care=Care(untrusted_below=0.0)):  # bad text is scored as well
        results.append(result)
        progress(result[0])
    return Trial(engine.name, engine.model, tuple(results), time.perf_counter() - begun)


def _measure_memory(pid: int | None) -> int:
    total_bytes = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total_bytes += _measure_process(process)
    return total_bytes


def _measure_process(process: psutil.Process) -> int:
    with suppress(psutil.AccessDenied, AttributeError):
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)
