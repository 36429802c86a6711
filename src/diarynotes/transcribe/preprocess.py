"""Makes speech easier to hear: rumble out, level up, noise down; each step alone, on one window.

Knows samples and step names; knows nothing of files, engines or settings. A step keeps the length, gives the same for
the same samples, and sees one window, so memory is bounded by its 30 s. Which steps help is measured in
docs/preprocessing.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import BadSettings
from diarynotes.models import SAMPLE_RATE, Quality

Samples: TypeAlias = NDArray[np.float32]
Mode: TypeAlias = Literal["on", "off", "auto"]

STEPS = ("high_pass", "noise_reduction", "loudness")
"""In the order in which they are taken: rumble would pass for noise and for level, noise for level."""
PROVEN: Mapping[str, tuple[str, ...]] = {"pocketsphinx": ("noise_reduction", "loudness")}
"""What was measured to help an engine where validation suggests it: what `auto` may take (docs/preprocessing.md)."""

CUTOFF_HZ = 80.0
"""Below the deepest voices' fundamental (about 85 Hz) and above the mains' 50 and 60 Hz."""
TARGET_DBFS = -26.0
"""The active speech level at which speech is tested (ITU-T P.800, B.1.7: 26 dB below overload)."""
GATE_DB = 10.0
"""Frames this far below the mean are no speech (as the relative gate of ITU-R BS.1770-4, without its weighting)."""
MOST_GAIN_DB = 50.0
"""Speech further down is lost in the 16 bits of its recording, dB."""
CEILING = 0.891
"""What the limiter lets through: -1 dBFS, the highest peak of EBU R 128."""
LIMITER_S = 0.005
"""How far ahead the limiter looks, and how fast it lets go, s."""

_FRAME = 512
_HOP = 128
_SMOOTHING = 0.9
"""Of the power over frames of 8 ms, before its minimum is looked for (Martin, 2001)."""
_MINIMUM_S = 1.5
"""The longest that speech may cover a frequency without a gap, s (Martin, 2001)."""
_MINIMUM_BIAS = 2.0
"""By which the minimum of a smoothed power lies below its mean; measured on white noise."""
_PRIORI_WEIGHT = 0.98
"""How much the last frame says of this one (Ephraim and Malah, 1984, equation 51)."""
_LEAST_GAIN = 10 ** (-15 / 20)
"""Noise is turned down, not off: holes in the spectrum are worse than noise."""


def choose_steps(quality: Quality | None, modes: Mapping[str, Mode], *, engine: str) -> tuple[str, ...]:
    """The steps to take before `engine` hears a recording, in order.

    Those that are `on`; of the `auto` ones those that validation suggests and that were measured to help this engine.
    A step without a mode is off. Raises: BadSettings for a step or a mode that does not exist.
    """
    for step, mode in modes.items():
        if step not in STEPS or mode not in ("on", "off", "auto"):
            raise BadSettings("preprocess", f"'{step}={mode}' is none of {', '.join(STEPS)} with on, off or auto.")
    helpful = set(quality.preprocessing if quality else ()) & set(PROVEN.get(engine, ()))
    return tuple(
        step for step in STEPS if (mode := modes.get(step, "off")) == "on" or (mode == "auto" and step in helpful)
    )


def name_steps(steps: Sequence[str]) -> str:
    """The steps as a part of a transcript's identity, such as `preprocess=high_pass+loudness`; empty for none."""
    return f"preprocess={'+'.join(steps)}" if steps else ""


def apply_steps(samples: Samples, steps: Sequence[str]) -> Samples:
    """What the steps, in the order given, make of a window: float32 (samples,) in, the same shape out.

    Without steps these very samples come back. Raises: BadSettings for a step that does not exist.
    """
    for step in steps:
        if step not in _APPLY:
            raise BadSettings("preprocess", f"'{step}' is not known; choose of {', '.join(STEPS)}.")
        samples = _APPLY[step](samples)
    return samples


def cut_rumble(samples: Samples) -> Samples:
    """A Butterworth high-pass of fourth order at 80 Hz, forwards and backwards, so that nothing is shifted in time."""
    from scipy.signal import butter, sosfiltfilt

    sections = butter(2, CUTOFF_HZ, "highpass", fs=SAMPLE_RATE, output="sos")  # run twice, so of order four in all
    padding = min(SAMPLE_RATE // 10, len(samples) - 1)
    return _as_samples(sosfiltfilt(sections, samples, padlen=padding)) if padding > 0 else samples


def level_loudness(samples: Samples) -> Samples:
    """Speech at -26 dBFS, peaks held under -1 dBFS by a limiter; at most 50 dB louder. Silence stays as it is."""
    power = _active_power(samples)
    if power <= 0.0:
        return samples
    gain = min(10 ** (TARGET_DBFS / 20) / float(np.sqrt(power)), 10 ** (MOST_GAIN_DB / 20))
    return _limit(samples * np.float32(gain))


def reduce_noise(samples: Samples) -> Samples:
    """Steady noise turned down by up to 15 dB with a Wiener filter.

    The noise of each frequency is the minimum of its smoothed power over 1.5 s (Martin, 2001, "Noise power spectral
    density estimation based on optimal smoothing and minimum statistics"); the signal-to-noise ratio before the fact
    is Ephraim and Malah's decision-directed one (1984).
    """
    from scipy.signal import istft, stft

    if len(samples) < _FRAME:
        return samples
    layout = {"fs": SAMPLE_RATE, "nperseg": _FRAME, "noverlap": _FRAME - _HOP}
    _, _, spectrum = stft(samples, **layout)
    power = np.square(np.abs(spectrum))
    _, clean = istft(spectrum * _wiener_gain(power / _noise_power(power)), **layout)
    return _as_samples(clean[: len(samples)])


def _active_power(samples: Samples) -> float:
    """Mean square of the frames of 32 ms that are louder than the mean of all less 10 dB."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    return float(power[power > power.mean() * 10 ** (-GATE_DB / 10)].mean()) if power.any() else 0.0


def _limit(samples: Samples) -> Samples:
    """A gain that is never more than a peak allows: the least one near, averaged over as much time."""
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    size = 2 * round(LIMITER_S * SAMPLE_RATE) + 1
    allowed = np.minimum(1.0, CEILING / np.maximum(np.abs(samples), CEILING))
    return _as_samples(samples * uniform_filter1d(minimum_filter1d(allowed, size), size))


def _noise_power(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The noise in each bin and frame, both (bins, frames)."""
    from scipy.ndimage import minimum_filter1d
    from scipy.signal import lfilter

    settled = power[:, :1] * _SMOOTHING
    smooth, _ = lfilter([1 - _SMOOTHING], [1, -_SMOOTHING], power, axis=1, zi=settled)
    least: NDArray[np.float64] = minimum_filter1d(smooth, round(_MINIMUM_S * SAMPLE_RATE / _HOP), axis=1)
    return np.maximum(least * _MINIMUM_BIAS, 1e-20)


def _wiener_gain(posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gain for each bin and frame from their power over the noise's, both (bins, frames)."""
    gains = np.empty_like(posterior)
    clean = np.ones(len(posterior))
    for frame in range(posterior.shape[1]):
        now = posterior[:, frame]
        priori = _PRIORI_WEIGHT * clean + (1 - _PRIORI_WEIGHT) * np.maximum(now - 1.0, 0.0)
        gains[:, frame] = gain = np.maximum(priori / (1.0 + priori), _LEAST_GAIN)
        clean = np.square(gain) * now
    return gains


def _as_samples(values: NDArray[np.floating]) -> Samples:
    return np.ascontiguousarray(values, dtype=np.float32)


_APPLY: Mapping[str, Callable[[Samples], Samples]] = {
    "high_pass": cut_rumble,
    "noise_reduction": reduce_noise,
    "loudness": level_loudness,
}
