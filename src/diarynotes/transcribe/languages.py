"""Which language a recording is spoken in, from what an engine thinks of each of its windows.

Knows nothing of engines. A short window says little of its language; all windows together say much.
"""

from __future__ import annotations

from collections.abc import Iterable

from diarynotes.models import WindowText

SURE = 0.8
"""A window keeps a language of its own, where the rest speaks another, from this probability on (own choice)."""
LEAST_S = 2.0
"""And from so many seconds of speech on: of a shorter stretch the engine cannot be sure (own choice)."""


def main_language(heard: Iterable[tuple[WindowText, float]]) -> str | None:
    """The likeliest language over all windows, each given with its seconds of speech; None where none was looked for.

    Whisper itself decides by the first 30 s alone, whatever is spoken there (whisper/transcribe.py).
    """
    weights: dict[str, float] = {}
    for text, speech_s in heard:
        for language, probability in text.languages:
            weights[language] = weights.get(language, 0.0) + probability * speech_s
    return max(weights, key=weights.__getitem__) if weights else None


def own_language(text: WindowText, *, speech_s: float) -> str | None:
    """The language of a window where that is sure by itself, else None."""
    if not text.languages or speech_s < LEAST_S:
        return None
    language, probability = text.languages[0]
    return language if probability >= SURE else None
