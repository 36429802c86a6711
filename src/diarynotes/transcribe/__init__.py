"""Speech to text: one engine, many recordings at a time.

`transcribe_recordings` packs windows of several recordings into batches for an engine and puts their texts together
again. Knows nothing of files, jobs or settings: who calls it opens the engine and stores what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from diarynotes.errors import BadSettings, DiarynotesError, EngineFailed, ModelUnavailable, NoSpeech
from diarynotes.models import Audio, RecordingId, Segment, Span, Transcript, Window, WindowText
from diarynotes.transcribe import trust
from diarynotes.transcribe.weights import DEFAULT_MODEL, fetch_weights, find_any_weights, find_weights
from diarynotes.transcribe.windows import cut_windows, group_spans, stitch

ENGINES = ("whisper", "ctranslate2", "pocketsphinx")
"""The engines a person may name; `auto` is `choose_engine`, and `scripted` is the fake of `diarynotes.testing`."""


class Engine(Protocol):
    """Turns windows of speech (at most 30 s each) into text, many at a time.

    `settings` names what besides engine and model changes the text (part of a transcript's identity); `degraded` says
    that a better engine should hear the recording again; `batch_size` is how many windows suit one call.
    """

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def settings(self) -> str: ...
    @property
    def degraded(self) -> bool: ...
    @property
    def batch_size(self) -> int: ...

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """One text for each window, in order. Raises EngineFailed when any window of the batch failed."""
        ...

    def close(self) -> None:
        """Give back processes and memory; the engine is not used afterwards. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine chosen for a person: `reason` says why, and what to do for a better one."""

    name: str
    model: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording ready to be transcribed: its audio and where somebody speaks in it (`vad.find_speech`)."""

    recording_id: RecordingId
    audio: Audio
    spans: tuple[Span, ...]


HeardResult: TypeAlias = tuple[RecordingId, Transcript | DiarynotesError]


def check_engine(name: str) -> None:
    """Raises: BadSettings for a name that no engine has."""
    if name not in ("auto", "scripted", *ENGINES):
        raise _unknown(name)


def open_engine(name: str, *, model: str | None, models: Path, language: str | None, workers: int) -> Engine:
    """The engine of this name, ready to decode; close it when done.

    `model` is a Whisper model's name or the path of a .pt file (None: the best one at hand), `models` the folder that
    holds `whisper/`, and `ctranslate2/` with what is converted; `language` an ISO 639 code (None: detected), `workers`
    the processes or threads that an engine on the CPU may use. Raises BadSettings, ModelUnavailable, NotInstalled, or
    StorageFailed where a converted model cannot be written.
    """
    if name == "whisper":
        from diarynotes.transcribe import whisper

        return whisper.Backend(_weights(model, models), language=language)
    if name == "ctranslate2":
        from diarynotes.transcribe import ctranslate2

        return ctranslate2.Backend(_weights(model, models), models, threads=workers, language=language)
    if name == "pocketsphinx":
        from diarynotes.transcribe import pocketsphinx

        return pocketsphinx.Backend(workers, language=language)
    if name == "scripted":
        from diarynotes.testing import ScriptedEngine

        return ScriptedEngine()
    raise _unknown(name)


def choose_engine(models: Path, model: str | None = None, *, fetch: bool = True) -> Choice:
    """Whisper where its weights are on disk or can be fetched now, else PocketSphinx, which needs nothing.

    Without `fetch` nothing is downloaded. Offline it costs a moment: one try with a short limit, of which nothing is
    remembered. Raises BadSettings for a model that does not exist.
    """
    found = find_any_weights(models) if model is None else find_weights(model, models)
    wanted = model or DEFAULT_MODEL
    if found is not None:
        return Choice("whisper", str(found), f"Whisper hears this: its weights are in {found}.")
    if not fetch:
        return Choice("pocketsphinx", None, f"PocketSphinx hears this: no weights are in {models / 'whisper'}.")
    try:
        fetched = fetch_weights(wanted, models)
    except ModelUnavailable as error:
        return Choice("pocketsphinx", None, f"PocketSphinx hears this, with many wrong words. {error}")
    return Choice("whisper", str(fetched), f"Whisper hears this: its weights were fetched to {fetched}.")


def _unknown(name: str) -> BadSettings:
    return BadSettings("engine", f"'{name}' is not known; choose one of auto, {', '.join(ENGINES)}.")


def _weights(model: str | None, models: Path) -> Path:
    found = find_any_weights(models) if model is None else find_weights(model, models)
    return found or fetch_weights(model or DEFAULT_MODEL, models)


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
