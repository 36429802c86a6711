"""Holds a draft against what was said: what no moment of speech carries is dropped or flagged.

Works on words, numbers and negations, so it catches what was added or turned round; it does not understand meaning.
Findings name places in the note, never its text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from diarynotes.diary.figures import is_number_word, read_numbers
from diarynotes.diary.words import STOPWORDS, WORD, fold, is_negation, stem
from diarynotes.models import DiaryNote, Draft, Finding, Sentence, Severity, Transcript

_Item = TypeVar("_Item")

_CARRIED = 0.5
"""Share of a sentence's content words that its evidence should hold; below it the sentence is flagged."""
_INVENTED = 0.2
"""Share of content words at or below which a sentence counts as invented and is dropped."""
_REACH = 3
"""Words after a negation that it may negate."""
_CLAUSE_ENDS = frozenset(".,;:!?")


def ground(draft: Draft, transcript: Transcript) -> tuple[Draft, tuple[Finding, ...]]:
    """The draft without what was not said, and a finding for each thing dropped or doubted.

    A body sentence is dropped when its evidence names no segment, when it holds a number that its evidence does not,
    or when hardly any of its words were said; it is flagged when a negation came or went, or half its words are new.
    Names, todos and questions are held against the whole transcript.
    """
    said = _Said(transcript)
    findings: list[Finding] = []
    body: list[Sentence] = []
    for number, sentence in enumerate(draft.body):
        kept, finding = _ground_sentence(sentence, transcript, f"body {number}")
        findings += [finding] if finding else []
        body += [kept] if kept else []
    people = _keep_said("people", draft.people, lambda name: name, said, findings)
    places = _keep_said("places", draft.places, lambda name: name, said, findings)
    todos = _keep_said("todos", draft.todos, lambda todo: todo.text, said, findings)
    questions = _keep_said("questions", draft.questions, lambda question: question, said, findings)
    grounded = replace(draft, body=tuple(body), people=people, places=places, todos=todos, questions=questions)
    return grounded, (*findings, *_doubt_heading(grounded, said))


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


class _Said:
    """The stems and numbers of a whole transcript, read once."""

    def __init__(self, transcript: Transcript) -> None:
        text = transcript.text
        self.words = frozenset(fold(text))
        self.stems = frozenset(map(stem, self.words))
        self.numbers = read_numbers(text)

    def holds(self, text: str) -> bool:
        """Whether all numbers and at least half of the content words of `text` were said somewhere."""
        return read_numbers(text, joined=False) <= self.numbers and _share(text, self.stems) >= _CARRIED


def _ground_sentence(sentence: Sentence, transcript: Transcript, where: str) -> tuple[Sentence | None, Finding | None]:
    count = len(transcript.segments)
    evidence = tuple(dict.fromkeys(number for number in sentence.evidence if 0 <= number < count))
    if not evidence:
        return None, _finding("no_evidence", "warning", where, "names no moment of speech that exists; dropped")
    spoken = " ".join(transcript.segments[number].text for number in evidence)
    kept = replace(sentence, evidence=evidence)
    if not read_numbers(sentence.text, joined=False) <= read_numbers(spoken):
        return None, _finding("wrong_number", "warning", where, "holds a number that was not said there; dropped")
    share = _share(sentence.text, frozenset(map(stem, fold(spoken))))
    if share <= _INVENTED:
        return None, _finding("not_said", "warning", where, "says what was not said there; dropped")
    if _is_turned_round(sentence.text, spoken):
        return kept, _finding("negation", "warning", where, "may have lost or gained a 'not'")
    if share < _CARRIED:
        return kept, _finding("doubtful", "info", where, "is only partly in the words that were said there")
    return kept, None


def _keep_said(
    what: str, items: Sequence[_Item], text_of: Callable[[_Item], str], said: _Said, findings: list[Finding]
) -> tuple[_Item, ...]:
    kept = tuple(item for item in items if said.holds(text_of(item)))
    if len(kept) < len(items):
        dropped = f"named {len(items) - len(kept)} that nobody said; dropped"
        findings.append(_finding("not_said", "warning", what, dropped))
    return kept


def _doubt_heading(draft: Draft, said: _Said) -> list[Finding]:
    parts = (("title", draft.title), ("summary", draft.summary))
    return [
        _finding("wrong_number", "warning", where, "holds a number that was not said")
        for where, text in parts
        if not read_numbers(text, joined=False) <= said.numbers
    ]


def _share(text: str, stems: frozenset[str]) -> float:
    """The share of the content words of `text` whose stems are among `stems`; 1.0 where it has none."""
    content = [word for word in fold(text) if word not in STOPWORDS and not is_number_word(word)]
    if not content:
        return 1.0
    return sum(stem(word) in stems for word in content) / len(content)


def _is_turned_round(text: str, spoken: str) -> bool:
    """Whether a content word is negated on one side only, though both sides hold it."""
    ours, theirs = _negated(text), _negated(spoken)
    plain_ours, plain_theirs = _content(text) - ours, _content(spoken) - theirs
    return bool(ours & plain_theirs - theirs) or bool(theirs & plain_ours - ours)


def _negated(text: str) -> frozenset[str]:
    """Stems of the content words that a negation shortly before them, in the same clause, may negate."""
    found: set[str] = set()
    reach, end = 0, 0
    for match in WORD.finditer(text):
        if _CLAUSE_ENDS & set(text[end : match.start()]):
            reach = 0
        end = match.end()
        word = match[0].lower().replace("’", "'")
        if reach and word not in STOPWORDS:
            found.add(stem(word))
        reach = _REACH if is_negation(word) else max(reach - 1, 0)
    return frozenset(found)


def _content(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in fold(text) if word not in STOPWORDS)


def _finding(code: str, severity: Severity, where: str, what: str) -> Finding:
    return Finding(code, severity, where, f"{where.capitalize()} {what}.")
