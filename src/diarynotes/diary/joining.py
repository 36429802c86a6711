"""Joins the drafts of the parts of one long transcript into one, without asking anybody.

Knows no model. Nothing is left out but what several parts say alike; topics are those that most parts name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from diarynotes.diary.note_shape import once
from diarynotes.models import Draft, Mood, MoodLabel, Sentence, Todo

_MOST_TOPICS = 10
_CLEARLY = 0.15
"""A mean mood nearer to 0 than this has no direction."""


def join_drafts(drafts: Sequence[Draft]) -> Draft:
    """One draft of all parts in their order; its summary is theirs one after the other.

    The mood is the mean of the parts', each counting as much as it has sentences. Needs at least one draft.
    """
    if len(drafts) == 1:
        return drafts[0]
    longest = max(drafts, key=lambda draft: len(draft.body))
    return Draft(
        title=longest.title,
        summary=" ".join(draft.summary for draft in drafts if draft.summary),
        mood=_mean_mood(drafts),
        body=_join_bodies(drafts),
        people=_all(draft.people for draft in drafts),
        places=_all(draft.places for draft in drafts),
        topics=_rank(draft.topics for draft in drafts),
        todos=_join_todos([todo for draft in drafts for todo in draft.todos]),
        questions=_all(draft.questions for draft in drafts),
    )


def _join_bodies(drafts: Sequence[Draft]) -> tuple[Sentence, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(draft.body for draft in drafts)))


def _join_todos(todos: Sequence[Todo]) -> tuple[Todo, ...]:
    """Each once; one without a date goes where another part knows the date."""
    dated = {todo.text.casefold() for todo in todos if todo.due}
    kept = [todo for todo in todos if todo.due or todo.text.casefold() not in dated]
    return tuple({(todo.text.casefold(), todo.due): todo for todo in reversed(kept)}.values())[::-1]


def _mean_mood(drafts: Sequence[Draft]) -> Mood:
    weights = [max(len(draft.body), 1) for draft in drafts]
    score = sum(draft.mood.score * weight for draft, weight in zip(drafts, weights, strict=True)) / sum(weights)
    labels = {draft.mood.label for draft in drafts} - {"neutral"}
    return Mood(_name_mood(score, labels), round(score, 2))


def _name_mood(score: float, labels: set[MoodLabel]) -> MoodLabel:
    if not labels:
        return "neutral"
    if len(labels) > 1 or "mixed" in labels or abs(score) < _CLEARLY:
        return "mixed"
    return "positive" if score > 0 else "negative"


def _all(lists: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return once(list(chain.from_iterable(lists)))


def _rank(lists: Iterable[Sequence[str]]) -> tuple[str, ...]:
    topics = list(chain.from_iterable(lists))
    counts = Counter(topic.casefold() for topic in topics)
    return tuple(sorted(once(topics), key=lambda topic: -counts[topic.casefold()])[:_MOST_TOPICS])
