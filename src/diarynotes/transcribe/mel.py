"""What every Whisper engine has in common: log-mel in, tokens to text out, and the language they speak of.

Knows nothing of models or devices. Uses OpenAI's own code for log-mel and tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from diarynotes.errors import BadSettings
from diarynotes.models import Piece, Window, WindowText

Clip = tuple[float, float]
"""Start and end inside a window, s."""


def log_mel(windows: Sequence[Window], n_mels: int) -> Any:
    """Log-mel spectrograms as a tensor, float32 (windows, n_mels, 3000).

    The loudest value that Whisper scales by is each window's own, so a window's text does not depend on the others.
    """
    import torch
    import whisper

    return torch.stack([whisper.log_mel_spectrogram(whisper.pad_or_trim(w.samples), n_mels) for w in windows])


def group_languages(windows: Sequence[Window], likely: Sequence[Mapping[str, float]]) -> dict[str, list[int]]:
    """Rows of the batch by language: windows of one recording are heard in one, the likeliest over all of them.

    `likely` holds each row's probability of every language.
    """
    rows: dict[str, list[int]] = {}
    for row in range(len(windows)):
        rows.setdefault(windows[row].recording_id, []).append(row)
    languages: dict[str, list[int]] = {}
    for together in rows.values():
        sums = {code: sum(likely[row][code] for row in together) for code in likely[together[0]]}
        languages.setdefault(max(sums, key=sums.__getitem__), []).extend(together)
    return languages


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
