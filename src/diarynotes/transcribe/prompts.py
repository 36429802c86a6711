"""How a window's wishes reach a Whisper model: its glossary as a prompt, its own samples as the seed of chance.

Knows nothing of models. A prompt stands where Whisper expects the text before this window (whisper/decoding.py,
`DecodingTask._get_initial_tokens`), so it can sway the spelling of names but forces nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from diarynotes.models import Window

MOST_TERMS = 10
"""How many terms a glossary may have; more of them pull the text towards words that were not said."""


def start_tokens(terms: Sequence[str], tokenizer: Any, context: int) -> tuple[int, ...]:
    """The tokens that a window with these terms starts from: the glossary, where there is one, and what is asked for.

    `context` is how many tokens the model takes; the glossary gets half of them at most, and loses whole terms from
    its end to fit. `tokenizer` is OpenAI's, with language and task.
    """
    for count in range(min(len(terms), MOST_TERMS), 0, -1):
        # a term may spell a special token; it is plain text all the same
        text = f" Glossary: {', '.join(term.strip() for term in terms[:count])}."
        tokens = tokenizer.encode(text, disallowed_special=())
        if len(tokens) < context // 2:
            return (tokenizer.sot_prev, *tokens, *tokenizer.sot_sequence)
    return tuple(tokenizer.sot_sequence)


def draw_seed(window: Window) -> int:
    """A seed from the window's own samples, below 2 ** 63: the same at every call and beside any neighbours."""
    digest = hashlib.sha256(np.asarray(window.samples, dtype=np.float32).tobytes()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
