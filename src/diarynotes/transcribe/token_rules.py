"""Which tokens Whisper may say next: OpenAI's rules, for all rows of a batch at once and without asking the device.

Knows nothing of models. The rules are SuppressBlank, SuppressTokens and ApplyTimestampRules of whisper/decoding.py,
as `whisper.decode` sets them up; there they go row by row and read the tokens back from the device each time.
"""

from __future__ import annotations

from typing import Any

FIRST_MARK_S = 1.0
"""The latest time at which the first mark of a window may stand, s (`max_initial_timestamp`)."""
MARK_S = 0.02
"""What one time mark counts, s: the encoder gives 1500 frames for 30 s."""


def list_unspoken(tokenizer: Any) -> list[int]:
    """Tokens that are no speech: OpenAI's default for `suppress_tokens`, and the mark for no time marks."""
    marks = (tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm)
    return sorted({*tokenizer.non_speech_tokens, *marks, tokenizer.no_speech, tokenizer.no_timestamps})


class TokenRules:
    """Follows the tokens of a batch of `rows` and forbids what may not come next.

    A time mark comes first, at 1 s or before; marks come in pairs, except before the end; no mark goes back, and no
    stretch of speech has no length; where all marks together are likelier than any text, a mark must come. No blank
    and no end may come first: since a mark must, nothing is to be done for it.
    """

    def __init__(self, tokenizer: Any, rows: int, device: str) -> None:
        import torch

        self._end, self._first_mark = tokenizer.eot, tokenizer.timestamp_begin
        self._unspoken = torch.tensor(list_unspoken(tokenizer), device=device)
        self._started = False
        self._newest_mark = torch.full((rows,), self._first_mark - 1, device=device)
        self._last_is_mark = torch.ones(rows, dtype=torch.bool, device=device)  # before the first token: as one mark
        self._one_before_is_mark = self._last_is_mark

    def forbid(self, scores: Any) -> None:
        """Set the scores of forbidden tokens, (rows, vocabulary), to minus infinity, in place."""
        import torch

        never = -torch.inf
        scores.index_fill_(1, self._unspoken, never)
        text, marks = scores[:, : self._first_mark], scores[:, self._first_mark :]
        if self._started:
            self._pair_marks(scores, marks)
        else:
            text.fill_(never)  # a blank and the end among them
            marks[:, round(FIRST_MARK_S / MARK_S) + 1 :] = never
        mark_must_come = marks.logsumexp(1) > text.amax(1)
        text.masked_fill_(mark_must_come[:, None], never)

    def follow(self, tokens: Any) -> None:
        """Take note of what came next, tokens of shape (rows,)."""
        self._started = True
        is_mark = tokens >= self._first_mark
        self._one_before_is_mark, self._last_is_mark = self._last_is_mark, is_mark
        self._newest_mark = tokens.where(is_mark, self._newest_mark)

    def _pair_marks(self, scores: Any, marks: Any) -> None:
        import torch

        paired = self._last_is_mark & self._one_before_is_mark
        single = self._last_is_mark & ~self._one_before_is_mark
        scores[:, : self._end].masked_fill_(single[:, None], -torch.inf)
        # a mark that closes a stretch of speech may be repeated to open the next; any other has to be later
        lowest = torch.where(single, self._newest_mark, self._newest_mark + 1)
        early = torch.arange(self._first_mark, scores.shape[1], device=scores.device) < lowest[:, None]
        marks.masked_fill_(early | paired[:, None], -torch.inf)

    def keep(self, rows: Any) -> None:
        """Go on with these rows only, in this order."""
        self._newest_mark = self._newest_mark[rows]
        self._last_is_mark = self._last_is_mark[rows]
        self._one_before_is_mark = self._one_before_is_mark[rows]
