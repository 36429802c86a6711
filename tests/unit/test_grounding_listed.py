"""Lists of a note, and scripts without blanks: what nobody said is dropped, a broader topic stays."""

from __future__ import annotations

from datetime import date

import pytest

from diarynotes.diary.grounding import ground_draft
from diarynotes.diary.grounding.checks import check_sentence
from diarynotes.diary.grounding.listed import is_name_said, is_topic_said
from diarynotes.diary.grounding.memo import Memo
from diarynotes.models import Draft, Mood, Segment, Todo, Transcript

DAY = date(2026, 6, 10)


def transcript(said: str, language: str = "en") -> Transcript:
    return Transcript("t", "r", "fake", "fake", language, (Segment(0.0, 1.0, said),), 1.0)


@pytest.mark.parametrize(
    ("language", "said", "name", "is_there"),
    [
        ("ja", "今日は山田さんと公園を散歩しました。", "山田", True),
        ("ja", "今日は山田と公園を散歩しました。", "山田さん", True),
        ("ja", "今日は公園を散歩しました。", "山田", False),
        ("ja", "今日は公園を散歩しました。", "京都", False),
        ("ja", "今日はさくらと散歩しました。", "さくら", True),
        ("ja", "今日は散歩しました。", "さくら", False),
        ("zh", "我和小明去了公园", "小明", True),
        ("zh", "我和小明去了公园", "小红", False),
        ("ko", "오늘 민수가 왔다", "민수", True),
        ("ko", "오늘 민수가 왔다", "영희", False),
        ("tr", "bugün ali geldi", "ali", True),
        ("tr", "bugün ali geldi", "can", False),
        ("en", "I met Anna in Leeds", "Anna", True),
        ("en", "I met Anna in Leeds", "Ben", False),
    ],
)
def test_names(language: str, said: str, name: str, is_there: bool) -> None:
    assert is_name_said(name, Memo(transcript(said, language))) == is_there


@pytest.mark.parametrize(
    ("language", "said", "topic", "is_there"),
    [
        ("en", "I went to the shop", "the shop", True),
        ("en", "I went to the shop", "shopping", True),
        ("en", "I went to the shop", "divorce", False),
        ("en", "I went to the shop", "alcohol", False),
        ("en", "I argued with Anna", "the quarrel", True),
        ("en", "my boss was angry", "work", True),  # a broader word
        ("en", "my boss was angry", "family", False),
        ("en", "we met on Monday", "Monday", True),
        ("de", "ich war beim Arzt", "Arztbesuch", True),
        ("de", "ich war beim Arzt", "Scheidung", False),
        ("ja", "今日は公園を散歩しました。", "散歩", True),
        ("ja", "仕事で悩んでいる", "仕事の悩み", True),
        ("ja", "今日は公園を散歩しました。", "離婚", False),
    ],
)
def test_topics(language: str, said: str, topic: str, is_there: bool) -> None:
    assert is_topic_said(topic, Memo(transcript(said, language))) == is_there


def test_what_nobody_said_leaves_the_lists() -> None:
    draft = Draft("", "", Mood("neutral", 0.0), (), people=("山田",), places=("京都", "公園"), topics=("散歩", "離婚"))
    grounded = ground_draft(draft, transcript("今日は公園を散歩しました。", "ja"), day=DAY)
    assert (grounded.draft.people, grounded.draft.places, grounded.draft.topics) == ((), ("公園",), ("散歩",))
    assert [(it.code, it.where) for it in grounded.findings] == [
        ("not_said", "people"),
        ("not_said", "places"),
        ("not_said", "topics"),
    ]


def test_a_todo_without_blanks_is_found_in_what_was_said() -> None:
    draft = Draft("", "", Mood("neutral", 0.0), (), todos=(Todo("提交表格"), Todo("打电话给医院")))
    grounded = ground_draft(draft, transcript("明天要向银行提交表格。", "zh"), day=DAY)
    assert grounded.draft.todos == (Todo("提交表格"),)


@pytest.mark.parametrize(
    ("language", "said", "claim", "found"),
    [
        ("zh", "今天我和小明去公园散步，聊了很久。", "今天我和小明在公园散步，聊了很久。", []),
        ("zh", "明天要提交表格给银行", "明天需要向银行提交表格。", []),
        ("zh", "今天我和小明去公园散步，聊了很久。", "昨天王芳在医院做了手术，情况稳定。", ["not_said"]),
        ("zh", "他说我不去了", "他说“我不去了”。", []),
        ("zh", "他说我不去了", "他说“我要走了”。", ["wrong_quote", "doubtful"]),
        ("ja", "今日は公園を散歩しました。", "京都で友達と寿司を食べた。", ["not_said"]),
    ],
)
def test_sentences_without_blanks(language: str, said: str, claim: str, found: list[str]) -> None:
    assert check_sentence(claim, (0,), Memo(transcript(said, language)), DAY) == found
