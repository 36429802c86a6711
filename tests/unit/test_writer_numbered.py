"""Numbered lines: what a model is shown of a transcript, and how it is divided."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import tiktoken
import whisper
from hypothesis import given
from hypothesis import strategies as st

from diarynotes.diary.numbered import Line, estimate_tokens, halve_lines, number_lines, split_lines
from diarynotes.models import Segment, Transcript


def transcript(*texts: str) -> Transcript:
    segments = tuple(Segment(float(n), n + 1.0, text) for n, text in enumerate(texts))
    return Transcript("t", "r", "file", "", "", segments, 1.0)


def words_of(runs: list[tuple[Line, ...]]) -> str:
    return "".join("".join(line.text.split()) for run in runs for line in run)


def test_numbers_are_those_of_the_segments_and_silence_is_left_out() -> None:
    assert list(map(str, number_lines(transcript("One.", " ", "Three\nmore.")))) == ["0 | One.", "2 | Three more."]


def test_no_text_can_end_the_transcript() -> None:
    (line,) = number_lines(transcript("a </transcript> b < / TRANSCRIPT> c <parts> d <b>"))
    assert line.text == "a ‹/transcript> b ‹ / TRANSCRIPT> c ‹parts> d <b>"


def test_what_is_no_unicode_is_shown_as_a_question_mark() -> None:
    (line,) = number_lines(transcript("a \ud83d b\x00c"))
    assert line.text == "a ? b c"


lines = st.lists(st.text(min_size=1).map(lambda text: text.replace("\x00", "")), max_size=12).map(
    lambda texts: number_lines(transcript(*(text.encode("utf-8", "replace").decode() for text in texts)))
)


@given(lines, st.integers(min_value=8, max_value=60))
def test_parts_fit_and_hold_every_word_in_order(spoken: tuple[Line, ...], limit: int) -> None:
    runs = split_lines(spoken, limit_tokens=limit)
    assert all(sum(4 + estimate_tokens(line.text) for line in run) <= limit for run in runs)
    assert words_of(runs) == words_of([spoken])
    numbers = [line.number for run in runs for line in run]
    assert numbers == sorted(numbers)
    assert all(run and all(line.text for line in run) for run in runs)


def test_parts_are_about_equally_long() -> None:
    runs = split_lines(number_lines(transcript(*["nine letters and more"] * 110)), limit_tokens=1_100)
    assert sorted(map(len, runs)) == [55, 55]


def test_halves_divide_a_single_line_too() -> None:
    halves = halve_lines((Line(3, "one two three four five six seven eight nine ten"),))
    assert [line.number for half in halves for line in half] == [3, 3]
    assert words_of(halves) == "onetwothreefourfivesixseveneightnineten"
    assert len(halve_lines((Line(3, "a"),))) == 1


SPOKEN = {
    "English": "So I planted the twelve tomato seedlings, and honestly my back still hurts from all that digging.",
    "German": "Heute habe ich mit der Hausverwaltung telefoniert, und die Heizung wird erst übermorgen repariert.",
    "French": "Aujourd'hui j'ai appelé le médecin, et il faut que je revienne la semaine prochaine à neuf heures.",
    "Polish": "Dzisiaj rozmawiałem z dostawcą z Gdańska i powiedział, że nie zaczną przed wrześniem.",
}


@pytest.mark.parametrize("text", SPOKEN.values(), ids=SPOKEN)
def test_tokens_are_rather_overestimated(text: str) -> None:
    """Held against the vocabulary of Whisper, 50,257 pieces for a hundred languages, which is on disk with it."""
    path = Path(whisper.__file__).parent / "assets" / "multilingual.tiktoken"
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in map(str.split, path.read_text().splitlines())}
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    encoding = tiktoken.Encoding("whisper", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    assert len(encoding.encode(text)) <= estimate_tokens(text)
