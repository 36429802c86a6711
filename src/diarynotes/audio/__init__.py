"""Decodes the bytes of a recording into mono 16 kHz samples, knowing the format by content and never by name.

Meant to run inside a `Sandbox`: malformed media is hostile until shown otherwise. Knows FFmpeg (through PyAV) and a
folder for spooled samples; knows nothing of quality, speech, processes or settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from diarynotes.audio.container import Source, choose_stream, find_created_at, find_promised_s, open_container
from diarynotes.audio.container import ffmpeg_version as ffmpeg_version  # callers need to know this module only
from diarynotes.audio.container import known_holes as known_holes
from diarynotes.audio.spool import Sink
from diarynotes.audio.spool import sweep_spool as sweep_spool
from diarynotes.errors import StorageFailed
from diarynotes.models import Audio, Media

if TYPE_CHECKING:
    from av import AudioFrame, Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_ENOUGH = 0.8
"""Share of the promised sound that must be there for a damaged recording to be kept."""

_SLACK_S = 0.1
"""Encoders pad the beginning and the end; so much may be missing before anything is said of it."""

_NOTABLE = 0.02
"""Share of the promised sound from which missing it is worth a warning."""

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
    with Source(path) as source, Sink(spool, limits.max_duration_s) as sink, open_container(source) as container:
        stream = choose_stream(container)
        tally = _decode_stream(container, stream, sink)
        promised_s = find_promised_s(container, stream, source.size_bytes)
        missing = max(source.missing_share, 1 - (sink.duration_s + _SLACK_S) / promised_s if promised_s else 0.0)
        if not sink.duration_s or max(missing, tally.bad_share) > 1 - _ENOUGH:
            raise source.reject()
        media = Media(
            container=container.format.name.split(",")[0],
            codec=stream.codec_context.codec.canonical_name,
            duration_s=sink.duration_s,
            sample_rate_hz=tally.sample_rate_hz,
            channels=tally.channels,
            created_at=find_created_at({**stream.metadata, **container.metadata}, zone),
        )
        return Decoded(sink.finish(), media, tally.clipped / tally.samples, tally.warn(is_short=missing > _NOTABLE))


def warm_up() -> None:
    """Imports FFmpeg, so that the children of a sandbox have it from birth."""
    ffmpeg_version()


@dataclass(slots=True)
class _Tally:
    """What went by while decoding; samples are counted at the recording's own rate, over all channels."""

    sample_rate_hz: int = 0
    channels: int = 0
    samples: int = 0
    clipped: int = 0
    good_packets: int = 0
    bad_packets: int = 0
    ends_badly: bool = False
    broke_off: bool = False

    @property
    def bad_share(self) -> float:
        return self.bad_packets / max(1, self.good_packets + self.bad_packets)

    def add(self, frame: AudioFrame) -> None:
        if not self.samples:
            self.sample_rate_hz, self.channels = frame.sample_rate, frame.layout.nb_channels
        values = frame.to_ndarray()
        self.samples += values.size
        self.clipped += _count_clipped(values)

    def warn(self, *, is_short: bool) -> tuple[str, ...]:
        """A packet that breaks at the very end was cut; one that breaks before was damaged."""
        is_damaged = self.bad_packets > self.ends_badly
        codes = {"truncated": is_short or self.broke_off or self.ends_badly, "damaged": is_damaged}
        return tuple(code for code, is_so in codes.items() if is_so)


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
    tally = _Tally()
    for packet in _read_packets(container, stream, tally):
        if packet.size:
            tally.ends_badly = not _decode_packet(packet, sink, tally)
        else:  # the decoder hands out what it held back
            _decode_packet(packet, sink, tally)
    sink.flush()
    return tally


def _read_packets(container: InputContainer, stream: AudioStream, tally: _Tally) -> Iterator[Packet[AudioStream]]:
    import av

    try:
        yield from container.demux(stream)
    except MemoryError:
        raise
    except (av.FFmpegError, OSError):
        tally.broke_off = True


def _decode_packet(packet: Packet[AudioStream], sink: Sink, tally: _Tally) -> bool:
    """Whether it could be decoded; what could not is counted and left out."""
    import av

    try:
        for frame in packet.decode():
            if frame.samples:
                sink.write(frame)
                tally.add(frame)
                tally.good_packets += 1
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError):
        tally.bad_packets += 1
        return False
    return True
