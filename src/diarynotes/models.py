"""The nouns that every stage speaks in: what they hold, in which units, and how they are identified.

Knows nothing of files, databases or models. Every noun is frozen; a change makes a new one (`dataclasses.replace`).
"""

from __future__ import annotations

import mmap
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of all audio inside diarynotes, Hz."""

PERSON = "person"
"""The writer of what a person has written or edited themselves; nothing is written over it."""

RecordingId: TypeAlias = str
TranscriptId: TypeAlias = str
NoteId: TypeAlias = str

Priority: TypeAlias = Literal["urgent", "normal", "low"]
RecordedAtSource: TypeAlias = Literal["container", "file_name", "file_time"]
MoodLabel: TypeAlias = Literal["positive", "negative", "neutral", "mixed"]
Severity: TypeAlias = Literal["info", "warning", "error"]
JobState: TypeAlias = Literal[
    "received",
    "validated",
    "transcribed",
    "written",
    "landed",
    "quarantined",
    "waiting",
    "dead",
    "discarded",
    "erased",
]

_NAMESPACE = uuid.UUID("6f1d5b1e-6f0e-5a52-9a57-3d0c3a1f6a10")


def make_id(*parts: str) -> str:
    """The same parts always give the same id (uuid5), so doing a thing twice names it once."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a bucket says of all bytes of an object."""

    kind: Literal["md5", "sha256", "crc32", "crc32c"]
    value: bytes


@dataclass(frozen=True, slots=True)
class BucketObject:
    """A file in a bucket; `version` changes whenever its bytes may have (file time and inode, or the bucket's etag).

    `uri` is an absolute path for local files, else begins with gs://, s3:// or az://. `checksum` is there where the
    bucket gave it along with the rest; some give none with a listing.
    """

    uri: str
    size_bytes: int
    version: str
    modified_at: datetime
    checksum: Checksum | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Media:
    """What the container says about its audio stream."""

    container: str
    codec: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the speech can be heard; `score` runs from 0 (not at all) to 1 (studio)."""

    score: float
    silence_ratio: float
    snr_db: float
    clipping_ratio: float
    bandwidth_hz: float
    warnings: tuple[str, ...] = ()
    preprocessing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio object of one owner, known by its content: the same bytes dropped twice are one recording."""

    id: RecordingId
    owner: str
    uri: str
    sha256: str
    size_bytes: int
    recorded_at: datetime
    recorded_at_source: RecordedAtSource
    priority: Priority = "normal"
    media: Media | None = None
    quality: Quality | None = None
    cloud: bool = True
    """Whether what is said in it may be sent, masked, to another's machine."""

    @staticmethod
    def identify(owner: str, sha256: str) -> RecordingId:
        """The id of these bytes of this owner."""
        return make_id("recording", owner, sha256)


@dataclass(frozen=True, slots=True)
class Audio:
    """Decoded audio: mono, 16 kHz, `pcm` of shape (samples,) and type int16, memory-mapped where it is long."""

    pcm: NDArray[np.int16]
    media: Media

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / SAMPLE_RATE

    def samples(self, start_s: float = 0.0, end_s: float | None = None) -> NDArray[np.float32]:
        """The stretch from `start_s` to `end_s` as float32 in [-1, 1), shape (samples,)."""
        start = round(start_s * SAMPLE_RATE)
        stop = len(self.pcm) if end_s is None else round(end_s * SAMPLE_RATE)
        return self.pcm[start:stop].astype(np.float32) / 32768.0

    def forget(self) -> None:
        """Let the system take back the memory that holds samples mapped from disk; they are read again when needed.

        Whoever walks through hours of sound calls this on the way.
        """
        if isinstance(self.pcm.base, mmap.mmap):
            self.pcm.base.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a recording, in seconds from its beginning."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """At most 30 s of one recording that hold speech: `samples` float32 (samples,), starting at `start_s`.

    `spans` are the stretches of speech inside, in seconds from the recording's beginning; long silences between them
    are cut down in `samples` (`transcribe.windows.lay_spans` says where they lie there). How it is to be heard:
    `language` is an ISO 639 code (None: as the engine finds it), `terms` are names and words that may come up in it,
    `temperature` is 0 for the likeliest text and up to 1 for a draw from the likely ones, the same at every call.
    """

    recording_id: RecordingId
    number: int
    start_s: float
    samples: NDArray[np.float32]
    spans: tuple[Span, ...]
    language: str | None = None
    terms: tuple[str, ...] = ()
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that an engine placed inside a window; times in seconds from the window's beginning."""

    start_s: float
    end_s: float
    text: str
    avg_logprob: float | None = None
    no_speech: float | None = None


@dataclass(frozen=True, slots=True)
class WindowText:
    """What an engine heard in one window; without `pieces` the text is spread over the window's speech.

    `languages` are the likeliest ones with their probabilities, in falling order, where the engine looked for them;
    `language` is the one that the text was decoded in. `avg_logprob` is the mean over the tokens, end mark included,
    `no_speech` the probability that nobody speaks, `temperature` the one it was drawn at.
    """

    text: str
    pieces: tuple[Piece, ...] = ()
    language: str | None = None
    avg_logprob: float | None = None
    no_speech: float | None = None
    languages: tuple[tuple[str, float], ...] = ()
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of speech and its text, in `language`; times in seconds from the recording's beginning."""

    start_s: float
    end_s: float
    text: str
    avg_logprob: float | None = None
    no_speech: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said, by whom it was heard, and how far to trust it (0 to 1)."""

    id: TranscriptId
    recording_id: RecordingId
    engine: str
    model: str
    language: str
    segments: tuple[Segment, ...]
    trust: float
    trust_reasons: tuple[str, ...] = ()
    degraded: bool = False

    @staticmethod
    def identify(recording_id: RecordingId, engine: str, model: str, settings: str = "") -> TranscriptId:
        """The id of what this engine with this model and settings makes of this recording."""
        return make_id("transcript", recording_id, engine, model, settings)

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Mood:
    """A label and a score from -1 (bad) to 1 (good)."""

    label: MoodLabel
    score: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a note and the numbers of the segments that carry it, counted from 0."""

    text: str
    evidence: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Todo:
    """Something that the speaker means to do; `due` is the date that was said, where one was."""

    text: str
    due: date | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw: a stable code, how bad it is, where, and a sentence for a person (never diary text)."""

    code: str
    severity: Severity
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call to a model used; `cached_tokens` of the `input_tokens` were told to come from its cache."""

    provider: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a usage cost in USD; None is unknown, which is not the same as nothing."""

    usage: Usage
    usd: Decimal | None
    price_source: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What a writer makes of a transcript, before anybody has checked it."""

    title: str
    summary: str
    mood: Mood
    body: tuple[Sentence, ...]
    people: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    todos: tuple[Todo, ...] = ()
    questions: tuple[str, ...] = ()
    usage: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class DiaryNote:
    """A checked draft: whose recording it is of, which day it belongs to, who wrote it.

    `grounded_share` (0 to 1) is the share of its sentences that nothing was found against; None without sentences.
    """

    id: NoteId
    transcript_id: TranscriptId
    recording_id: RecordingId
    day: date
    draft: Draft
    writer: str
    model: str
    prompt_version: str
    degraded: bool
    findings: tuple[Finding, ...] = ()
    grounded_share: float | None = None

    @staticmethod
    def identify(transcript_id: TranscriptId, writer: str, model: str, prompt_version: str) -> NoteId:
        """The id of what this writer makes of this transcript."""
        return make_id("note", transcript_id, writer, model, prompt_version)


@dataclass(frozen=True, slots=True)
class DayEntry:
    """The entry of an owner's day, made of that day's notes in the order in which they were recorded.

    The evidence of its draft counts `sources`, which are a note's id and the number of a sentence of it each; -1 is
    where a note begins, which carries nothing. `notes_version` changes as soon as a note of the day does.
    """

    id: str
    owner: str
    day: date
    notes_version: str
    sources: tuple[tuple[NoteId, int], ...]
    draft: Draft
    writer: str
    model: str
    prompt_version: str
    degraded: bool
    findings: tuple[Finding, ...] = ()
    grounded_share: float | None = None

    @staticmethod
    def identify(owner: str, day: date, notes_version: str, writer: str, model: str, prompt_version: str) -> str:
        """The id of what this writer makes of these notes of a day."""
        return make_id("entry", owner, day.isoformat(), notes_version, writer, model, prompt_version)


@dataclass(frozen=True, slots=True)
class Job:
    """Where a recording stands. `attempt` is the fencing token: it grows with every claim.

    `crashes` is how many workers in a row have died or frozen with it in hand.
    """

    recording_id: RecordingId
    state: JobState
    attempt: int = 0
    failures: int = 0
    resume_state: JobState | None = None
    next_attempt_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    updated_at: datetime | None = field(default=None, compare=False)
    crashes: int = 0
