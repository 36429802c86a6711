"""Which notes are second best, and what the ledger knows of the models that may write them better.

Reads only. Which writer is better than which is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Engine, text

from diarynotes.models import PERSON, RecordingId
from diarynotes.store.database import begin
from diarynotes.store.facts import Experience, Fruitless

_LATEST = 1_000
"""So many of the latest answers of all models are learned from."""
_REMEMBERED_DAYS = 30
"""What a model rejected so many days ago it may be asked again."""

_DEGRADED = text("""
select notes.recording_id
from notes join jobs on jobs.recording_id = notes.recording_id
where notes.is_current and notes.degraded and notes.writer <> :person and jobs.state = 'landed'
  and (cast(:ids as text[]) is null or notes.recording_id = any(cast(:ids as text[])))
  and (cast(:owner as text) is null or notes.owner = :owner)
  and (cast(:since as date) is null or notes.day >= :since)
  and (cast(:until as date) is null or notes.day <= :until)
order by notes.day desc, jobs.recorded_at desc, notes.recording_id
""")

_POORLY_HEARD = text("""
select count(*)
from notes join transcripts on transcripts.id = notes.transcript_id
where notes.is_current and transcripts.degraded
  and (cast(:owner as text) is null or notes.owner = :owner)
  and (cast(:since as date) is null or notes.day >= :since)
  and (cast(:until as date) is null or notes.day <= :until)
""")

_EXPERIENCE = text("""
select writer, model, count(*) as answers, avg(latency_s) as latency_s,
    sum(input_tokens)::float8 / greatest(sum(most_input_tokens), 1) as input_share,
    sum(output_tokens)::float8 / greatest(sum(most_input_tokens), 1) as output_share
from (select * from calls where outcome = 'answered' and output_tokens > 0 order by id desc limit :latest) as latest
group by writer, model
""")

# A recording's latest word on a model counts; an answer after a rejection takes it back.
_FRUITLESS = text("""
select calls.recording_id, calls.writer, calls.model,
    count(*) filter (where outcome = 'answered' and calls.begun_at > notes.written_at) as answers,
    (array_agg(outcome order by calls.id desc))[1] in ('refusal', 'context_too_long', 'bad_output') as rejected
from calls join notes on notes.recording_id = calls.recording_id and notes.is_current
where calls.recording_id = any(cast(:ids as text[]))
  and calls.outcome in ('answered', 'refusal', 'context_too_long', 'bad_output')
  and calls.begun_at > now() - make_interval(days => :days)
  and not (calls.writer = notes.writer and calls.model = notes.model)
group by calls.recording_id, calls.writer, calls.model
""")


def find_degraded(
    engine: Engine,
    *,
    owner: str | None = None,
    since: date | None = None,
    until: date | None = None,
    ids: Sequence[RecordingId] | None = None,
) -> list[RecordingId]:
    """The landed recordings whose current note is degraded, newest day first; `ids` are those to choose from."""
    values = _between(owner, since, until) | {"ids": None if ids is None else list(ids), "person": PERSON}
    with begin(engine) as connection:
        return list(connection.scalars(_DEGRADED, values))


def count_poorly_heard(
    engine: Engine, *, owner: str | None = None, since: date | None = None, until: date | None = None
) -> int:
    """How many current notes rest on a transcript that is degraded itself."""
    with begin(engine) as connection:
        return int(connection.scalar(_POORLY_HEARD, _between(owner, since, until)) or 0)


def find_experience(engine: Engine) -> dict[tuple[str, str], Experience]:
    """What the latest answers took, by writer and model."""
    with begin(engine) as connection:
        rows = connection.execute(_EXPERIENCE, {"latest": _LATEST}).all()
    return {
        (row.writer, row.model): Experience(row.answers, row.input_share, row.output_share, row.latency_s or 0.0)
        for row in rows
    }


def find_fruitless(engine: Engine, ids: Sequence[RecordingId]) -> list[Fruitless]:
    """Which models were asked in vain for the notes of these recordings in the last 30 days."""
    with begin(engine) as connection:
        rows = connection.execute(_FRUITLESS, {"ids": list(ids), "days": _REMEMBERED_DAYS}).all()
    return [Fruitless(*row) for row in rows]


def _between(owner: str | None, since: date | None, until: date | None) -> dict[str, Any]:
    return {"owner": owner, "since": since, "until": until}
