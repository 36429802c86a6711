from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diarynotes.models import Span, Window
from diarynotes.transcribe.prompts import MOST_TERMS, draw_seed, start_tokens


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from whisper.tokenizer import get_tokenizer

    return get_tokenizer(True, language="de", task="transcribe")


def read_prompt(terms: tuple[str, ...], tokenizer: Any, context: int = 448) -> str:
    tokens = start_tokens(terms, tokenizer, context)
    assert tokens[0] == tokenizer.sot_prev
    assert tokens[-3:] == tokenizer.sot_sequence
    assert len(tokens) <= context // 2 + 3
    text: str = tokenizer.decode(tokens[1:-3])
    return text


def test_without_terms_there_is_no_prompt(tokenizer: Any) -> None:
    assert start_tokens((), tokenizer, 448) == tokenizer.sot_sequence


def test_terms_come_before_what_is_asked_for(tokenizer: Any) -> None:
    assert read_prompt(("Anna ", "Zug"), tokenizer) == " Glossary: Anna, Zug."


def test_at_most_ten_terms_are_taken(tokenizer: Any) -> None:
    terms = tuple(f"Name{number}" for number in range(12))

    assert read_prompt(terms, tokenizer).count("Name") == MOST_TERMS


def test_a_prompt_takes_half_of_the_context_and_whole_terms(tokenizer: Any) -> None:
    assert read_prompt(("Anna", "Zug", "Donaudampfschifffahrtsgesellschaft"), tokenizer, 24) == " Glossary: Anna, Zug."
    assert start_tokens(("Donaudampfschifffahrtsgesellschaft",), tokenizer, 8) == tokenizer.sot_sequence


def test_a_term_is_plain_text_even_where_it_spells_a_mark(tokenizer: Any) -> None:
    tokens = start_tokens(("<|endoftext|>",), tokenizer, 448)

    assert tokenizer.eot not in tokens


def test_the_seed_is_the_samples_own() -> None:
    samples = np.arange(8, dtype=np.float32)
    one, same, other = (
        Window(name, number, start_s, found, (Span(0.0, 1.0),), temperature=temperature)
        for name, number, start_s, found, temperature in (
            ("a", 0, 0.0, samples, 0.0), ("b", 3, 9.0, samples.copy(), 0.8), ("a", 0, 0.0, samples + 1, 0.0)
        )
    )  # fmt: skip

    assert draw_seed(one) == draw_seed(same)
    assert draw_seed(one) != draw_seed(other)
    assert 0 <= draw_seed(one) < 2**63
