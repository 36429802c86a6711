"""Tokens for a batch of windows, one after another: the likeliest, or drawn by chance where a row starts for it.

Knows nothing of audio or of text. Greedy decoding gives the tokens and numbers of `whisper.decode` with its default
options; rows that are finished leave the batch, and the device is asked only now and then which ones are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diarynotes.transcribe.token_rules import TokenRules
from diarynotes.transcribe.torch_decoder import Cache, Decoder


@dataclass(frozen=True, slots=True)
class Start:
    """What one row starts from; `seed` decides what is drawn where `temperature` is above 0."""

    prompt: tuple[int, ...]
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True)
class Said:
    """What one row came to: its tokens up to the end mark, their mean log-probability, and whether anybody speaks.

    The end mark counts in the mean; `no_speech` is the probability that nobody does.
    """

    tokens: list[int]
    avg_logprob: float
    no_speech: float


def say(
    decoder: Decoder, heard: Any, starts: Sequence[Start], tokenizer: Any, *, context: int, look_every: int
) -> list[Said]:
    """What rows that listen to `heard` say. All prompts are of one length.

    `heard` comes from `Decoder.listen` and is used up; `context` is how many tokens the model takes; every
    `look_every` tokens the device is asked who has finished. Raises ValueError when the model's numbers are none.
    """
    import torch

    length = len(starts[0].prompt)
    limit = min(context // 2, context + 1 - length)  # as DecodingTask._main_loop
    cache = decoder.open(heard, length + limit)
    states = decoder.read(torch.tensor([start.prompt for start in starts], device=heard.device), cache)
    first = decoder.score(states[:, starts[0].prompt.index(tokenizer.sot)])
    no_speech = first.softmax(1)[:, tokenizer.no_speech]
    table = _Table(starts, tokenizer, limit, heard.device)
    scores = decoder.score(states[:, -1])
    for step in range(limit):
        table.choose(scores, step)
        if step + 1 == limit or (step % look_every == 0 and not _drop_finished(table, cache)):
            break
        scores = decoder.score(decoder.read(table.newest[:, None], cache)[:, -1])
    return table.read(no_speech.tolist())


def _drop_finished(table: _Table, cache: Cache) -> int:
    """Let the finished rows go; how many are left."""
    unfinished = table.list_unfinished()
    if len(unfinished) < cache.rows:
        table.keep(cache.keep(unfinished))
    return len(unfinished)


class _Table:
    """The tokens of all rows so far, and of which rows the batch still consists."""

    def __init__(self, starts: Sequence[Start], tokenizer: Any, limit: int, device: Any) -> None:
        import torch

        self._end = tokenizer.eot
        self._rules = TokenRules(tokenizer, len(starts), device)
        self._rows = torch.arange(len(starts), device=device)
        self._tokens = torch.full((len(starts), limit), self._end, device=device)
        self._sums = torch.zeros(len(starts), device=device)
        self._draws = _Draws(starts, limit, device) if any(start.temperature > 0 for start in starts) else None
        self._finished = torch.zeros(len(starts), dtype=torch.bool, device=device)
        self.newest = self._tokens[:, 0]

    def choose(self, scores: Any, step: int) -> None:
        """Add a token to each row by these scores, (rows, vocabulary), which are changed in place."""
        self._rules.forbid(scores)
        tokens = scores.max(1).indices  # faster than argmax
        if self._draws is not None:
            tokens = self._draws.draw(scores, self._rows, step, tokens)
        # not logsumexp: on a CPU it takes long over what is minus infinity
        gained = scores.log_softmax(1).gather(1, tokens[:, None])[:, 0]
        self._sums[self._rows] += gained.masked_fill(self._finished, 0.0)
        self.newest = tokens.masked_fill(self._finished, self._end)
        self._tokens[self._rows, step] = self.newest
        self._rules.follow(self.newest)
        self._finished = self.newest == self._end

    def list_unfinished(self) -> list[int]:
        """Places in the batch; starts the device, which waits until it is done."""
        return [place for place, finished in enumerate(self._finished.tolist()) if not finished]

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the rows at these places, in this order."""
        import torch

        kept = torch.tensor(places, dtype=torch.long, device=self._rows.device)
        self._rows, self._finished, self.newest = self._rows[kept], self._finished[kept], self.newest[kept]
        self._rules.keep(kept)

    def read(self, no_speech: Sequence[float]) -> list[Said]:
        """What the rows said. Raises ValueError when numbers came out that are none."""
        said = []
        for tokens, total, silent in zip(self._tokens.tolist(), self._sums.tolist(), no_speech, strict=True):
            if not math.isfinite(total) or not math.isfinite(silent):
                raise ValueError("the model's numbers are none")
            spoken = tokens[: tokens.index(self._end)] if self._end in tokens else tokens
            said.append(Said(spoken, total / (len(spoken) + 1), silent))
        return said


class _Draws:
    """Chance for rows with a temperature: one number per row and token, drawn ahead from the row's own seed."""

    def __init__(self, starts: Sequence[Start], limit: int, device: Any) -> None:
        import torch

        chances = [torch.rand(limit, dtype=torch.float64, generator=_seeded(start.seed)) for start in starts]
        self._chances = torch.stack(chances).to(device)
        self._temperatures = torch.tensor([start.temperature for start in starts], dtype=torch.float64, device=device)

    def draw(self, scores: Any, rows: Any, step: int, likeliest: Any) -> Any:
        """A token for each row, by the share of the likelihood that its number falls into."""
        import torch

        temperatures = self._temperatures[rows]
        warm = temperatures > 0
        divisors = temperatures.where(warm, 1.0)[:, None]
        shares = (scores.double() / divisors).softmax(1).cumsum(1)
        shares = shares / shares[:, -1:]  # ends in exactly 1, above every number drawn
        drawn = torch.searchsorted(shares, self._chances[rows, step][:, None], right=True)[:, 0]
        return drawn.where(warm, likeliest)


def _seeded(seed: int) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)
