from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diarynotes.transcribe.token_rules import TokenRules

ROWS = 5


@cache
def make_tokenizer(multilingual: bool) -> Any:
    from whisper.tokenizer import get_tokenizer

    return get_tokenizer(multilingual, language="en", task="transcribe")


@cache
def make_filters(multilingual: bool) -> Sequence[Any]:
    """OpenAI's own rules with the options that `whisper.decode` has by default."""
    import torch
    from whisper.decoding import DecodingOptions, DecodingTask
    from whisper.model import ModelDimensions, Whisper

    vocabulary = 51865 if multilingual else 51864
    with torch.device("cpu"):
        model = Whisper(ModelDimensions(80, 1500, 8, 1, 1, vocabulary, 448, 8, 1, 1))
    filters: Sequence[Any] = DecodingTask(model, DecodingOptions(language="en", fp16=False)).logit_filters
    return filters


def draw_tokens(generator: Any, tokenizer: Any, length: int) -> Any:
    """Text and time marks in any order, as no model would say them: the rules must agree all the same."""
    import torch

    text = torch.randint(0, tokenizer.eot, (ROWS, length), generator=generator)
    marks = torch.randint(
        tokenizer.timestamp_begin, tokenizer.timestamp_begin + 1501, (ROWS, length), generator=generator
    )
    return torch.where(torch.rand((ROWS, length), generator=generator) < 0.5, marks, text)


@pytest.mark.parametrize("multilingual", [True, False])
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), length=st.integers(0, 6), louder=st.sampled_from([-8.0, 0.0, 8.0]))
def test_the_rules_are_those_of_openai(multilingual: bool, seed: int, length: int, louder: float) -> None:
    import torch

    tokenizer = make_tokenizer(multilingual)
    generator = torch.Generator().manual_seed(seed)
    tokens = draw_tokens(generator, tokenizer, length)
    scores = torch.randn((ROWS, tokenizer.timestamp_begin + 1501), generator=generator)
    scores[:, tokenizer.timestamp_begin :] += louder
    theirs, ours = scores.clone(), scores
    start = torch.tensor([tokenizer.sot_sequence] * ROWS)
    for rule in make_filters(multilingual):
        rule.apply(theirs, torch.cat([start, tokens], dim=1))

    rules = TokenRules(tokenizer, ROWS, "cpu")
    for column in tokens.T:
        rules.follow(column)
    rules.forbid(ours)

    assert torch.equal(ours, theirs)


def test_rows_that_stay_keep_what_they_said() -> None:
    import torch

    tokenizer = make_tokenizer(True)
    generator = torch.Generator().manual_seed(3)
    tokens = draw_tokens(generator, tokenizer, 4)
    scores = torch.randn((ROWS, tokenizer.timestamp_begin + 1501), generator=generator)
    kept = torch.tensor([4, 1, 2])
    rules, alone = TokenRules(tokenizer, ROWS, "cpu"), TokenRules(tokenizer, len(kept), "cpu")
    for column in tokens.T:
        rules.follow(column)
        alone.follow(column[kept])

    rules.keep(kept)
    ours, theirs = scores[kept].clone(), scores[kept].clone()
    rules.forbid(ours)
    alone.forbid(theirs)

    assert torch.equal(ours, theirs)
