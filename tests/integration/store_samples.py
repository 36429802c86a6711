"""Made-up recordings, transcripts and notes for the store's tests, and the way from one state to the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import text

from diarynotes.models import (
    Cost,
    DiaryNote,
    Draft,
    Finding,
    Job,
    JobState,
    Media,
    Mood,
    Quality,
    Recording,
    Segment,
    Sentence,
    Todo,
    Transcript,
    Usage,
)
from diarynotes.store import SourceFacts
from diarynotes.store.store import Store

DAY = date(2026, 11, 1)
MEDIA = Media("wav", "pcm_s16le", 3.0, 16_000, 1)
QUALITY = Quality(0.9, 0.1, float("inf"), 0.0, 8000.0, ("quiet",), ("resampled",))


def make_recording(number: int, owner: str = "me", **changes: object) -> Recording:
    sha256 = f"{number:064d}"
    moment = datetime(2026, 11, 1, 8, tzinfo=UTC) + timedelta(minutes=number)
    made = Recording(
        Recording.identify(owner, sha256), owner, f"file:///in/{number}.wav", sha256, 100, moment, "file_time"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def make_transcript(recording: Recording, segments: int = 2, engine: str = "scripted") -> Transcript:
    said = tuple(Segment(float(i), i + 1.0, f"Part {i} of {recording.uri}.", -0.2, 0.01) for i in range(segments))
    return Transcript(
        Transcript.identify(recording.id, engine, "m"), recording.id, engine, "m", "en", said, 0.8, ("short",)
    )


def make_note(transcript: Transcript, day: date = DAY, writer: str = "scripted", title: str = "A day") -> DiaryNote:
    draft = Draft(
        title,
        "It was a day.",
        Mood("positive", 0.5),
        (Sentence("I was out.", (0, 1)),),
        people=("Ann",),
        topics=("garden",),
        todos=(Todo("Call Ann", date(2026, 11, 3)), Todo("Rest")),
    )
    findings = (Finding("short_note", "info", "body", "The note is short."),)
    name = DiaryNote.identify(transcript.id, writer, "m", "1")
    return DiaryNote(name, transcript.id, transcript.recording_id, day, draft, writer, "m", "1", False, findings)


def make_cost(usd: str | None = "0.0012") -> Cost:
    return Cost(Usage("scripted", "m", 10, 20, 0.5), None if usd is None else Decimal(usd), "test")


def register(store: Store, count: int, **changes: object) -> list[Recording]:
    recordings = [make_recording(number, **changes) for number in range(count)]
    store.register([(each, SourceFacts(each.uri, each.size_bytes, "v1")) for each in recordings])
    return recordings


def advance(store: Store, job: Job, recording: Recording, **note: object) -> Job:
    """Take one claimed job one state on."""
    transcript = make_transcript(recording)
    match job.state:
        case "received":
            return store.jobs.store_validated(job, replace(recording, media=MEDIA, quality=QUALITY))
        case "validated":
            return store.jobs.store_transcript(job, transcript, [make_cost("0")])
        case "transcribed" | "landed":
            return store.jobs.store_note(job, make_note(transcript, **note), [make_cost()])  # type: ignore[arg-type]
        case _:
            (landed,) = store.land([job])
            return landed


def claim_one(store: Store, state: JobState, recording: Recording) -> Job:
    (job,) = store.jobs.claim(state, ids=[recording.id])
    return job


def bring_to(store: Store, state: JobState, recordings: list[Recording]) -> None:
    """Take registered recordings as far as `state`, which is one of the stages' states."""
    states: tuple[JobState, ...] = ("received", "validated", "transcribed", "written", "landed")
    by_id = {each.id: each for each in recordings}
    for current in states[: states.index(state)]:
        jobs = store.jobs.claim(current, ids=list(by_id), limit=len(by_id))
        if current == "written":
            store.land(jobs)
            return
        for job in jobs:
            advance(store, job, by_id[job.recording_id])


def end_session(store: Store, worker: int) -> None:
    """Has the server close the connection by which a worker is known to live."""
    with store.engine.begin() as connection:
        connection.execute(
            text("select pg_terminate_backend(pid, 300000) from pg_locks where locktype = 'advisory' and objid = :low"),
            {"low": worker & 0xFFFFFFFF},
        )
