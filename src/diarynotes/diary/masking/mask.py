"""What was masked in one transcript, and the way back for a draft that was made of it.

Knows nothing of how private things are found. Private values live here and nowhere else: not in `repr`, not in a
pickle, not in a finding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from diarynotes.diary.masking.placeholders import LITERAL, base_form, find_placeholders, kind_of
from diarynotes.models import Draft, Finding, Sentence, Todo

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_TITLE_WORDS = 8


class Mask:
    """The placeholders of one transcript and what each stands for."""

    __slots__ = ("_segments", "_unread", "_values", "kinds")

    kinds: Mapping[str, int]
    """How many different things of each kind were masked."""

    def __init__(
        self, values: Mapping[str, str], segments: Sequence[frozenset[str]], *, unread: Sequence[str] = ()
    ) -> None:
        """`values` gives each placeholder's words; `segments` the placeholders that stand in each segment.

        `unread` are the languages of the transcript whose numbers are not known as words.
        """
        self._values: Mapping[str, str] | None = dict(values)
        self._segments = tuple(segments)
        self._unread = tuple(unread)
        things = {base_form(placeholder) for placeholder in values}
        counts = Counter(kind_of(thing) for thing in things)
        del counts[LITERAL]
        self.kinds = MappingProxyType(dict(sorted(counts.items())))

    def __repr__(self) -> str:
        return f"Mask({', '.join(f'{kind}={count}' for kind, count in self.kinds.items())})"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore_emptied, (dict(self.kinds),)

    def unmask(self, draft: Draft) -> tuple[Draft, tuple[Finding, ...]]:
        """The draft with the words that were said, and what was odd about its placeholders.

        Damaged placeholders are healed where it is clear what they stand for. What holds one that this mask never gave
        out is dropped (`unknown_placeholder`, a warning). Sentences that lost all the private things of their evidence
        are counted (`lost_placeholder`, info). Languages whose spoken numbers went out as they were are told
        (`masking_language`, info).

        Raises: ValueError for a mask that came out of a pickle, which holds no values.
        """
        if self._values is None:
            raise ValueError("This mask was pickled, and pickles hold no private values. Mask the transcript again.")
        unmasked, findings = _Unmasking(self._values, self._segments).run(draft)
        return unmasked, (*findings, *self._find_unread())

    def _find_unread(self) -> Iterator[Finding]:
        if self._unread:
            message = f"Numbers that are said in words are not masked in these languages: {', '.join(self._unread)}."
            yield Finding("masking_language", "info", "transcript", message)


def _restore_emptied(kinds: dict[str, int]) -> Mask:
    mask = Mask({}, ())
    mask.kinds = MappingProxyType(kinds)
    mask._values = None
    return mask


class _Unmasking:
    """One draft on its way back."""

    def __init__(self, values: Mapping[str, str], segments: tuple[frozenset[str], ...]) -> None:
        self._values, self._segments = values, segments
        self._findings: list[Finding] = []

    def run(self, draft: Draft) -> tuple[Draft, tuple[Finding, ...]]:
        body = self._restore_body(draft.body)
        unmasked = replace(
            draft,
            title=self._restore_title(draft.title, body),
            summary=self._restore_summary(draft.summary),
            body=body,
            people=self._restore_all("people", draft.people),
            places=self._restore_all("places", draft.places),
            topics=self._restore_all("topics", draft.topics),
            todos=self._restore_todos(draft.todos),
            questions=self._restore_all("questions", draft.questions),
        )
        return unmasked, tuple(self._findings)

    def _restore_body(self, body: tuple[Sentence, ...]) -> tuple[Sentence, ...]:
        restored: list[Sentence] = []
        lost = 0
        for number, sentence in enumerate(body):
            found = find_placeholders(sentence.text)
            if any(self._value(placeholder) is None for *_, placeholder in found):
                self._report_unknown(f"body {number}")
                continue
            lost += self._has_lost(sentence, [placeholder for *_, placeholder in found])
            restored.append(replace(sentence, text=self._put_back(sentence.text, found)))
        if lost:
            message = f"{lost} sentences leave out a masked name or number that was said there."
            self._findings.append(Finding("lost_placeholder", "info", "body", message))
        return tuple(restored)

    def _has_lost(self, sentence: Sentence, placeholders: Sequence[str]) -> bool:
        """Whether a sentence holds none of the private things of its evidence."""
        evidence = {number for number in sentence.evidence if 0 <= number < len(self._segments)}
        said = {base_form(name) for number in evidence for name in self._segments[number]}
        return bool(said) and said.isdisjoint(map(base_form, placeholders))

    def _value(self, placeholder: str) -> str | None:
        """Its words; a way of writing that was never given out is the same thing, so its first way will do."""
        return self._values.get(placeholder, self._values.get(base_form(placeholder)))

    def _is_known(self, text: str) -> bool:
        return all(self._value(placeholder) is not None for *_, placeholder in find_placeholders(text))

    def _fill(self, text: str) -> str:
        """The text with its placeholders replaced; unknown ones fall out."""
        return self._put_back(text, find_placeholders(text))

    def _put_back(self, text: str, found: Sequence[tuple[int, int, str]]) -> str:
        parts, end = [], 0
        for start, stop, placeholder in found:
            parts += [text[end:start], self._value(placeholder) or ""]
            end = stop
        return "".join([*parts, text[end:]])

    def _restore_title(self, title: str, body: tuple[Sentence, ...]) -> str:
        if self._is_known(title):
            return self._fill(title)
        self._report_unknown("title")
        return " ".join(body[0].text.split()[:_TITLE_WORDS]) if body else ""

    def _restore_summary(self, summary: str) -> str:
        if self._is_known(summary):
            return self._fill(summary)
        self._report_unknown("summary")
        return " ".join(self._fill(part) for part in _SENTENCE_END.split(summary) if self._is_known(part))

    def _restore_all(self, where: str, items: tuple[str, ...]) -> tuple[str, ...]:
        known = tuple(self._fill(item) for item in items if self._is_known(item))
        if len(known) < len(items):
            self._report_unknown(where)
        return known

    def _restore_todos(self, todos: tuple[Todo, ...]) -> tuple[Todo, ...]:
        known = tuple(replace(todo, text=self._fill(todo.text)) for todo in todos if self._is_known(todo.text))
        if len(known) < len(todos):
            self._report_unknown("todos")
        return known

    def _report_unknown(self, where: str) -> None:
        message = f"{where.capitalize()} held a placeholder that stands for nothing that was said; dropped."
        self._findings.append(Finding("unknown_placeholder", "warning", where, message))
