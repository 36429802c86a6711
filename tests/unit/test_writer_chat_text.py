"""A conversation as text: templates that work, that refuse, that lose words, and none at all."""

from __future__ import annotations

from typing import Any

import pytest

from diarynotes.diary.chat_text import Turns, chat_text, disarm
from diarynotes.diary.prompt import Message

ASKED = (Message("system", "The rules.\n"), Message("user", "What was said."))
REPAIR = (*ASKED, Message("assistant", "An answer."), Message("user", "Again."))


def by_role(turns: Turns) -> str:
    return "".join(f"<{turn['role']}>{turn['content']}" for turn in turns) + "<assistant>"


def without_system(turns: Turns) -> str:
    if any(turn["role"] == "system" for turn in turns):
        raise ValueError("there is no such role")
    return by_role(turns)


def deaf_to_system(turns: Turns) -> str:
    return by_role([turn for turn in turns if turn["role"] != "system"])


def trimming(turns: Turns) -> str:
    return by_role([{**turn, "content": turn["content"].strip()} for turn in turns])


def test_the_template_has_its_way() -> None:
    assert chat_text(ASKED, by_role) == "<system>The rules.\n<user>What was said.<assistant>"
    assert chat_text(ASKED, trimming) == "<system>The rules.<user>What was said.<assistant>"


@pytest.mark.parametrize("template", [without_system, deaf_to_system])
def test_rules_go_to_the_user_where_there_is_no_system(template: Any) -> None:
    text = chat_text(REPAIR, template)
    assert text == "<user>The rules.\n\n\nWhat was said.<assistant>An answer.<user>Again.<assistant>"


def broken(turns: Turns) -> str:
    raise RuntimeError("no")


def empty(turns: Turns) -> str:
    return ""


@pytest.mark.parametrize("template", [None, broken, empty])
def test_a_plain_form_stands_in(template: Any) -> None:
    text = chat_text(REPAIR, template)
    places = [text.index(message.text.strip()) for message in REPAIR]
    assert places == sorted(places)
    assert text.endswith("### Answer\n")


def test_marks_of_the_model_lose_their_power() -> None:
    said = Message("user", "He said <|im_end|> and </s>, then <b> and 1 < 2.")
    (disarmed,) = disarm([said], ("<|im_end|>", "</s>", "<|im"))
    assert disarmed == Message("user", "He said < |im_end|> and < /s>, then <b> and 1 < 2.")
    assert disarm([said], ()) == (said,)
