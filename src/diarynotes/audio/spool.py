"""Files of decoded samples on their way between processes: written block by block, swept after a crash.

Knows frames as PyAV makes them and a folder; knows nothing of formats, limits other than length, or what comes next.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from diarynotes.errors import StorageFailed, TooLong
from diarynotes.models import SAMPLE_RATE

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

_SUFFIX = ".pcm"
_MAX_AGE_S = 3600.0


def sweep_spool(spool: Path) -> int:
    """Deletes what killed processes left in the spool folder and says how many files that were.

    A file goes when the process it was written for is dead, or when it is over an hour old. The folder must not be
    shared between machines.
    """
    swept = 0
    for path in spool.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):  # another process may sweep at the same time
            if not _is_alive(path.name.split("-")[0]) or time.time() - path.stat().st_mtime > _MAX_AGE_S:
                path.unlink()
                swept += 1
    return swept


class Sink:
    """A new spool file that takes frames of any kind as mono 16 kHz; it is deleted unless `finish` was reached."""

    def __init__(self, spool: Path, max_duration_s: float) -> None:
        parent = multiprocessing.parent_process()
        owner = parent.pid if parent else os.getpid()
        self._path = spool / f"{owner}-{uuid.uuid4().hex}{_SUFFIX}"
        self._max_duration_s = max_duration_s
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._samples = 0
        self._finished = False
        with self._storing():
            spool.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb", buffering=1 << 20)

    @property
    def duration_s(self) -> float:
        return self._samples / SAMPLE_RATE

    def write(self, frame: AudioFrame) -> None:
        """Appends one frame. Raises: TooLong once there is more than the limit; StorageFailed; av.FFmpegError for a
        frame that makes no sense, which is then left out."""
        import av

        shape = frame.format.name, frame.layout.name, frame.sample_rate
        if shape != self._shape:  # damaged files change it midway
            self.flush()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            self._shape = shape
        frame.pts = None  # nothing is to be cut or filled because of time stamps
        try:
            self._append(frame)
        except av.FFmpegError:
            self._resampler = self._shape = None  # it is in no state to go on
            raise

    def flush(self) -> None:
        """Appends what the resampler still holds."""
        if self._resampler is not None:
            self._append(None)
            self._resampler = self._shape = None

    def finish(self) -> Path:
        """Makes the file final and returns its path."""
        with self._storing():
            self._file.close()
        self._finished = True
        return self._path

    def _append(self, frame: AudioFrame | None) -> None:
        assert self._resampler is not None
        for block in self._resampler.resample(frame):
            self._samples += block.samples
            with self._storing():
                self._file.write(memoryview(block.planes[0])[: 2 * block.samples])
        if self.duration_s > self._max_duration_s:
            raise TooLong(self.duration_s, self._max_duration_s)

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageFailed(str(self._path.parent), error.strerror or "cannot be written") from error

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._finished:
            with contextlib.suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
