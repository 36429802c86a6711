"""What stands in the files: a page for each day, and one for each of its notes.

Pure: a day in, texts out, the same ones for the same day. Paths count from the owner's folder and use forward slashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from pathlib import PurePosixPath

from diarynotes.diary.render import divide, escape, find_paragraphs, list_todos, name_day, name_length, says_more
from diarynotes.export.front_matter import Value, front_matter
from diarynotes.export.names import make_tag
from diarynotes.models import DayEntry, Draft, RecordingId, Sentence
from diarynotes.store import StoredNote


@dataclass(frozen=True, slots=True)
class Day:
    """An owner's day: its entry, and its notes in the order in which they were recorded."""

    owner: str
    day: date
    entry: DayEntry
    notes: tuple[StoredNote, ...]

    @property
    def in_entry(self) -> frozenset[str]:
        """The ids of the notes that the entry was made of."""
        return frozenset(note_id for note_id, _ in self.entry.sources)


@dataclass(frozen=True, slots=True)
class Page:
    """A file's path and its text."""

    path: str
    text: str


def make_pages(day: Day, *, zone: tzinfo, sounds: Mapping[RecordingId, str]) -> list[Page]:
    """The day's page and those of its notes; times are of the clock in `zone`.

    `sounds` are links to the recordings: URIs, or paths from the folder of the year.
    """
    notes = [_note_page(day, stored, zone, sounds.get(stored.recording.id)) for stored in day.notes]
    return [_day_page(day, zone, sounds), *notes]


def name_note(stored: StoredNote, zone: tzinfo) -> str:
    """What the files of a note are called, without a suffix: it stays when the note is written anew."""
    at = stored.recording.recorded_at.astimezone(zone)
    return f"{stored.note.day.isoformat()}-{at:%H%M}-{stored.recording.id[:8]}"


def name_sound(stored: StoredNote, zone: tzinfo) -> str:
    """Where a copy of the recording lies, from the folder of the year."""
    suffix = PurePosixPath(stored.recording.uri).suffix.lower()
    plain = suffix if suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ""
    return f"audio/{name_note(stored, zone)}{plain}"


def year_folder(day: date) -> str:
    """The folder in which a day's files lie."""
    return f"{day.year:04}"


def _day_page(day: Day, zone: tzinfo, sounds: Mapping[RecordingId, str]) -> Page:
    entry, draft = day.entry, day.entry.draft
    count = "1 note" if len(day.notes) == 1 else f"{len(day.notes)} notes"
    head: dict[str, Value] = {"date": day.day, "title": _line(draft.title), "owner": day.owner, **_mood(draft)}
    head |= {**_names(draft), "writer": entry.writer, "model": entry.model, "degraded": entry.degraded}
    head["notes"] = [f"notes/{name_note(stored, zone)}.md" for stored in day.notes]
    blocks = [f"# {_text(draft.title)}", f"*{name_day(day.day)} · {draft.mood.label} mood · {count}*"]
    blocks += [f"> {_text(draft.summary)}"] if says_more(draft) else []
    texts = [_text(sentence.text) for sentence in draft.body]
    blocks += _paragraphs(texts, find_paragraphs(entry))
    blocks += list_todos(draft)
    blocks += ["## Notes", "\n".join(_tell_note(day, stored, zone, sounds) for stored in day.notes)]
    return Page(f"{year_folder(day.day)}/{day.day.isoformat()}.md", _page(head, blocks))


def _tell_note(day: Day, stored: StoredNote, zone: tzinfo, sounds: Mapping[RecordingId, str]) -> str:
    at = stored.recording.recorded_at.astimezone(zone)
    parts = [f"{at:%H:%M} [{_text(stored.note.draft.title)}](notes/{name_note(stored, zone)}.md)", *_length(stored)]
    if stored.recording.id in sounds:
        parts.append(f"[recording]({sounds[stored.recording.id]})")
    if stored.note.id not in day.in_entry:
        parts.append("*not in the entry above yet*")
    return f"- {' · '.join(parts)}"


def _note_page(day: Day, stored: StoredNote, zone: tzinfo, sound: str | None) -> Page:
    note, draft = stored.note, stored.note.draft
    at = f"{stored.recording.recorded_at.astimezone(zone):%H:%M}"
    link = sound if sound is None or "://" in sound else f"../{sound}"
    head: dict[str, Value] = {"date": note.day, "time": at, "title": _line(draft.title), **_mood(draft)}
    head |= {**_names(draft), "writer": note.writer, "model": note.model, "degraded": note.degraded}
    told = [f"[{name_day(note.day)}](../{note.day.isoformat()}.md)", at, f"{draft.mood.label} mood", *_length(stored)]
    told += [f"[recording]({link})"] if link else []
    blocks = [f"# {_text(draft.title)}", " · ".join(told)]
    blocks += [f"> {_text(draft.summary)}"] if says_more(draft) else []
    texts = [_text(sentence.text) + _when(sentence, stored, link) for sentence in draft.body]
    blocks += _paragraphs(texts, divide(0, len(texts)))
    if note.id not in day.in_entry:  # else the day's page has them, and a box is checked at one place
        blocks += list_todos(draft)
    return Page(f"{year_folder(note.day)}/notes/{name_note(stored, zone)}.md", _page(head, blocks))


def _when(sentence: Sentence, stored: StoredNote, link: str | None) -> str:
    """Where in the recording the sentence begins to be said."""
    segments = stored.transcript.segments
    starts = [segments[number].start_s for number in sentence.evidence if 0 <= number < len(segments)]
    if not starts:
        return ""
    at = name_length(int(min(starts)))
    return f" [{at}]({link}#t={int(min(starts))})" if link else f" ({at})"


def _length(stored: StoredNote) -> list[str]:
    return [name_length(stored.recording.media.duration_s)] if stored.recording.media else []


def _mood(draft: Draft) -> dict[str, Value]:
    return {"mood": draft.mood.label, "mood_score": draft.mood.score}


def _names(draft: Draft) -> dict[str, Value]:
    tags = list(dict.fromkeys(filter(None, map(make_tag, draft.topics))))
    return {"people": draft.people, "places": draft.places, "tags": tags}


def _paragraphs(texts: Sequence[str], starts: Sequence[int]) -> list[str]:
    ends = [*starts[1:], len(texts)]
    return [" ".join(texts[start:end]) for start, end in zip(starts, ends, strict=True)]


def _page(head: Mapping[str, Value], blocks: Sequence[str]) -> str:
    return front_matter(head) + "\n" + "\n\n".join(blocks) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    return escape(_line(text))
