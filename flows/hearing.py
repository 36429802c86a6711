"""What runs inside the sandboxed child: decode a file, then look at its sound.

Imports no Prefect, so a child starts fast. The samples come back as a file under the spool, because hours of sound do
not fit through a pipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from diarynotes import audio, validate
from diarynotes.audio import Decoded, DecodeLimits, decode
from diarynotes.models import Media, Quality, Span
from diarynotes.telemetry import forbid_telemetry
from diarynotes.transcribe.vad import find_speech
from diarynotes.validate import Limits, check_recording, measure_quality


@dataclass(frozen=True, slots=True)
class Errand:
    """A file to decode, where its samples go, what it must keep to, and how long that may take."""

    path: Path
    spool: Path
    limits: Limits
    zone: tzinfo
    allowed_s: float = 120.0


def warm_up() -> None:
    """Imports and warms what children need, once, before there are any; leaves no thread behind."""
    forbid_telemetry()
    import onnxruntime  # noqa: F401  # without a session, which would start threads

    audio.warm_up()
    validate.warm_up()


def examine(errand: Errand) -> tuple[Media, Quality]:
    """What the container says, and how well speech can be heard. Raises RecordingRejected."""
    decoded = _decode(errand)
    sound = decoded.open()
    quality = measure_quality(sound, clipping_ratio=decoded.clipping_ratio, warnings=decoded.warnings)
    check_recording(sound, quality, errand.limits)
    return decoded.media, quality


def hear(errand: Errand) -> tuple[Decoded, tuple[Span, ...]]:
    """The decoded samples, still in the spool, and where somebody speaks in them. Raises RecordingRejected."""
    decoded = _decode(errand)
    try:
        return decoded, find_speech(decoded.open(keep=True))
    except BaseException:
        decoded.pcm_path.unlink(missing_ok=True)
        raise


def discard(heard: tuple[Decoded, tuple[Span, ...]]) -> None:
    """Nobody is going to listen to these samples."""
    heard[0].pcm_path.unlink(missing_ok=True)


def _decode(errand: Errand) -> Decoded:
    limits = DecodeLimits(max_duration_s=errand.limits.max_duration_s)
    return decode(errand.path, spool=errand.spool, limits=limits, zone=errand.zone)
