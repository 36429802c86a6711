"""Many recordings through one engine: their windows share batches, their texts are put together again.

Knows nothing of files, jobs or settings, nor of how an engine works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import diarynotes.transcribe.trust as trust
from diarynotes.errors import DiarynotesError, EngineFailed, NoSpeech
from diarynotes.models import Audio, RecordingId, Segment, Span, Transcript, Window, WindowText
from diarynotes.transcribe.engine import Engine
from diarynotes.transcribe.windows import cut_windows, group_spans, stitch


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording ready to be transcribed: its audio and where somebody speaks in it (`vad.find_speech`)."""

    recording_id: RecordingId
    audio: Audio
    spans: tuple[Span, ...]


HeardResult: TypeAlias = tuple[RecordingId, Transcript | DiarynotesError]


def transcribe_recordings(engine: Engine, heard: Iterable[Heard]) -> Iterator[HeardResult]:
    """What each recording says, or why it could not be transcribed, as soon as its last window is decoded.

    `heard` is consumed only as fast as the engine decodes. Windows of several recordings share a batch; the failure
    of one recording leaves the others alone. NoSpeech where nobody speaks or the engine hears no word.
    """
    queue: list[_Queued] = []
    for item in heard:
        tally = _Tally(item)
        if not tally.left:
            yield tally.result(engine)
        for window in cut_windows(item.recording_id, item.audio, item.spans):
            queue.append((tally, window))
            if len(queue) >= engine.batch_size:
                yield from _decode(engine, queue)
                queue = []
    yield from _decode(engine, queue)


class _Tally:
    """What is known of one recording so far; it keeps no audio."""

    def __init__(self, item: Heard) -> None:
        self.recording_id = item.recording_id
        self.duration_s = item.audio.duration_s
        self.speech_s = sum(span.end_s - span.start_s for span in item.spans)
        self.left = len(group_spans(item.spans))
        self.segments: list[Segment] = []
        self.languages: dict[str, int] = {}
        self.error: EngineFailed | None = None

    def add(self, window: Window, text: WindowText | EngineFailed) -> None:
        self.left -= 1
        if isinstance(text, EngineFailed):
            self.error = self.error or text
            return
        self.segments += stitch([window], [text])
        if text.language:
            self.languages[text.language] = self.languages.get(text.language, 0) + len(text.text)

    def result(self, engine: Engine) -> HeardResult:
        if self.error is not None:
            return self.recording_id, self.error
        if not self.segments:
            return self.recording_id, NoSpeech()
        language = max(self.languages, key=self.languages.__getitem__) if self.languages else "und"
        score, reasons = trust.score(
            self.segments,
            speech_s=self.speech_s,
            duration_s=self.duration_s,
            language=language,
            degraded=engine.degraded,
        )
        id_ = Transcript.identify(self.recording_id, engine.name, engine.model, engine.settings)
        segments = tuple(self.segments)
        return self.recording_id, Transcript(
            id_, self.recording_id, engine.name, engine.model, language, segments, score, reasons, engine.degraded
        )


_Queued: TypeAlias = tuple[_Tally, Window]


def _decode(engine: Engine, queue: Sequence[_Queued]) -> Iterator[HeardResult]:
    """Decode the queued windows; yield the recordings that are complete with them."""
    queued = [(tally, window) for tally, window in queue if tally.error is None]
    texts = iter(_decode_apart(engine, [window for _, window in queued]))
    for tally, window in queue:
        tally.add(window, next(texts) if tally.error is None else tally.error)
        if not tally.left:
            yield tally.result(engine)


def _decode_apart(engine: Engine, windows: Sequence[Window]) -> list[WindowText | EngineFailed]:
    """All windows in one batch; where that fails, each alone, so that a bad one hurts no other."""
    if not windows:
        return []
    try:
        return list(engine.decode(windows))
    except EngineFailed as error:
        if len(windows) == 1:
            return [error]
        return [_decode_apart(engine, [window])[0] for window in windows]
