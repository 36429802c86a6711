"""Makes recordings for tests: a voice-like sound, encoded with the library that later decodes it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

FORMATS = {
    "mp3": ("mp3", "libmp3lame"),
    "wav": ("wav", "pcm_s16le"),
    "m4a": ("ipod", "aac"),
    "alac.m4a": ("ipod", "alac"),
    "flac": ("flac", "flac"),
    "opus": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "mkv": ("matroska", "pcm_s16le"),
    "aiff": ("aiff", "pcm_s16be"),
    "caf": ("caf", "pcm_s16le"),
    "aac": ("adts", "aac"),
    "3gp": ("3gp", "libopencore_amrnb"),
    "amr": ("amr", "libopencore_amrnb"),
    "ulaw.wav": ("wav", "pcm_mulaw"),
    "alaw.wav": ("wav", "pcm_alaw"),
    "u8.wav": ("wav", "pcm_u8"),
    "24.wav": ("wav", "pcm_s24le"),
    "float.wav": ("wav", "pcm_f32le"),
    "adpcm.wav": ("wav", "adpcm_ima_wav"),
    "msadpcm.wav": ("wav", "adpcm_ms"),
}
"""What phones, messengers and recorders make: container and encoder by file name ending."""


def make_voice(seconds: float, *, rate: int = 16_000, seed: int = 0) -> np.ndarray[Any, Any]:
    """Something with the level, pitch and pauses of a voice: float32 in [-1, 1), shape (samples,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * t)) / rate
    voiced = sum(np.sin(k * pitch) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3 * t), 0, None) * (np.sin(2 * np.pi * 0.4 * t + 1) > -0.3)
    return np.asarray(0.15 * voiced * syllables + 0.001 * rng.standard_normal(len(t)), dtype=np.float32)


def encode(
    path: Path,
    samples: np.ndarray[Any, Any],
    *,
    kind: str,
    rate: int = 16_000,
    channels: int = 1,
    tags: dict[str, str] | None = None,
    with_video: bool = False,
) -> Path:
    """Writes `samples` (float32, mono, at `rate`) in one of `FORMATS`; extra channels repeat the first."""
    container_name, codec = FORMATS[kind]
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(path, "w", format=container_name) as container:
        container.metadata.update(tags or {})
        picture = _add_video(container) if with_video else None
        coded_rate = {"libopus": 48_000, "libopencore_amrnb": 8_000}.get(codec, rate)
        stream = container.add_stream(codec, rate=coded_rate, layout=layout)
        if codec == "libopencore_amrnb":
            stream.bit_rate = 12_200
        resampler = av.AudioResampler(stream.format.name, layout, coded_rate, stream.frame_size or 1024)
        pcm = (np.clip(np.repeat(samples, channels), -1, 32767 / 32768) * 32768).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, "s16", layout)
        frame.sample_rate = rate
        for block in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(block))
            if picture is not None:
                picture()
        container.mux(stream.encode(None))
    return path


def encode_silent_film(path: Path) -> Path:
    """Writes a second of video that has no sound track."""
    with av.open(path, "w", format="mp4") as container:
        picture = _add_video(container)
        for _ in range(10):
            picture()
    return path


def _add_video(container: Any) -> Any:
    stream = container.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    rng = np.random.default_rng(1)
    count = iter(range(1 << 30))

    def add_picture() -> None:
        frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (72, 64), dtype=np.uint8), "yuv420p")
        frame.pts, frame.time_base = next(count), Fraction(1, 10)
        container.mux(stream.encode(frame))

    return add_picture
