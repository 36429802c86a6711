from __future__ import annotations

import sys
from collections import Counter
from types import ModuleType

import numpy as np
import pytest

from diarynotes.errors import RecordingRejected, Silent, TooLarge, TooLong, TooShort, UnsupportedRate
from diarynotes.models import SAMPLE_RATE, Audio, Media, Quality
from diarynotes.validate import Limits, check_recording, check_size, measure_quality


def make_audio(samples: np.ndarray, *, rate: int = SAMPLE_RATE) -> Audio:
    pcm = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
    return Audio(pcm, Media("wav", "pcm_s16le", len(pcm) / SAMPLE_RATE, rate, 1))


def make_noise(seconds: float, level_dbfs: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))
    return noise * 10 ** (level_dbfs / 20)


@pytest.fixture(scope="module")
def voice(media: ModuleType) -> np.ndarray:
    return np.asarray(media.make_voice(10.0))


def loudness(samples: np.ndarray) -> float:
    """RMS of the louder half of the stretches of 32 ms."""
    power = np.sort(np.square(samples[: len(samples) // 512 * 512].reshape(-1, 512)).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()))


def test_a_clean_voice_has_nothing_to_complain_of(voice: np.ndarray) -> None:
    quality = measure_quality(make_audio(voice))
    assert quality.score > 0.8
    assert quality.warnings == quality.preprocessing == ()
    assert 0.0 < quality.silence_ratio < 0.6


@pytest.mark.parametrize("snr_db", [5, 10, 20, 30])
def test_noise_is_measured_against_the_voice(voice: np.ndarray, snr_db: float) -> None:
    noisy = voice + make_noise(10.0, 20 * np.log10(loudness(voice)) - snr_db)
    quality = measure_quality(make_audio(noisy))
    assert quality.snr_db == pytest.approx(snr_db, abs=3)
    assert ("noisy" in quality.warnings) == (quality.snr_db < 10)
    if snr_db != 20:  # the limit, or nearly
        assert ("noise_reduction" in quality.preprocessing) == (snr_db < 20)


def test_worse_sound_never_scores_better(voice: np.ndarray) -> None:
    level = 20 * np.log10(loudness(voice))
    scores = [measure_quality(make_audio(voice + make_noise(10.0, level - snr))).score for snr in (30, 20, 10, 5, 0)]
    assert scores == sorted(scores, reverse=True)
    scores = [measure_quality(make_audio(voice), clipping_ratio=ratio).score for ratio in (0.0, 0.02, 0.05, 0.1)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == 0.0


def test_noise_alone_is_low_quality_but_not_silent() -> None:
    audio = make_audio(make_noise(10.0, -30))
    quality = measure_quality(audio)
    assert quality.score < 0.3
    assert {"low_quality", "noisy"} <= set(quality.warnings)
    check_recording(audio, quality, Limits())


def test_mostly_silent(voice: np.ndarray) -> None:
    quality = measure_quality(make_audio(np.concatenate([voice, make_noise(90.0, -70)])))
    assert 0.9 < quality.silence_ratio < 1.0
    assert "mostly_silent" in quality.warnings
    assert "trim_silence" in quality.preprocessing


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(5 * SAMPLE_RATE),
        np.full(5 * SAMPLE_RATE, 0.3),
        make_noise(5.0, -75),
        np.random.default_rng(0).integers(-1, 2, 5 * SAMPLE_RATE) / 32768,
    ],
    ids=["digital silence", "a constant offset", "a noise floor", "dither"],
)
def test_silent_is_what_nobody_can_hear(samples: np.ndarray) -> None:
    audio = make_audio(samples)
    quality = measure_quality(audio)
    assert (quality.silence_ratio, quality.score) == (1.0, 0.0)
    with pytest.raises(Silent):
        check_recording(audio, quality, Limits())


def test_a_quiet_voice_passes_with_a_warning(voice: np.ndarray) -> None:
    audio = make_audio(voice * 10 ** (-30 / 20))
    quality = measure_quality(audio)
    check_recording(audio, quality, Limits())
    assert "quiet" in quality.warnings
    assert "loudness" in quality.preprocessing


def test_bandwidth(voice: np.ndarray) -> None:
    broad = voice + make_noise(10.0, -40) * (np.abs(voice) > 0.01)
    spectrum = np.fft.rfft(broad)
    spectrum[np.fft.rfftfreq(len(broad), 1 / SAMPLE_RATE) > 2500] = 0
    narrow = np.fft.irfft(spectrum, len(broad))
    assert measure_quality(make_audio(broad)).bandwidth_hz > 4000
    found = measure_quality(make_audio(narrow))
    assert 1500 < found.bandwidth_hz < 2700
    assert "narrow_band" in found.warnings
    assert measure_quality(make_audio(broad, rate=8_000)).bandwidth_hz <= 4000


def test_rumble_asks_for_a_high_pass(voice: np.ndarray) -> None:
    rumble = 0.3 * np.sin(2 * np.pi * 45 * np.arange(len(voice)) / SAMPLE_RATE)
    assert measure_quality(make_audio(voice + rumble)).preprocessing == ("high_pass",)


def test_hum_is_no_noise_to_be_reduced(voice: np.ndarray) -> None:
    tones = np.sin(2 * np.pi * np.outer([100, 150, 250], np.arange(len(voice)) / SAMPLE_RATE)).sum(axis=0)
    quality = measure_quality(make_audio(voice + 0.5 * loudness(voice) * tones))
    assert quality.snr_db < 10
    assert quality.preprocessing == ()


def test_clipping_and_what_the_decoder_saw_are_passed_on(voice: np.ndarray) -> None:
    quality = measure_quality(make_audio(voice), clipping_ratio=0.01, warnings=("truncated",))
    assert quality.warnings == ("truncated", "clipped")
    assert quality.preprocessing == ("declip",)
    assert quality.clipping_ratio == 0.01


def test_blocks_change_nothing(voice: np.ndarray) -> None:
    long = np.tile(voice, 15)
    assert measure_quality(make_audio(long)).snr_db == pytest.approx(measure_quality(make_audio(voice)).snr_db, abs=0.5)
    silence_then_voice = np.concatenate([np.zeros(60 * SAMPLE_RATE), voice])
    assert measure_quality(make_audio(silence_then_voice)).silence_ratio < 1.0


@pytest.mark.parametrize("samples", [0, 1, 100, 511, 512, 513, 16_000])
def test_any_length_can_be_measured(samples: int) -> None:
    quality = measure_quality(make_audio(make_noise(10.0, -20)[:samples]))
    assert 0.0 <= quality.score <= 1.0
    assert 0.0 <= quality.silence_ratio <= 1.0


GOOD = Quality(score=1.0, silence_ratio=0.2, snr_db=30.0, clipping_ratio=0.0, bandwidth_hz=7000.0)


@pytest.mark.parametrize(
    ("seconds", "rate", "quality", "error"),
    [
        (0.99, 16_000, GOOD, TooShort),
        (1.0, 16_000, GOOD, None),
        (30.0, 16_000, GOOD, None),
        (30.1, 16_000, GOOD, TooLong),
        (5.0, 8_000, GOOD, None),
        (5.0, 7_999, GOOD, UnsupportedRate),
        (5.0, 192_000, GOOD, None),
    ],
)
def test_limits(seconds: float, rate: int, quality: Quality, error: type[RecordingRejected] | None) -> None:
    audio = make_audio(np.zeros(round(seconds * SAMPLE_RATE)), rate=rate)
    limits = Limits(max_duration_s=30.0)
    if error is None:
        check_recording(audio, quality, limits)
    else:
        with pytest.raises(error):
            check_recording(audio, quality, limits)


def test_size() -> None:
    check_size(500_000_000, Limits())
    with pytest.raises(TooLarge):
        check_size(500_000_001, Limits())


def test_no_sample_is_looked_at_by_itself(voice: np.ndarray) -> None:
    """Ten seconds take milliseconds that way: what Python is called for is as much as for one second."""
    calls: Counter[int] = Counter()
    audio = make_audio(voice)
    measure_quality(audio)
    for seconds in (1, 10):
        part = make_audio(voice[: seconds * 16_000])
        sys.setprofile(lambda *_, seconds=seconds: calls.update([seconds]))
        try:
            measure_quality(part)
        finally:
            sys.setprofile(None)
    assert 0 < calls[10] < calls[1] + 1_000
