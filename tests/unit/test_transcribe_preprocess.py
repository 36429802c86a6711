from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from diarynotes.errors import BadSettings
from diarynotes.models import SAMPLE_RATE, Quality
from diarynotes.transcribe.preprocess import CEILING, STEPS, TARGET_DBFS, Mode, apply_steps, choose_steps, name_steps


def make_noise(seconds: float, level_dbfs: float) -> NDArray[np.float32]:
    noise = np.random.default_rng(3).standard_normal(round(seconds * SAMPLE_RATE))
    return (noise * 10 ** (level_dbfs / 20)).astype(np.float32)


def make_tone(frequency_hz: float, seconds: float = 2.0) -> NDArray[np.float32]:
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.1 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def make_quality(*suggested: str) -> Quality:
    return Quality(0.5, 0.2, 9.0, 0.0, 7000.0, preprocessing=suggested)


def level_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean()))


@pytest.fixture(scope="module")
def voice(media: ModuleType) -> NDArray[np.float32]:
    return np.asarray(media.make_voice(6.0), np.float32)


@pytest.mark.parametrize("steps", [*((step,) for step in STEPS), STEPS])
@pytest.mark.parametrize("length", [0, 1, 2, 13, 511, 512, 513, 16_001])
def test_length_and_type_stay_and_the_same_comes_out_twice(steps: tuple[str, ...], length: int) -> None:
    samples = make_noise(1.1, -30)[:length]
    before = samples.copy()

    once, twice = apply_steps(samples, steps), apply_steps(samples, steps)

    assert (once.shape, once.dtype) == ((length,), np.float32)
    assert np.array_equal(once, twice)
    assert np.isfinite(once).all()
    assert np.array_equal(samples, before)


@pytest.mark.parametrize("steps", [*((step,) for step in STEPS), STEPS])
def test_silence_stays_silent(steps: tuple[str, ...]) -> None:
    assert not apply_steps(np.zeros(SAMPLE_RATE, np.float32), steps).any()


def test_without_steps_the_samples_themselves_come_back() -> None:
    samples = make_noise(0.1, -30)

    assert apply_steps(samples, ()) is samples


def test_the_high_pass_takes_rumble_and_leaves_speech_in_its_place(voice: NDArray[np.float32]) -> None:
    lost = {
        hz: level_db(apply_steps(make_tone(hz), ["high_pass"])) - level_db(make_tone(hz)) for hz in (20, 50, 80, 200)
    }

    assert lost[20] < -30
    assert lost[50] < -12
    assert lost[80] == pytest.approx(-6, abs=1)  # a filter of 3 dB there, taken twice
    assert lost[200] == pytest.approx(0, abs=0.3)
    passed = apply_steps(voice, ["high_pass"])
    shifts = np.correlate(voice[2000:], passed[2000:-400], "valid")
    assert np.argmax(shifts) == 0


@pytest.mark.parametrize("level_dbfs", [-60, -45, -26, -10])
def test_speech_of_any_level_comes_to_one(voice: NDArray[np.float32], level_dbfs: float) -> None:
    scaled = (voice * 10 ** ((level_dbfs - level_db(voice)) / 20)).astype(np.float32)

    levelled = apply_steps(scaled, ["loudness"])

    assert level_db(levelled) == pytest.approx(level_db(apply_steps(voice, ["loudness"])), abs=0.5)
    power = np.square(levelled[: len(levelled) // 512 * 512].reshape(-1, 512)).mean(axis=1)
    assert 10 * np.log10(power[power > np.median(power)].mean()) == pytest.approx(TARGET_DBFS, abs=2)
    assert np.abs(levelled).max() <= CEILING + 1e-6


def test_pauses_do_not_make_speech_louder(voice: NDArray[np.float32]) -> None:
    alone = apply_steps(voice, ["loudness"])
    among_pauses = apply_steps(np.concatenate([voice, np.zeros(8 * SAMPLE_RATE, np.float32)]), ["loudness"])

    assert level_db(among_pauses[: len(voice)]) == pytest.approx(level_db(alone), abs=1.5)


def test_the_limiter_holds_a_click_and_leaves_what_is_far_from_it() -> None:
    click = make_noise(1.0, -60)
    click[8000] = 0.9

    held = apply_steps(click, ["loudness"])

    assert np.abs(held).max() <= CEILING + 1e-6
    far = np.r_[0:7500, 8500:16_000]
    assert np.ptp(held[far] / click[far]) < 1e-3


def test_noise_is_turned_down_and_speech_kept(voice: NDArray[np.float32]) -> None:
    noise = make_noise(6.0, level_db(voice) - 15)

    alone = apply_steps(noise, ["noise_reduction"])
    clean = apply_steps(voice + noise, ["noise_reduction"])

    assert level_db(alone) < level_db(noise) - 9
    error_before, error_after = level_db(noise), level_db(clean - voice)
    assert error_after < error_before - 2
    assert level_db(clean) == pytest.approx(level_db(voice), abs=1.5)


@pytest.mark.parametrize(
    ("modes", "suggested", "steps"),
    [
        ({}, STEPS, ()),
        (dict.fromkeys(STEPS, "off"), STEPS, ()),
        (dict.fromkeys(STEPS, "on"), (), STEPS),
        (dict.fromkeys(STEPS, "auto"), (), ()),
        (dict.fromkeys(STEPS, "auto"), ("declip", "noise_reduction", "trim_silence"), ("noise_reduction",)),
        ({"high_pass": "on", "loudness": "auto"}, ("noise_reduction", "loudness"), ("high_pass", "loudness")),
        ({"high_pass": "auto"}, STEPS, ()),  # not measured to help
    ],
)
def test_steps_are_chosen_by_mode_and_by_what_validation_suggests(
    modes: Mapping[str, Mode], suggested: tuple[str, ...], steps: tuple[str, ...]
) -> None:
    assert choose_steps(make_quality(*suggested), modes, engine="pocketsphinx") == steps


def test_without_a_quality_only_what_is_on_is_taken() -> None:
    assert choose_steps(None, {"high_pass": "auto", "loudness": "on"}, engine="pocketsphinx") == ("loudness",)


def test_auto_takes_nothing_that_was_not_measured_to_help_the_engine() -> None:
    modes: Mapping[str, Mode] = {"noise_reduction": "auto", "loudness": "on"}

    assert choose_steps(make_quality(*STEPS), modes, engine="whisper") == ("loudness",)


@pytest.mark.parametrize("modes", [{"reverb": "on"}, {"loudness": "perhaps"}])
def test_unknown_steps_and_modes_are_told_what_there_is(modes: Mapping[str, Mode]) -> None:
    with pytest.raises(BadSettings, match="high_pass, noise_reduction, loudness"):
        choose_steps(None, modes, engine="whisper")
    with pytest.raises(BadSettings, match="'reverb' is not known"):
        apply_steps(make_noise(0.1, -30), ["reverb"])


def test_steps_have_a_name_that_a_transcript_is_known_by() -> None:
    assert name_steps(()) == ""
    assert name_steps(("high_pass", "loudness")) == "preprocess=high_pass+loudness"


def test_importing_it_does_not_load_scipy() -> None:
    code = "import sys, diarynotes.transcribe.preprocess; print('scipy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
