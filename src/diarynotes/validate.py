"""Says how well speech can be heard in a recording, and rejects what cannot become a note.

Knows samples and limits; knows nothing of files, formats, speech detection or settings. All measures run over blocks
of a minute, so a recording of ten hours takes no more memory than a few numbers for each of its frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import Silent, TooLarge, TooLong, TooShort, UnsupportedRate
from diarynotes.models import SAMPLE_RATE, Audio, Media, Quality

_FRAME = 512
_HOP = 256
_BLOCK = 60 * SAMPLE_RATE // _HOP * _HOP
_HANN_POWER = 0.375
"""Mean square of a Hann window, by which it lowers the power of what is seen through it."""

_INAUDIBLE_DBFS = -60.0
_ACTIVITY_MARGIN_DB = 15.9
_HANGOVER_FRAMES = round(0.2 * SAMPLE_RATE / _HOP)
_NOISE_PERCENTILE = 15.0
"""ISIP, "Signal to Noise Ratio Estimation": 85/15 is one of the pairs in use."""

_MAX_SNR_DB = 60.0

_HISS_BAND_HZ = 300.0
"""Noise above this is what noise reduction helps against; hum and rumble are not (docs/preprocessing.md)."""
_HISS_SNR_DB = 20.0
"""Where noise reduction was seen to help; what is called noisy is worse than that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a recording must keep to."""

    max_size_bytes: int = 500_000_000
    min_duration_s: float = 1.0
    max_duration_s: float = 36_000.0
    min_sample_rate_hz: int = 8_000


def check_size(size_bytes: int, limits: Limits) -> None:
    """Raises: TooLarge for a file that need not even be opened."""
    if size_bytes > limits.max_size_bytes:
        raise TooLarge(size_bytes, limits.max_size_bytes)


def check_recording(audio: Audio, quality: Quality, limits: Limits) -> None:
    """Raises: TooShort, TooLong, UnsupportedRate, or Silent where not one frame is above -60 dBFS."""
    if audio.duration_s < limits.min_duration_s:
        raise TooShort(audio.duration_s, limits.min_duration_s)
    if audio.duration_s > limits.max_duration_s:
        raise TooLong(audio.duration_s, limits.max_duration_s)
    if audio.media.sample_rate_hz < limits.min_sample_rate_hz:
        raise UnsupportedRate(audio.media.sample_rate_hz, limits.min_sample_rate_hz)
    if quality.silence_ratio >= 1.0:
        raise Silent


def measure_quality(audio: Audio, *, clipping_ratio: float = 0.0, warnings: tuple[str, ...] = ()) -> Quality:
    """How well speech can be heard in `audio`, whose decoder found `clipping_ratio` and has `warnings` to pass on.

    - Activity: frames of 32 ms within 15.9 dB of the active speech level or at most 0.2 s after one, as in ITU-T P.56
      method B, here on frame powers; never below -60 dBFS. `silence_ratio` is the share of all other frames.
    - `snr_db`: the 85th over the 15th percentile of the frame powers, the latter taken off the former: the histogram
      method of NIST's `stnr` with ISIP's percentiles. Where there is too little speech for that, the active speech
      level stands for the former. 0 to 60 dB.
    - `bandwidth_hz`: where 99 % of the energy of the brightest active frames (95th percentile) lies below; at most
      half the recording's own sample rate.
    - `score`: the product of four parts, each 0 to 1, so that one thing that spoils a recording is enough:
      snr_db / 30; the speech level from -60 to -30 dBFS; bandwidth_hz up to 3,400 Hz (the telephone band of
      ITU-T G.712); and 1 - 10 clipping_ratio. The product is our own; no published score is meant.

    Codes in `warnings`: mostly_silent, low_quality, noisy, quiet, clipped, narrow_band; in `preprocessing`:
    trim_silence, noise_reduction (below 20 dB above 300 Hz), loudness, declip, high_pass.
    """
    frames = _measure_frames(audio)
    active, level_dbfs = _find_active(frames.power)
    silence_ratio = 1.0 - float(active.mean()) if active.size else 1.0
    snr_db = _estimate_snr_db(frames.power, level_dbfs)
    hiss_snr_db = _estimate_snr_db(frames.treble, _level_dbfs(frames.treble[active]))
    bandwidth_hz = _estimate_bandwidth_hz(frames.rolloff_hz[active], audio.media)
    parts = snr_db / 30, (level_dbfs - _INAUDIBLE_DBFS) / 30, bandwidth_hz / 3400, 1 - 10 * clipping_ratio
    score = float(np.prod(np.clip(parts, 0.0, 1.0)))
    found = {
        "mostly_silent": silence_ratio > 0.8,
        "low_quality": score < 0.3,
        "noisy": snr_db < 10.0,
        "quiet": level_dbfs < -40.0,
        "clipped": clipping_ratio > 0.001,
        "narrow_band": bandwidth_hz < 3000.0,
    }
    helpful = {
        "trim_silence": found["mostly_silent"],
        "noise_reduction": hiss_snr_db < _HISS_SNR_DB,
        "loudness": found["quiet"],
        "declip": found["clipped"],
        "high_pass": frames.rumble_ratio > 0.5,
    }
    return Quality(
        score=score,
        silence_ratio=silence_ratio,
        snr_db=snr_db,
        clipping_ratio=clipping_ratio,
        bandwidth_hz=bandwidth_hz,
        warnings=(*warnings, *(code for code, is_so in found.items() if is_so)),
        preprocessing=tuple(code for code, is_so in helpful.items() if is_so),
    )


def warm_up() -> None:
    """Imports librosa and calls everything once, so that the first recording does not pay for it (about 2 s)."""
    noise = np.random.default_rng(0).normal(0, 1000, SAMPLE_RATE).astype(np.int16)
    measure_quality(Audio(noise, Media("wav", "pcm_s16le", 1.0, SAMPLE_RATE, 1)))


@dataclass(frozen=True, slots=True)
class _Frames:
    """Power (1 is full scale), the same above 300 Hz, and roll-off of each frame, shape (frames,), and the share of
    energy under 80 Hz."""

    power: NDArray[np.float32]
    treble: NDArray[np.float32]
    rolloff_hz: NDArray[np.float32]
    rumble_ratio: float


def _measure_frames(audio: Audio) -> _Frames:
    import librosa  # takes two seconds to import

    powers, trebles, rolloffs = ([np.empty(0, np.float32)] for _ in range(3))
    rumble, total = 0.0, 0.0
    for block in _blocks(audio):
        spectrum = np.abs(librosa.stft(block, n_fft=_FRAME, hop_length=_HOP, center=False))
        spectrum[0] = 0.0  # a constant offset is no sound
        energy = np.square(spectrum).sum(axis=1, dtype=np.float64)
        rumble, total = rumble + float(energy[1:3].sum()), total + float(energy.sum())  # 31 and 62 Hz
        spectrum[1:3] = 0.0
        powers.append(_frame_power(spectrum))
        rolloff = librosa.feature.spectral_rolloff(S=spectrum, sr=SAMPLE_RATE, n_fft=_FRAME, roll_percent=0.99)
        rolloffs.append(rolloff[0].astype(np.float32))
        spectrum[: round(_HISS_BAND_HZ * _FRAME / SAMPLE_RATE)] = 0.0
        trebles.append(_frame_power(spectrum))
    rumble_ratio = rumble / total if total else 0.0
    return _Frames(np.concatenate(powers), np.concatenate(trebles), np.concatenate(rolloffs), rumble_ratio)


def _frame_power(spectrum: NDArray[np.float32]) -> NDArray[np.float32]:
    """The power of frames seen through a Hann window, by their magnitudes (bins, frames)."""
    import librosa

    level = librosa.feature.rms(S=spectrum, frame_length=_FRAME)[0]
    return np.asarray(np.square(level) / _HANN_POWER, np.float32)


def _blocks(audio: Audio) -> Iterator[NDArray[np.float32]]:
    """Stretches of at most a minute that overlap so that no frame is lost, as float32 in [-1, 1)."""
    for start in range(0, max(1, len(audio.pcm) - _FRAME + 1), _BLOCK):
        block = audio.pcm[start : start + _BLOCK + _FRAME - _HOP].astype(np.float32) / 32768.0
        audio.forget()
        yield np.pad(block, (0, max(0, _FRAME - len(block))))


def _find_active(power: NDArray[np.float32]) -> tuple[NDArray[np.bool_], float]:
    """Which frames hold speech-like activity, and their mean level in dBFS (ITU-T P.56, see `measure_quality`)."""
    audible = power > _to_power(_INAUDIBLE_DBFS)
    active = audible
    for _ in range(20):  # dropping quiet frames raises the level, which drops more; it settles within a few rounds
        if not active.any():
            return active, -120.0
        threshold = float(power[active].mean()) * _to_power(-_ACTIVITY_MARGIN_DB)
        narrowed = audible & (power > threshold)
        if narrowed.sum() == active.sum():
            break
        active = narrowed
    return audible & _hang_over(active), _level_dbfs(power[active])


def _level_dbfs(power: NDArray[np.float32]) -> float:
    return float(10 * np.log10(max(power.mean(), 1e-12))) if power.size else -120.0


def _hang_over(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Activity that lasts `_HANGOVER_FRAMES` longer, so that gaps between words are not silence."""
    index = np.arange(len(active))
    last = np.maximum.accumulate(np.where(active, index, -_HANGOVER_FRAMES - 1))
    return index - last <= _HANGOVER_FRAMES


def _estimate_snr_db(power: NDArray[np.float32], level_dbfs: float) -> float:
    floor, peak = np.percentile(power, [_NOISE_PERCENTILE, 100 - _NOISE_PERCENTILE]) if power.size else (0.0, 0.0)
    noise = max(float(floor), 1e-12)
    speech = max(_to_power(level_dbfs), float(peak)) - noise
    return float(np.clip(10 * np.log10(speech / noise), 0.0, _MAX_SNR_DB)) if speech > 0 else 0.0


def _estimate_bandwidth_hz(rolloff_hz: NDArray[np.float32], media: Media) -> float:
    if not rolloff_hz.size:
        return 0.0
    return min(float(np.percentile(rolloff_hz, 95)), media.sample_rate_hz / 2)


def _to_power(level_db: float) -> float:
    return float(10 ** (level_db / 10))
