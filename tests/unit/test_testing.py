from __future__ import annotations

import numpy as np

from diarynotes.models import SAMPLE_RATE, Span, Window
from diarynotes.testing import SENTENCES, ScriptedEngine


def make_windows(count: int) -> list[Window]:
    rng = np.random.default_rng(11)
    return [
        Window(f"r{i}", 0, 0.0, rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32), (Span(0.0, 1.0),))
        for i in range(count)
    ]


def test_the_text_depends_on_the_samples_alone() -> None:
    windows = make_windows(40)
    texts = ScriptedEngine().decode(windows)

    assert texts[::-1] == ScriptedEngine().decode(windows[::-1])
    assert texts == [text for window in windows for text in ScriptedEngine().decode([window])]
    assert len({text.text for text in texts}) > 10
    assert {text.text for text in texts} <= set(SENTENCES)


def test_it_says_the_lines_it_is_given() -> None:
    assert {t.text for t in ScriptedEngine("one", "two", language="de").decode(make_windows(20))} == {"one", "two"}


def test_its_own_lines_are_all_different() -> None:
    assert len(set(SENTENCES)) == len(SENTENCES) >= 24
