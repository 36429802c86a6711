"""Many recordings through one engine: their windows share batches, their texts are put together again.

While the engine hears one batch, the next one is made ready. Knows nothing of files, jobs or settings, nor of how an
engine works; `listening.py` knows what is still to be heard of each recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from diarynotes import observe
from diarynotes.errors import DiarynotesError, EngineFailed, EngineOutOfMemory
from diarynotes.models import RecordingId, Transcript, Window, WindowText
from diarynotes.transcribe.engine import Engine
from diarynotes.transcribe.listening import Ask, Care, Heard, Listening

HeardResult: TypeAlias = tuple[RecordingId, Transcript | DiarynotesError]
Second: TypeAlias = Callable[[], AbstractContextManager[Engine]]
"""Opens another engine, for what the first one cannot be trusted with."""
Texts: TypeAlias = Mapping[int, Sequence[WindowText]]
"""What was heard in windows, by their numbers, first things first."""
_Wanted: TypeAlias = tuple[Listening, Ask]
_Text: TypeAlias = WindowText | EngineFailed


class Notebook(Protocol):
    """Where what was heard of a recording is kept until its transcript is whole, so that it is never paid for twice.

    `key` stands for what its windows are and who hears them: texts of one key are worth nothing under another.
    """

    def recall(self, recording_id: RecordingId, key: str) -> Texts:
        """What was kept before; nothing is fine."""
        ...

    def keep(self, recording_id: RecordingId, key: str, texts: Texts, share_done: float) -> None:
        """What was just heard, and how much of the recording has been heard by now (0 to 1)."""
        ...


class NoNotebook:
    """Remembers nothing."""

    def recall(self, recording_id: RecordingId, key: str) -> Texts:  # noqa: ARG002
        return {}

    def keep(self, recording_id: RecordingId, key: str, texts: Texts, share_done: float) -> None:
        pass


def transcribe_recordings(
    engine: Engine,
    heard: Iterable[Heard],
    *,
    care: Care | None = None,
    notebook: Notebook | None = None,
    second: Second | None = None,
    stopping: Callable[[], bool] = bool,
) -> Iterator[HeardResult]:
    """What each recording says, or why it could not be transcribed, as soon as its last window is decoded.

    `heard` is taken one batch ahead of the engine. Windows of several recordings share a batch; what a batch consists
    of changes no text, and the failure of one recording leaves the others alone. `second` hears at the end what the
    first engine cannot be trusted with. Once `stopping` says so nothing more is decoded, and what is not complete is
    left out.

    In place of a transcript comes NoSpeech where nobody speaks or the engine hears no word, Untrusted where what it
    heard is not to be believed, EngineFailed where it failed on a window.
    """
    care, notebook = care or Care(), notebook or NoNotebook()
    in_doubt: list[Listening] = []
    for listening in _complete(engine, (_open(item, engine, care, notebook) for item in heard), notebook, stopping):
        if second is not None and listening.in_doubt:
            in_doubt.append(listening)
        else:
            yield listening.result()
    if second is not None and in_doubt and not stopping():
        with second() as other:
            turned = (listening.turn_to(other) for listening in in_doubt)
            for listening in _complete(other, turned, notebook, stopping):
                yield listening.result()


def _open(heard: Heard, engine: Engine, care: Care, notebook: Notebook) -> Listening:
    listening = Listening(heard, engine, care)
    listening.recall(notebook.recall(heard.recording_id, listening.key))
    return listening


def _complete(
    engine: Engine, listenings: Iterable[Listening], notebook: Notebook, stopping: Callable[[], bool]
) -> Iterator[Listening]:
    """Each listening when nothing more is to be heard of it."""
    line = _Line(engine, listenings, notebook)
    try:
        yield from line.run(stopping)
    finally:
        line.close()


class _Line:
    """Windows wait in a queue, one batch of them is with the engine, complete listenings come out."""

    def __init__(self, engine: Engine, listenings: Iterable[Listening], notebook: Notebook) -> None:
        self._engine = engine
        self._fresh = iter(listenings)
        self._notebook = notebook
        self._queue: deque[_Wanted] = deque()
        self._limit: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def run(self, stopping: Callable[[], bool]) -> Iterator[Listening]:
        flying: tuple[list[_Wanted], Future[list[_Text]]] | None = None
        while not stopping():
            yield from self._fill()
            batch = self._take()
            windows = [listening.cut(ask) for listening, ask in batch]
            landed = (flying[0], flying[1].result()) if flying else None
            flying = (batch, self._thread.submit(self._decode, windows)) if batch else None
            if landed:
                yield from self._settle(*landed)
            elif not batch:
                return

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def _size(self) -> int:
        return min(self._engine.batch_size, self._limit or self._engine.batch_size)

    def _fill(self) -> Iterator[Listening]:
        """Take on recordings until there is a batch of windows."""
        while len(self._queue) < self._size and (listening := next(self._fresh, None)) is not None:
            yield from self._ask(listening)

    def _ask(self, listening: Listening) -> Iterator[Listening]:
        """Queue what is to be heard next of it; with nothing left it is complete."""
        self._queue.extend((listening, ask) for ask in listening.next_asks())
        if listening.is_complete:
            yield listening

    def _take(self) -> list[_Wanted]:
        batch: list[_Wanted] = []
        while self._queue and len(batch) < self._size:
            listening, ask = self._queue.popleft()
            if listening.error is None:
                batch.append((listening, ask))
        return batch

    def _settle(self, batch: Sequence[_Wanted], texts: Sequence[_Text]) -> Iterator[Listening]:
        touched: dict[int, tuple[Listening, dict[int, list[WindowText]]]] = {}
        for (listening, ask), text in zip(batch, texts, strict=True):
            listening.add(ask, text)
            _, news = touched.setdefault(id(listening), (listening, {}))
            if not isinstance(text, EngineFailed):
                news.setdefault(ask.number, []).append(text)
        for listening, news in touched.values():
            if listening.is_complete:  # it failed in the batch before, when this one was already with the engine
                continue
            if listening.awaits_nothing:
                yield from self._ask(listening)
            if news and not listening.is_complete:
                self._notebook.keep(listening.recording_id, listening.key, news, listening.share_done)

    def _decode(self, windows: Sequence[Window]) -> list[_Text]:
        """All windows in one batch; where that fails, each half by itself, so that a bad one hurts no other."""
        try:
            return list(self._engine.decode(windows))
        except EngineFailed as error:
            if len(windows) == 1:
                return [error]
            half = len(windows) // 2
            parts = [*self._decode(windows[:half]), *self._decode(windows[half:])]
            if isinstance(error, EngineOutOfMemory) or not any(isinstance(part, EngineFailed) for part in parts):
                self._limit = min(self._size, len(windows) - half)  # it was the number of them
                observe.batch_halved(self._engine.name, self._limit)
            return parts
