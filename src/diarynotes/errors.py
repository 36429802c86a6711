"""The one error tree. Each class says whose fault it is, whether a retry may help, and carries a stable code.

Messages say what, which id, and what to do; they never hold diary text or a secret. Arguments equal fields, so that
every error survives pickling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

Fault = Literal["recording", "user", "service", "machine", "bug"]
Reason = Literal[
    "timeout", "model_error", "resource_exhaustion", "validation_error", "external_api_error", "unknown_error"
]
"""What kind of failure an error is, for whoever counts failures and decides on another try."""
WriterFailure = Literal[
    "rate_limit",
    "overload",
    "timeout",
    "quota",
    "auth",
    "context_too_long",
    "refusal",
    "bad_output",
    "misconfigured",
    "bad_request",
    "unavailable",
    "broken_off",
    "cooling_down",
    "over_budget",
]


class DiarynotesError(Exception):
    """Anything that diarynotes raises on purpose."""

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = "bug"
    reason: ClassVar[Reason] = "unknown_error"
    retryable: ClassVar[bool] = False


# -- the recording is at fault: set aside, its maker can mend it ------------------------------------------------------


class RecordingRejected(DiarynotesError):
    """The recording cannot become a note as it is; it stays where it is, listed as quarantined."""

    code = "rejected"
    fault = "recording"
    reason: ClassVar[Reason] = "validation_error"


class NotAudio(RecordingRejected):
    code = "not_audio"

    def __str__(self) -> str:
        return "This file is not a sound recording that can be read. Send MP3, WAV, M4A, FLAC, OGG, Opus or WebM."


class NoAudioStream(RecordingRejected):
    code = "no_audio_stream"

    def __str__(self) -> str:
        return "This file holds no sound track. Export it again with its sound."


class Truncated(RecordingRejected):
    code = "truncated"

    def __str__(self) -> str:
        return "This recording is cut off or damaged, so it cannot be played. Copy it again from the device."


class UnsupportedCodec(RecordingRejected):
    code = "unsupported_codec"

    def __init__(self, codec: str) -> None:
        super().__init__(codec)
        self.codec = codec

    def __str__(self) -> str:
        return f"The sound is stored as '{self.codec}', which is not read here. Export it as MP3, M4A, WAV or FLAC."


class TooShort(RecordingRejected):
    code = "too_short"

    def __init__(self, duration_s: float, limit_s: float) -> None:
        super().__init__(duration_s, limit_s)
        self.duration_s, self.limit_s = duration_s, limit_s

    def __str__(self) -> str:
        return f"The recording lasts {self.duration_s:.1f} s; at least {self.limit_s:g} s are needed."


class TooLong(RecordingRejected):
    code = "too_long"

    def __init__(self, duration_s: float, limit_s: float) -> None:
        super().__init__(duration_s, limit_s)
        self.duration_s, self.limit_s = duration_s, limit_s

    def __str__(self) -> str:
        return (
            f"The recording lasts {self.duration_s / 60:.0f} minutes or more; the limit is {self.limit_s / 60:.0f}. "
            "Split it and send the parts, or raise max_duration_s."
        )


class TooLarge(RecordingRejected):
    code = "too_large"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(size_bytes, limit_bytes)
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes

    def __str__(self) -> str:
        return (
            f"The file has {self.size_bytes / 1e6:.0f} MB; the limit is {self.limit_bytes / 1e6:.0f} MB. "
            "Split it, store it in a compressed format, or raise max_size_bytes."
        )


class UnsupportedRate(RecordingRejected):
    code = "unsupported_codec"

    def __init__(self, sample_rate_hz: int, limit_hz: int) -> None:
        super().__init__(sample_rate_hz, limit_hz)
        self.sample_rate_hz, self.limit_hz = sample_rate_hz, limit_hz

    def __str__(self) -> str:
        return f"The sound is sampled at {self.sample_rate_hz} Hz; at least {self.limit_hz} Hz are needed for speech."


class Silent(RecordingRejected):
    code = "silent"

    def __str__(self) -> str:
        return "Nothing can be heard in this recording. Check the microphone."


class NoSpeech(RecordingRejected):
    code = "no_speech"

    def __str__(self) -> str:
        return "There is sound in this recording, but nobody speaks in it."


class Untrusted(RecordingRejected):
    """What was heard is not to be believed; better set aside than landed as a lie."""

    code = "untrusted"
    reason = "model_error"

    def __init__(self, trust: float, limit: float, reasons: tuple[str, ...]) -> None:
        super().__init__(trust, limit, reasons)
        self.trust, self.limit, self.reasons = trust, limit, reasons

    def __str__(self) -> str:
        return (
            f"What was heard is not to be trusted ({self.trust:.2f}, at least {self.limit:g} is asked for): "
            f"{'; '.join(self.reasons)}. Retry it with a larger model, or lower untrusted_below."
        )


class DecoderCrashed(RecordingRejected):
    code = "decoder_crashed"

    def __str__(self) -> str:
        return "This recording is damaged in a way that stopped the decoder. Copy it again from the device."


class DecoderTimeout(RecordingRejected):
    code = "decoder_timeout"
    reason = "timeout"

    def __init__(self, limit_s: float) -> None:
        super().__init__(limit_s)
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"This recording could not be decoded within {self.limit_s:.0f} s, so it was set aside."


class UncheckedNote(RecordingRejected):
    """A data check refused what was about to land."""

    code = "failed_checks"

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__(findings)
        self.findings = findings

    def __str__(self) -> str:
        return f"The note did not pass the data checks: {', '.join(self.findings)}."


# -- something around us failed: a retry may help ---------------------------------------------------------------------


class SourceUnavailable(DiarynotesError):
    """The object cannot be read just now: gone, growing, changed since it was registered, or not permitted."""

    code = "source_unavailable"
    fault = "user"
    reason = "external_api_error"
    retryable = True

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(uri, why)
        self.uri, self.why = uri, why

    def __str__(self) -> str:
        return f"{self.uri}: {self.why}."


class EngineFailed(DiarynotesError):
    """A speech engine failed on windows that another try may transcribe."""

    code = "engine_failed"
    fault = "machine"
    reason: ClassVar[Reason] = "model_error"
    retryable = True

    def __init__(self, engine: str, why: str) -> None:
        super().__init__(engine, why)
        self.engine, self.why = engine, why

    def __str__(self) -> str:
        return f"The engine {self.engine} failed: {self.why}."


class EngineOutOfMemory(EngineFailed):
    """Fewer windows at once may still go through."""

    code = "out_of_memory"
    reason = "resource_exhaustion"

    def __init__(self, engine: str) -> None:
        super().__init__(engine, "there is not enough memory for the model and this many windows")

    def __reduce__(self) -> tuple[type[EngineOutOfMemory], tuple[str]]:
        return EngineOutOfMemory, (self.engine,)


class EngineClosed(DiarynotesError):
    """The engine was closed on purpose while it was at work; nobody is at fault, and nobody waits for another try."""

    code = "engine_closed"
    fault = "machine"

    def __init__(self, engine: str) -> None:
        super().__init__(engine)
        self.engine = engine

    def __str__(self) -> str:
        return f"The engine {self.engine} was closed before it had answered. Run it again."


class WriterFailed(DiarynotesError):
    """A writer gave no usable note; the chain goes on with the next one.

    `kind` says what happened, which decides what is done about that writer (`diary.remedies.REMEDIES`);
    `retry_after_s` is how long the service asked to be left alone; `usage` is what its calls used all the same
    (`models.Usage`), because a failed call may be billed.
    """

    code = "writer_failed"
    fault = "service"
    reason = "external_api_error"
    retryable = True

    def __init__(
        self,
        writer: str,
        why: str,
        kind: WriterFailure = "unavailable",
        retry_after_s: float | None = None,
        usage: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(writer, why, kind, retry_after_s, usage)
        self.writer, self.why, self.kind, self.retry_after_s, self.usage = writer, why, kind, retry_after_s, usage

    def __str__(self) -> str:
        return f"The writer {self.writer} failed: {self.why}."


class StorageFailed(DiarynotesError):
    """A place on disk, or the database, cannot be written or read."""

    code = "storage_failed"
    fault = "machine"
    reason = "resource_exhaustion"
    retryable = True

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}. What had landed is safe; free space or grant access, then run again."


class PrefectUnavailable(DiarynotesError):
    """Prefect did not take a request for a run; the recordings stay where they stand, and a later sweep asks again."""

    code = "prefect_unavailable"
    fault = "service"
    reason = "external_api_error"
    retryable = True

    def __init__(self, deployment: str, why: str) -> None:
        super().__init__(deployment, why)
        self.deployment, self.why = deployment, why

    def __str__(self) -> str:
        return f"Prefect took no run of {self.deployment}: {self.why}."


class Unexpected(DiarynotesError):
    """An error that nobody foresaw. Its own words may hold anything, so only its type is told."""

    code = "unexpected"
    retryable = True

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind

    def __str__(self) -> str:
        return f"Something went wrong that diarynotes does not know ({self.kind}). It will be tried again."


class WorkerDied(DiarynotesError):
    """One worker after another died with this recording in hand, the last ones with nothing else.

    Nobody saw why; a worker that vanishes was mostly killed for its memory.
    """

    code = "worker_died"
    fault = "recording"
    reason = "resource_exhaustion"

    def __init__(self, deaths: int) -> None:
        super().__init__(deaths)
        self.deaths = deaths

    def __str__(self) -> str:
        return (
            f"{self.deaths} workers in a row died while they worked on this recording. "
            "Give them more memory or cut the recording up, then retry it; or discard it."
        )


class LeaseLost(DiarynotesError):
    """Another worker took the job over; whatever this one still writes must not count."""

    code = "lease_lost"
    fault = "machine"

    def __init__(self, recording_id: str, attempt: int) -> None:
        super().__init__(recording_id, attempt)
        self.recording_id, self.attempt = recording_id, attempt

    def __str__(self) -> str:
        return f"Recording {self.recording_id} was taken over by another worker (attempt {self.attempt} is stale)."


# -- the person at the keyboard can mend it ---------------------------------------------------------------------------


class NotInstalled(DiarynotesError):
    """A backend's library is missing."""

    code = "not_installed"
    fault = "user"
    reason = "model_error"

    def __init__(self, what: str, install: str) -> None:
        super().__init__(what, install)
        self.what, self.install = what, install

    def __str__(self) -> str:
        return f"{self.what} is not installed. Install it with: {self.install}"


class ModelUnavailable(DiarynotesError):
    """A model's weights are not on disk and cannot be fetched."""

    code = "model_unavailable"
    fault = "user"
    reason = "model_error"

    def __init__(self, model: str, remedy: str) -> None:
        super().__init__(model, remedy)
        self.model, self.remedy = model, remedy

    def __str__(self) -> str:
        return f"The model {self.model} is not at hand. {self.remedy}"


class BadSettings(DiarynotesError):
    """A setting, an argument or a file given by the user does not fit."""

    code = "bad_settings"
    fault = "user"
    reason = "validation_error"

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(setting, why)
        self.setting, self.why = setting, why

    def __str__(self) -> str:
        return f"{self.setting}: {self.why}"


def known_errors(root: type[DiarynotesError] = DiarynotesError) -> Iterator[type[DiarynotesError]]:
    """Every class of the tree that is loaded, the root first."""
    yield root
    for kind in root.__subclasses__():
        yield from known_errors(kind)


_REASONS: Mapping[str, Reason] = MappingProxyType({kind.code: kind.reason for kind in known_errors()})


def reason_of(code: str) -> Reason:
    """The reason that goes with a stored code; `unknown_error` for a code that nobody here gives."""
    return _REASONS.get(code, "unknown_error")
