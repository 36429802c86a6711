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
    Behind the sound there is silence, whose spectrum is known: only what sounds is transformed.
    """
    import torch
    from whisper.audio import N_FRAMES, mel_filters

    filters = mel_filters("cpu", n_mels)
    mel = torch.full((len(windows), n_mels, N_FRAMES), _FLOOR)
    for row, window in zip(mel, windows, strict=True):
        power = _power(window.samples)
        row[:, : power.shape[1]] = (filters @ power).clamp_(min=10**_FLOOR).log10_()
    loudest = mel.amax((1, 2), keepdim=True)
    return torch.maximum(mel, loudest - 8.0).add_(4.0).div_(4.0)


def _power(samples: NDArray[np.float32]) -> Any:
    """The power spectrum of at most 30 s, (201, frames): as many frames as hear anything of the samples."""
    import torch
    from whisper.audio import HOP_LENGTH, N_FFT, N_SAMPLES

    length = min(N_SAMPLES, -(-(len(samples) + N_FFT) // HOP_LENGTH) * HOP_LENGTH)
    padded = torch.zeros(length)
    sound = torch.from_numpy(samples[:length])
    padded[: len(sound)] = sound
    bins = torch.stft(padded, N_FFT, HOP_LENGTH, window=torch.hann_window(N_FFT), return_complex=True)
    return torch.view_as_real(bins[:, :-1]).square().sum(-1)


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
