from __future__ import annotations

import subprocess
import sys

import pytest

from diarynotes.word_errors import (
    MIN_CLIPS,
    SURE,
    WordErrors,
    correlate_ranks,
    count_as_fewer,
    count_word_errors,
    measure_distance,
)


@pytest.mark.parametrize(
    ("wanted", "found", "distance"),
    [
        ("", "", 0),
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a c", "a b c", 1),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c d", "b c d a", 2),
    ],
)
def test_the_distance_counts_changes_gaps_and_additions(wanted: str, found: str, distance: int) -> None:
    assert measure_distance(wanted.split(), found.split()) == distance
    assert measure_distance(found.split(), wanted.split()) == distance


def test_spelling_case_and_numbers_are_no_errors() -> None:
    assert count_word_errors("We don't like the colour of two dogs.", "we do not like the color of 2 dogs").wrong == 0


def test_other_languages_keep_their_accents_and_their_numbers() -> None:
    assert count_word_errors("Où est-elle ?", "où est elle", "fr").wrong == 0
    assert count_word_errors("Où est-elle ?", "ou est elle", "fr").wrong == 1
    assert count_word_errors("zwei Hunde", "2 hunde", "de") == WordErrors(wrong=1, words=2)


def test_letters_are_counted_where_there_are_no_spaces() -> None:
    assert count_word_errors("今日は雨。", "今日は雪", "ja") == WordErrors(wrong=1, words=4)


def test_words_are_counted_as_said() -> None:
    errors = count_word_errors("the child almost hurt the small dog", "a child almost hurt the dog today")

    assert errors == WordErrors(wrong=3, words=7)
    assert errors.rate == pytest.approx(3 / 7)


def test_what_is_heard_where_nothing_was_said_is_wrong_but_has_no_rate() -> None:
    errors = count_word_errors("", "hello there")

    assert errors == WordErrors(wrong=2, words=0)
    assert errors.rate is None
    assert (errors + WordErrors(1, 4)).rate == 0.75


@pytest.mark.parametrize(
    ("second", "rho"),
    [
        ([1, 2, 3, 4, 5], 1.0),
        ([5, 4, 3, 2, 1], -1.0),
        ([1, 20, 300, 4000, 50_000], 1.0),
        ([2, 1, 4, 3, 5], 0.8),  # 1 - 6 * 4 / (5 * 24)
    ],
)
def test_ranks_are_compared_not_values(second: list[float], rho: float) -> None:
    assert correlate_ranks([10, 20, 30, 40, 50], second) == pytest.approx(rho)


def test_equal_values_share_their_mean_rank() -> None:
    # ranks 1, 2.5, 2.5, 4, 5 against 1 to 5: Pearson's coefficient of these is 9.5 / sqrt(9.5 * 10)
    assert correlate_ranks([1, 2, 2, 3, 4], [1, 2, 3, 4, 5]) == pytest.approx((9.5 / 10) ** 0.5)


def test_too_few_pairs_and_what_does_not_vary_say_nothing() -> None:
    few = list(range(MIN_CLIPS - 1))

    assert correlate_ranks(few, few) is None
    assert correlate_ranks([1] * MIN_CLIPS, list(range(MIN_CLIPS))) is None
    assert correlate_ranks(list(range(MIN_CLIPS)), [0] * MIN_CLIPS) is None


def make_clips(*wrong: int) -> list[WordErrors]:
    return [WordErrors(count, 10) for count in wrong]


def test_fewer_errors_in_every_clip_are_no_chance() -> None:
    better, worse = make_clips(1, 2, 0, 3, 1, 2), make_clips(3, 3, 2, 5, 2, 4)

    assert count_as_fewer(better, worse) == 1.0
    assert count_as_fewer(worse, better) == 0.0


def test_one_clip_more_right_among_many_may_be_chance() -> None:
    first, second = make_clips(1, 2, 0, 3, 1, 2), make_clips(1, 2, 1, 3, 1, 2)

    assert 0.5 < count_as_fewer(first, second) < SURE
    assert count_as_fewer(first, first) == 0.5
    assert count_as_fewer([], []) == 0.5


def test_importing_it_does_not_load_torch() -> None:
    code = "import sys, diarynotes.word_errors; print('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
