"""Decodes the bytes of a recording into mono 16 kHz samples, knowing the format by content and never by name.

Meant to run inside a `Sandbox`: malformed media is hostile until shown otherwise. Knows FFmpeg (through PyAV) and a
folder for spooled samples; knows nothing of quality, speech, processes or settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from diarynotes.audio.spool import Sink
from diarynotes.audio.spool import sweep_spool as sweep_spool  # callers need to know this module only
from diarynotes.errors import (
    NoAudioStream,
    NotAudio,
    SourceUnavailable,
    StorageFailed,
    Truncated,
    UnsupportedCodec,
)
from diarynotes.models import Audio, Media

if TYPE_CHECKING:
    from av import AudioFrame, Packet
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

_ENOUGH = 0.8
"""Share of the promised sound that must be there for a damaged recording to be kept."""

_FULL_SCALE = 0.999
"""Share of the largest value from which a sample counts as clipped."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """How much sound one recording may hold, in seconds."""

    max_duration_s: float = 36_000.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """Samples in a spool file (little-endian int16, mono, 16 kHz): small, so it crosses processes cheaply.

    `clipping_ratio` is the share of samples at full scale, measured at the recording's own rate. `warnings` holds
    `truncated` where the sound ends before the header says so, `damaged` where parts of it could not be decoded.
    """

    pcm_path: Path
    media: Media
    clipping_ratio: float
    warnings: tuple[str, ...] = ()

    def open(self, *, keep: bool = False) -> Audio:
        """Maps the samples into memory; unless `keep`, the file loses its name at once, so nothing is left behind.

        Raises: StorageFailed when the spool file is gone.
        """
        try:
            pcm = np.memmap(self.pcm_path, dtype="<i2", mode="r")
        except OSError as error:
            raise StorageFailed(str(self.pcm_path), error.strerror or "cannot be read") from error
        if not keep:
            self.pcm_path.unlink(missing_ok=True)
        return Audio(pcm, self.media)


def decode(path: Path, *, spool: Path, limits: DecodeLimits | None = None, zone: tzinfo = UTC) -> Decoded:
    """Decodes the best sound track of the file at `path` into a new file in the folder `spool`, in bounded memory.

    Time stamps of the container that name no zone are read as times in `zone`.

    Raises: NotAudio, NoAudioStream, UnsupportedCodec, Truncated or TooLong (as soon as the limit is passed, whatever
    the header says) for what is wrong with the recording; SourceUnavailable or StorageFailed for files that cannot
    be read or written; MemoryError.
    """
    limits = limits or DecodeLimits()
    with _Source(path) as source, Sink(spool, limits.max_duration_s) as sink, _open_container(source) as container:
        stream = _choose_stream(container)
        tally = _decode_stream(container, stream, sink)
        warnings = _judge(tally, sink.duration_s, _promised_s(container, stream), source.looks_like_media)
        media = Media(
            container=container.format.name.split(",")[0],
            codec=stream.codec_context.codec.canonical_name,
            duration_s=sink.duration_s,
            sample_rate_hz=tally.sample_rate_hz,
            channels=tally.channels,
            created_at=find_created_at({**stream.metadata, **container.metadata}, zone),
        )
        return Decoded(sink.finish(), media, tally.clipped / max(1, tally.samples), warnings)


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


class _Source:
    """What FFmpeg sees of the file: bytes and positions, but no name it could judge the format by."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise SourceUnavailable(self._name, error.strerror or "cannot be opened") from error
        self.looks_like_media = bool(_MAGIC.match(self.read(16)))
        self.seek(0)

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except OSError as error:
            raise SourceUnavailable(self._name, error.strerror or "cannot be read") from error

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("media may not open other files")


def _open_container(source: _Source) -> InputContainer:
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
    except (av.FFmpegError, PermissionError, ValueError) as error:
        raise (Truncated if source.looks_like_media else NotAudio)() from error


def _choose_stream(container: InputContainer) -> AudioStream:
    from av import AudioStream
    from av.stream import Discard

    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        raise NoAudioStream
    if stream.codec_context is None or stream.codec_context.codec.name not in CODECS.split(","):
        raise UnsupportedCodec(stream.codec_context.codec.canonical_name if stream.codec_context else "unknown")
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all  # their packets are not even read
    return stream


@dataclass(slots=True)
class _Tally:
    """What went by while decoding; samples are counted at the recording's own rate, over all channels."""

    sample_rate_hz: int = 0
    channels: int = 0
    samples: int = 0
    clipped: int = 0
    good_packets: int = 0
    bad_packets: int = 0
    broke_off: bool = False

    def add(self, frame: AudioFrame) -> None:
        if not self.samples:
            self.sample_rate_hz, self.channels = frame.sample_rate, frame.layout.nb_channels
        values = frame.to_ndarray()
        self.samples += values.size
        self.clipped += _count_clipped(values)


def _count_clipped(values: NDArray[Any]) -> int:
    if values.dtype.kind == "u":  # eight-bit sound is centred on 128
        values = values.astype(np.int16) - 128
        full = 127.0
    else:
        full = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
    full *= _FULL_SCALE
    if values.max() < full and values.min() > -full:  # nearly always, and much cheaper than counting
        return 0
    return int(np.count_nonzero((values >= full) | (values <= -full)))


def _decode_stream(container: InputContainer, stream: AudioStream, sink: Sink) -> _Tally:
    import av

    tally = _Tally()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, PermissionError) as error:
            if isinstance(error, MemoryError):
                raise
            tally.broke_off = True
            packet = None
        if packet is None:
            break
        for frame in _decode_packet(packet, tally):
            tally.add(frame)
            sink.write(frame)
    sink.flush()
    return tally


def _decode_packet(packet: Packet[AudioStream], tally: _Tally) -> list[AudioFrame]:
    import av

    try:
        frames = [frame for frame in packet.decode() if frame.samples]
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        tally.bad_packets += 1
        return []
    tally.good_packets += bool(frames)
    return frames


def _promised_s(container: InputContainer, stream: AudioStream) -> float:
    """How long the header says the sound is; 0 where it says nothing.

    Where there is no such header FFmpeg divides the size by the bit rate. That is no promise, and is told by its value.
    """
    if stream.duration is not None and stream.time_base is not None:
        promised = float(stream.duration * stream.time_base)
    else:
        promised = (container.duration or 0) / 1_000_000
    guessed = container.size * 8 / container.bit_rate if container.bit_rate else 0.0
    return 0.0 if abs(promised - guessed) < 0.02 * guessed else promised


def _judge(tally: _Tally, decoded_s: float, promised_s: float, looks_like_media: bool) -> tuple[str, ...]:
    """Whether what was decoded is worth keeping, and what to warn of."""
    share = tally.good_packets / max(1, tally.good_packets + tally.bad_packets)
    if not decoded_s or share < _ENOUGH or decoded_s < _ENOUGH * promised_s:
        raise (Truncated if looks_like_media else NotAudio)()
    cut = tally.broke_off or decoded_s < 0.98 * promised_s - 0.1
    return (*(("truncated",) if cut else ()), *(("damaged",) if tally.bad_packets else ()))
