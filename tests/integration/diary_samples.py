"""A diary made by the real stages from what was said, without sound: transcripts in, notes and entries out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from diarynotes.models import Media, Quality, Recording, RecordingId, Segment, Transcript
from diarynotes.store import SourceFacts
from diarynotes.store.store import Store
from flows import stages
from flows.workshop import Wishes, Workshop

SHARED_NOTES = Path(__file__).resolve().parents[3] / "shared" / "notes"
WISHES = Wishes(engine="scripted", model="", language="", writers=("extractive",))


def read_said(name: str) -> list[str]:
    """What is said in one of the shared transcripts."""
    segments: list[str] = json.loads((SHARED_NOTES / f"{name}.json").read_text())["segments"]
    return segments


def hear(store: Store, moment: datetime, said: Sequence[str], *, owner: str = "me", name: str = "") -> RecordingId:
    """A recording of this moment in which this was heard, ready to be written."""
    sha256 = hashlib.sha256(f"{moment} {said}".encode()).hexdigest()
    uri = f"/notes/{owner}/{name or moment.strftime('%Y-%m-%dT%H-%M-%S')}.m4a"
    found = Recording(Recording.identify(owner, sha256), owner, uri, sha256, 1000, moment, "file_name")
    store.register([(found, SourceFacts(uri, 1000, "v1"))])
    (job,) = store.jobs.claim("received", ids=[found.id])
    media = Media("m4a", "aac", 4.0 * len(said), 44_100, 1)
    store.jobs.store_validated(job, replace(found, media=media, quality=Quality(1.0, 0.0, 30.0, 0.0, 8000.0)))
    (job,) = store.jobs.claim("validated", ids=[found.id])
    segments = tuple(Segment(4.0 * number, 4.0 * number + 3.5, text, -0.2, 0.01) for number, text in enumerate(said))
    heard = Transcript(Transcript.identify(found.id, "scripted", "m"), found.id, "scripted", "m", "en", segments, 0.9)
    store.jobs.store_transcript(job, heard)
    return found.id


def write(shop: Workshop, *ids: RecordingId, wishes: Wishes = WISHES) -> None:
    """Writes the notes of what was heard; landing them takes longer, and entries do not wait for it."""
    stages.write_notes(shop, ids, wishes=wishes)
