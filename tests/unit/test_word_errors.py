from __future__ import annotations

import subprocess
import sys

import pytest

from diarynotes.word_errors import MIN_CLIPS, WordErrors, correlate_ranks, count_word_errors, measure_distance


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


def test_importing_it_does_not_load_torch() -> None:
    code = "import sys, diarynotes.word_errors; print('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
