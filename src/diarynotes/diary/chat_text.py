"""A conversation as the one text that a local model continues, in the form that its file asks for.

Knows no library but the template's own language (jinja2); what a template does with a role that it does not like is
found out by trying.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from diarynotes.diary.prompt import Message

Turns: TypeAlias = list[dict[str, str]]
Template: TypeAlias = Callable[[Turns], str]
"""Fills a chat template. Raises whatever the template raises."""


def chat_text(messages: Sequence[Message], template: Template | None) -> str:
    """The conversation up to where the model's answer begins.

    A template that refuses the system's role, or leaves out what is said in it, is given the rules at the head of the
    user's words; one that fails all the same, or is missing, is replaced by a plain form.
    """
    for turns in (_turns(messages), _turns(_without_system(messages))):
        text = _fill(template, turns)
        if text is not None:
            return text
    return _plain(messages)


def disarm(messages: Sequence[Message], marks: Collection[str]) -> tuple[Message, ...]:
    """The messages without the model's own control marks, such as `<|im_end|>`, which could end a turn.

    A space behind the first sign makes plain text of a mark. `marks` are the texts of the control tokens.
    """
    if not marks:
        return tuple(messages)
    pattern = re.compile("|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True)))
    return tuple(
        Message(message.role, pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", message.text))
        for message in messages
    )


def _fill(template: Template | None, turns: Turns) -> str | None:
    """The template's text; None where it failed or lost something that was to be said."""
    if template is None:
        return None
    try:
        text = template(turns)
    except Exception:  # whatever the file's author wrote into it
        return None
    return text if all(turn["content"].strip() in text for turn in turns) else None


def _turns(messages: Sequence[Message]) -> Turns:
    return [{"role": message.role, "content": message.text} for message in messages]


def _without_system(messages: Sequence[Message]) -> list[Message]:
    rules = "\n".join(message.text for message in messages if message.role == "system")
    first, *others = [message for message in messages if message.role != "system"]
    return [Message(first.role, f"{rules}\n\n{first.text}"), *others]


def _plain(messages: Sequence[Message]) -> str:
    names = {"system": "Rules", "user": "Question", "assistant": "Answer"}
    told = "".join(f"### {names[message.role]}\n{message.text.strip()}\n\n" for message in messages)
    return f"{told}### Answer\n"
