"""What every Whisper engine has in common: log-mel in, tokens to text out, and the language they speak of.

Knows nothing of models or devices. Uses OpenAI's own mel filters and tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import BadSettings
from diarynotes.models import Piece, Window, WindowText

Clip = tuple[float, float]
"""Start and end inside a window, s."""
_FLOOR = -10.0
"""The logarithm of the least power that Whisper tells from none."""


def log_mel(windows: Sequence[Window], n_mels: int) -> Any:
    """Log-mel spectrograms as a tensor, float32 (windows, n_mels, 3000), as whisper.audio.log_mel_spectrogram.

    The loudest value that Whisper scales by is each window's own, so a window's text does not depend on the others.
    Behind the sound there is silence, whose spectrum is known: only what sounds is transformed. One thread does it
    in 4 ms a window; torch, which shares such small work among threads, took 20 where other programs wanted the cores.
    """
    import torch
    from whisper.audio import N_FRAMES, mel_filters

    filters = mel_filters("cpu", n_mels).numpy()
    mel = np.full((len(windows), n_mels, N_FRAMES), _FLOOR, np.float32)
    for row, window in zip(mel, windows, strict=True):
        heard = filters @ _power(window.samples)
        np.log10(np.maximum(heard, 10**_FLOOR, out=heard), out=row[:, : heard.shape[1]])
        np.maximum(row, row.max() - 8.0, out=row)
    mel += 4.0
    mel /= 4.0
    return torch.from_numpy(mel)


def _power(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The power spectrum of at most 30 s, (201, frames): as many frames as hear anything of the samples."""
    from scipy.fft import rfft
    from whisper.audio import HOP_LENGTH, N_FFT, N_SAMPLES

    length = min(N_SAMPLES, -(-(len(samples) + N_FFT) // HOP_LENGTH) * HOP_LENGTH)
    padded = np.zeros(length, np.float32)
    padded[: len(samples)] = samples[:length]
    mirrored = np.pad(padded, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, N_FFT)[:length:HOP_LENGTH]
    bins = rfft(frames * _hann(N_FFT), overwrite_x=True)
    power: NDArray[np.float32] = np.square(bins.real) + np.square(bins.imag)
    return power.transpose()


def _hann(length: int) -> NDArray[np.float32]:
    """A periodic one, as torch.hann_window."""
    curve: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi / length * np.arange(length))
    return curve.astype(np.float32)


def read_text(
    tokens: Sequence[int], tokenizer: Any, *, language: str, avg_logprob: float, no_speech: float
) -> WindowText:
    """The text of decoded tokens, a piece for each pair of time marks; every piece carries the window's numbers."""
    numbers = (avg_logprob, no_speech)
    pieces = tuple(
        Piece(start_s, end_s, text, *numbers)
        for (start_s, end_s), spoken in cut_clips(tokens, tokenizer.timestamp_begin)
        if (text := tokenizer.decode(spoken).strip())
    )
    return WindowText(" ".join(piece.text for piece in pieces), pieces, language, *numbers)


def cut_clips(tokens: Sequence[int], timestamp_begin: int) -> Iterator[tuple[Clip, list[int]]]:
    """Runs of text tokens between the time marks around them, which count steps of 0.02 s (Whisper, section 2.3)."""
    start_s, text = 0.0, []
    for token in tokens:
        if token < timestamp_begin:
            text.append(token)
            continue
        time_s = (token - timestamp_begin) * 0.02
        if text:
            yield (start_s, time_s), text
        start_s, text = time_s, []
    if text:
        yield (start_s, 30.0), text


def known_language(language: str | None, *, multilingual: bool) -> str | None:
    """The ISO 639 code of a language by code or English name. Raises BadSettings for one the model does not know."""
    from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

    if not multilingual:
        if language not in (None, "en", "english"):
            raise BadSettings("language", f"this model hears only English, not '{language}'; choose one without .en.")
        return "en"
    if language is None:
        return None
    code: str = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
    if code not in LANGUAGES:
        raise BadSettings("language", f"'{language}' is not a language that Whisper knows; use a code such as 'en'.")
    return code
