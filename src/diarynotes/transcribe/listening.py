"""What is still to be heard of one recording, and what comes of it when all of it was.

A window is heard once; again in the recording's language where its own is not sure; again with other draws where its
text is in doubt. Knows nothing of batches or of other recordings.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import diarynotes.transcribe.trust as trust
from diarynotes.errors import DiarynotesError, EngineFailed, NoSpeech, Untrusted
from diarynotes.models import Audio, RecordingId, Segment, Span, Transcript, Window, WindowText, make_id
from diarynotes.transcribe.engine import Engine
from diarynotes.transcribe.languages import main_language, own_language
from diarynotes.transcribe.preprocess import apply_steps, name_steps
from diarynotes.transcribe.windows import cut_window, group_spans, place_text


@dataclass(frozen=True, slots=True)
class Care:
    """How much is done about text that cannot be trusted.

    A window whose trust is under `doubt_below` is heard again at each of `temperatures` until it is not (Whisper's own
    fallback, section 4.5 of its paper, goes from 0.2 to 1.0); a recording under `untrusted_below` gets no transcript.
    """

    doubt_below: float = 0.65
    temperatures: tuple[float, ...] = (0.4, 0.8)
    untrusted_below: float = 0.2


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording ready to be transcribed: its audio and where somebody speaks in it (`vad.find_speech`).

    `terms` are names and words that may come up in it, at most ten; `steps` are the names of what is done to its sound
    first (`preprocess.apply_steps`).
    """

    recording_id: RecordingId
    audio: Audio
    spans: tuple[Span, ...]
    terms: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A window to be heard, and how."""

    number: int
    language: str | None = None
    temperature: float = 0.0


class Listening:
    """One recording on its way through an engine; it keeps no samples but those that the system maps from disk."""

    def __init__(self, heard: Heard, engine: Engine, care: Care) -> None:
        self.recording_id = heard.recording_id
        self.error: EngineFailed | None = None
        self.is_complete = False
        self._heard, self._engine, self._care = heard, engine, care
        self._first = engine
        self._main_language: str | None = None
        self._turned: set[int] | None = None
        self._groups = group_spans(heard.spans)
        self._texts: list[list[WindowText]] = [[] for _ in self._groups]
        self._awaited = 0

    @property
    def transcript_id(self) -> str:
        """The id of the transcript that comes of it."""
        engine = self._first
        terms = f"terms={','.join(self._heard.terms)}" if self._heard.terms else ""
        settings = " ".join(filter(None, (engine.settings, terms, name_steps(self._heard.steps))))
        return Transcript.identify(self.recording_id, engine.name, engine.model, settings)

    @property
    def key(self) -> str:
        """Stands for what its windows are and who hears them: texts of one key are worth nothing under another."""
        edges = ",".join(f"{span.start_s:.4f}-{span.end_s:.4f}" for span in self._heard.spans)
        return make_id("listening", self.transcript_id, edges)

    @property
    def share_done(self) -> float:
        """How much of the recording was heard at least once, 0 to 1."""
        return sum(map(bool, self._texts)) / len(self._texts) if self._texts else 1.0

    @property
    def awaits_nothing(self) -> bool:
        """Whether everything asked for has come, or no longer matters."""
        return self.error is not None or not self._awaited

    @property
    def in_doubt(self) -> bool:
        """Whether some of it is not to be trusted as it stands."""
        return self.error is None and any(self._is_doubtful(number) for number in range(len(self._groups)))

    def recall(self, texts: Mapping[int, Sequence[WindowText]]) -> None:
        """Take what an earlier try heard, by the number of the window, as heard."""
        for number, found in texts.items():
            self._texts[number] += found

    def next_asks(self) -> list[Ask]:
        """What is to be heard next; nothing when it is complete."""
        asks = [] if self.error else [Ask(n) for n, found in enumerate(self._texts) if not found]
        if not asks and not self.error:
            self._main_language = main_language((found[0], speech_s) for found, speech_s in self._spoken())
            asks = [ask for number in range(len(self._groups)) if (ask := self._ask_again(number))]
        self._awaited = len(asks)
        self.is_complete = not asks
        return asks

    def turn_to(self, engine: Engine) -> Listening:
        """Let another engine hear what is still in doubt, once."""
        self._engine, self._turned, self.is_complete = engine, set(), False
        return self

    def cut(self, ask: Ask) -> Window:
        """The samples of a window, with how they are to be heard."""
        window = cut_window(
            self.recording_id,
            ask.number,
            self._heard.audio,
            self._groups[ask.number],
            language=ask.language,
            terms=self._heard.terms,
            temperature=ask.temperature,
        )
        return replace(window, samples=apply_steps(window.samples, self._heard.steps))

    def add(self, ask: Ask, text: WindowText | EngineFailed) -> None:
        """What came of an ask."""
        self._awaited -= 1
        if isinstance(text, EngineFailed):
            self.error = self.error or text
        else:
            self._texts[ask.number].append(trust.drop_silence(text))

    def result(self) -> tuple[RecordingId, Transcript | DiarynotesError]:
        """The transcript, or why there is none; of a recording that is complete."""
        return self.recording_id, self.error or self._transcript()

    def _ask_again(self, number: int) -> Ask | None:
        language = self._language(number)
        tries = sum(text.language == language for text in self._texts[number])
        if not tries:
            return Ask(number, language)
        if not self._is_doubtful(number):
            return None
        if self._turned is not None and number not in self._turned:
            self._turned.add(number)
            return Ask(number, language)
        if self._turned is None and self._engine.draws and tries <= len(self._care.temperatures):
            return Ask(number, language, self._care.temperatures[tries - 1])
        return None

    def _is_doubtful(self, number: int) -> bool:
        return self._trust(number, self._best(number)) < self._care.doubt_below

    def _trust(self, number: int, text: WindowText) -> float:
        return trust.judge_window(text, self._groups[number])

    def _language(self, number: int) -> str | None:
        """The language of a window: its own where that is sure, else the recording's."""
        first = self._texts[number][0]
        own = own_language(first, speech_s=_length_s(self._groups[number]))
        return own or self._main_language or first.language

    def _best(self, number: int) -> WindowText:
        """What to believe of a window: the text that is trusted most, the first of equals, in the window's language."""
        language = self._language(number)
        found = [text for text in self._texts[number] if text.language == language] or self._texts[number]
        return max(found, key=lambda text: self._trust(number, text))

    def _spoken(self) -> Iterator[tuple[list[WindowText], float]]:
        """The texts of each window and the seconds of speech in it."""
        return zip(self._texts, map(_length_s, self._groups), strict=True)

    def _transcript(self) -> Transcript | DiarynotesError:
        best = [self._best(number) for number in range(len(self._groups))]
        segments = tuple(itertools.chain.from_iterable(map(place_text, self._groups, best)))
        if not segments:
            return NoSpeech()
        language = _most_spoken(segments)
        score, reasons = trust.score(
            segments,
            list(zip(self._groups, best, strict=True)),
            speech_s=sum(map(_length_s, self._groups)),
            duration_s=self._heard.audio.duration_s,
            language=language,
            degraded=self._first.degraded,
        )
        if score < self._care.untrusted_below:
            return Untrusted(score, self._care.untrusted_below, reasons)
        engine = self._first
        return Transcript(
            self.transcript_id,
            self.recording_id,
            engine.name,
            engine.model,
            language,
            segments,
            score,
            reasons,
            engine.degraded,
        )


def _length_s(spans: Sequence[Span]) -> float:
    return sum(span.end_s - span.start_s for span in spans)


def _most_spoken(segments: Sequence[Segment]) -> str:
    """The language of most of the text; `und` where no engine named any (ISO 639-2)."""
    sizes: Counter[str] = Counter()
    for segment in segments:
        sizes[segment.language or "und"] += len(segment.text)
    return max(sizes, key=sizes.__getitem__)
