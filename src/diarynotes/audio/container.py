"""Opens the bytes of a recording as a container, whatever its name, and lets it open nothing else.

Knows FFmpeg's formats, decoders and tags (through PyAV); decodes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from diarynotes.errors import NoAudioStream, NotAudio, RecordingRejected, SourceUnavailable, Truncated, UnsupportedCodec

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mp3,wav,w64,flac,ogg,matroska,webm,aiff,caf,amr,aac"
"""FFmpeg's names of the containers that are opened: those of phones, messengers, recorders and editors."""

CODECS = (
    "aac,alac,amrnb,amrwb,flac,gsm_ms,mp1float,mp2float,mp3float,mp3,opus,speex,vorbis,"
    "adpcm_g726,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_yamaha,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,"
    "pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)
"""FFmpeg's names of the decoders that may run; no video decoder is among them."""

_MAGIC = re.compile(
    rb"....(ftyp|moov)|RIFF....WAVE|RF64|fLaC|OggS|\x1aE\xdf\xa3|ID3|FORM....AIF|caff|#!AMR|\xff[\xe2-\xff]", re.DOTALL
)
"""How files of these containers begin, for telling a damaged recording from something else."""

_MENDED = {(8, 1, 2): ("CVE-2026-8461", "CVE-2026-40962")}
"""Holes of FFmpeg that hostile media can reach, by the first version without them."""


class Source:
    """What FFmpeg sees of the file: bytes and positions, but no name it could judge the format by."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise SourceUnavailable(self._name, error.strerror or "cannot be opened") from error
        self._head = self.read(16)
        self.size_bytes = self.seek(0, 2)
        self.seek(0)

    @property
    def missing_share(self) -> float:
        """The share of the file, 0 to 1, that its first bytes promise and that is not there (WAV and AIFF only)."""
        if self._head[:4] not in (b"RIFF", b"FORM"):
            return 0.0
        promised = 8 + int.from_bytes(self._head[4:8], "little" if self._head[:4] == b"RIFF" else "big")
        # Recorders that stream write no size, or the largest there is.
        return 0.0 if promised > 0x7FFF0000 else max(0.0, 1 - self.size_bytes / promised)

    def reject(self) -> RecordingRejected:
        """What to raise for a file that cannot be read: does it begin like a recording?"""
        return Truncated() if _MAGIC.match(self._head) else NotAudio()

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as error:
            raise SourceUnavailable(self._name, error.strerror or "cannot be read") from error

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("media may not open other files")


def open_container(source: Source) -> InputContainer:
    """Raises: NotAudio, or Truncated for what begins like a recording; SourceUnavailable; MemoryError."""
    import av

    # Three locks on one door: playlists and scripts are no known format, their links no known protocol, and FFmpeg
    # has to ask `_refuse` before it opens anything beside the file in hand.
    locks = {
        "format_whitelist": CONTAINERS,
        "codec_whitelist": CODECS,
        "protocol_whitelist": "none",
    }
    try:
        return av.open(source, "r", options=locks, metadata_errors="replace", io_open=_refuse)
    except MemoryError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:  # OSError: it tried to seek to nowhere, or met `_refuse`
        raise source.reject() from error


def choose_stream(container: InputContainer) -> AudioStream:
    """The best sound track.

    Raises: NoAudioStream; Truncated where there are no tracks at all; UnsupportedCodec for what is not in `CODECS`.
    """
    from av import AudioStream
    from av.stream import Discard

    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        raise NoAudioStream() if len(container.streams) else Truncated()
    if stream.codec_context is None or stream.codec_context.codec.name not in CODECS.split(","):
        raise UnsupportedCodec(stream.codec_context.codec.canonical_name if stream.codec_context else "unknown")
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all  # their packets are not even read
    return stream


def find_promised_s(container: InputContainer, stream: AudioStream, size_bytes: int) -> float:
    """How long the header says the sound is, in seconds; 0 where it says nothing.

    Where there is no such header FFmpeg divides the size by the bit rate. That is no promise, and is told by its value.
    """
    if stream.duration is not None and stream.time_base is not None:
        promised_s = float(stream.duration * stream.time_base)
    else:
        promised_s = (container.duration or 0) / 1_000_000
    bit_rate = stream.codec_context.bit_rate or 0
    is_guess = bit_rate > 0 and abs(promised_s * bit_rate / 8 - size_bytes) < 0.02 * size_bytes
    return 0.0 if is_guess else max(0.0, promised_s)


def find_created_at(metadata: Mapping[str, str], zone: tzinfo) -> datetime | None:
    """When the recording was made (UTC), from the tags of its container; None where no tag says so believably.

    Only full time stamps count (a date alone names no moment), and only those between 1995 and tomorrow: a clock that
    was never set says 1904, 1970 or 1980. A stamp without a zone is read in `zone`.
    """
    tags = {name.lower(): value for name, value in metadata.items()}
    bwf = f"{tags.get('origination_date', '')}T{tags.get('origination_time', '')}"  # Broadcast WAV has two fields
    names = ("com.apple.quicktime.creationdate", "creation_time", "date_recorded", "date", "icrd", "tdrc")
    for text in (*(tags.get(name, "") for name in names), bwf):
        moment = _parse_moment(text, zone)
        if moment and datetime(1995, 1, 1, tzinfo=UTC) < moment < datetime.now(UTC) + timedelta(days=1):
            return moment
    return None


def _parse_moment(text: str, zone: tzinfo) -> datetime | None:
    if not re.match(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}", text.strip()):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def ffmpeg_version() -> str:
    """The version of FFmpeg inside the installed PyAV."""
    import av

    return str(av.ffmpeg_version_info)


def known_holes(version: str | None = None) -> tuple[str, ...]:
    """The published holes (CVE numbers) of this version of FFmpeg, the installed one by default; empty is good.

    A version that cannot be read as a number (a build from a branch) counts as having them all.
    """
    match = re.match(r"n?(\d+)\.(\d+)(?:\.(\d+))?", ffmpeg_version() if version is None else version)
    number = tuple(int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    return tuple(hole for mended, holes in _MENDED.items() if number < mended for hole in holes)
