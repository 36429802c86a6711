"""Holds a draft against what was said: what no moment of speech carries is dropped or flagged, by set rules.

Each sentence is read against the segments that it names: its numbers and units, clock times, days, names, quotes,
negations, and whether each of its clauses was said. The method is that of the checks of facts in summaries, by rule
instead of by a trained model: names as in Nan et al. 2021 (arXiv 2102.09130), amounts as in Zhao, Cohen and Webber
2020 (arXiv 2009.13312), the scope of a "not" as in NegEx (Chapman et al. 2001, doi 10.1006/jbin.2001.1029). The same
draft and transcript always give the same answer, in time linear in both.

It knows words, not meaning. Small words, synonyms and opposites are English; numbers, times, days and negations are
also German, French and Spanish; elsewhere only figures, quotes and the share of words are held against the speech, and
a number that differs is only told. Findings name places in the note, never its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from diarynotes.diary.grounding.checks import RULES, check_heading, check_sentence, is_invented, is_item_said
from diarynotes.diary.grounding.due import judge_due
from diarynotes.diary.grounding.listed import is_name_said, is_topic_said
from diarynotes.diary.grounding.memo import Memo
from diarynotes.diary.words import WORD
from diarynotes.models import DiaryNote, Draft, Finding, Sentence, Todo, Transcript

_Item = TypeVar("_Item")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])(?=.)")


@dataclass(frozen=True, slots=True)
class Grounded:
    """A draft without what was not said, and a finding for each thing dropped or doubted.

    `share`, 0 to 1, is how many of the body sentences that the writer wrote stand with no finding against them, of all
    that it wrote: a sentence that was dropped counts as written and not as standing. None where no body was written.
    """

    draft: Draft
    findings: tuple[Finding, ...]
    share: float | None


def ground_draft(draft: Draft, transcript: Transcript, *, day: date | None = None) -> Grounded:
    """The draft held against `transcript`; "tomorrow" and its like count from `day`, the memo's own.

    Without `day`, a date that only follows from such a word ("Thursday" for "tomorrow") counts as not said. Sentences
    are held against the segments that they name, everything else against the whole transcript. `RULES` says what is
    dropped; title, summary and a todo's text stay and are flagged, but for sentences of the summary of which hardly a
    word was said; a todo's date that no words carry is taken away.
    """
    memo = Memo(transcript)
    findings: list[Finding] = []
    body: list[Sentence] = []
    standing = 0
    for number, sentence in enumerate(draft.body):
        kept, seen = _ground_sentence(sentence, memo, day, f"body {number}")
        findings += seen
        body += [kept] if kept else []
        standing += not seen
    people = _keep_said("people", draft.people, lambda name: is_name_said(name, memo), findings)
    places = _keep_said("places", draft.places, lambda name: is_name_said(name, memo), findings)
    topics = _keep_said("topics", draft.topics, lambda topic: is_topic_said(topic, memo), findings)
    todos = _keep_said("todos", draft.todos, lambda todo: is_item_said(todo.text, memo, day), findings)
    questions = _keep_said("questions", draft.questions, lambda question: is_item_said(question, memo, day), findings)
    todos = _keep_dates(todos, memo, day, findings)
    summary = _keep_summary(draft.summary, memo, findings)
    grounded = replace(
        draft,
        summary=summary,
        body=tuple(body),
        people=people,
        places=places,
        topics=topics,
        todos=todos,
        questions=questions,
    )
    for where, text in (("title", draft.title), ("summary", summary)):
        findings += [_tell(code, where, dropped=False) for code in dict.fromkeys(check_heading(text, memo, day))]
    return Grounded(grounded, tuple(findings), standing / len(draft.body) if draft.body else None)


def check_note(note: DiaryNote, transcript: Transcript) -> tuple[Finding, ...]:
    """What a person should see before the note is trusted: an empty note, or how much speech its text leaves out."""
    spoken = {number for number, segment in enumerate(transcript.segments) if WORD.search(segment.text)}
    if not note.draft.body:
        message = "The note has no text." if spoken else "No words were heard, so the note is empty."
        return (Finding("empty_note", "warning", "body", message),)
    used = {number for sentence in note.draft.body for number in sentence.evidence}
    left_out = len(spoken - used)
    if left_out <= len(spoken) // 4:
        return ()
    message = f"The text is a selection: {left_out} of {len(spoken)} stretches of speech are left out."
    return (Finding("selection", "info", "body", message),)


def _ground_sentence(
    sentence: Sentence, memo: Memo, day: date | None, where: str
) -> tuple[Sentence | None, list[Finding]]:
    count = len(memo.segments)
    evidence = tuple(dict.fromkeys(number for number in sentence.evidence if 0 <= number < count))
    codes = check_sentence(sentence.text, evidence, memo, day) if evidence else ["no_evidence"]
    drops = any(RULES[code].drops for code in codes)
    findings = [_tell(code, where, dropped=drops) for code in dict.fromkeys(codes)]
    return None if drops else replace(sentence, evidence=evidence), findings


def _keep_said(
    what: str, items: Sequence[_Item], is_said: Callable[[_Item], bool], findings: list[Finding]
) -> tuple[_Item, ...]:
    kept = tuple(filter(is_said, items))
    if len(kept) < len(items):
        message = f"{what.capitalize()} named {len(items) - len(kept)} that nobody said; dropped."
        findings.append(Finding("not_said", "warning", what, message))
    return kept


def _keep_summary(summary: str, memo: Memo, findings: list[Finding]) -> str:
    """The summary without the sentences that tell what nobody did."""
    told = _SENTENCE_END.split(summary)
    kept = [sentence for sentence in told if not is_invented(sentence, memo)]
    if len(kept) == len(told):
        return summary
    findings.append(_tell("not_said", "summary", dropped=True))
    return " ".join(kept)


def _keep_dates(todos: Sequence[Todo], memo: Memo, day: date | None, findings: list[Finding]) -> tuple[Todo, ...]:
    """The todos without dates that no words carry; only the memo's day can tell."""
    if day is None:
        return tuple(todos)
    verdicts = [judge_due(todo.due, memo, day) if todo.due else "said" for todo in todos]
    if lost := verdicts.count("not said"):
        message = f"Todos named {lost} dates that no words carry; the dates were dropped."
        findings.append(Finding("wrong_date", "warning", "todos", message))
    if doubted := verdicts.count("unknown"):
        message = f"Todos named {doubted} dates that may not have been said."
        findings.append(Finding("other_date", "info", "todos", message))
    return tuple(
        replace(todo, due=None) if verdict == "not said" else todo
        for todo, verdict in zip(todos, verdicts, strict=True)
    )


def _tell(code: str, where: str, *, dropped: bool) -> Finding:
    rule = RULES[code]
    message = f"{where.capitalize()} {rule.what}{'; dropped' if dropped else ''}."
    return Finding(code, rule.severity, where, message)
