"""How the diary does, in numbers: what came in and what became of it by day, costs, failures, and what is waiting.

Knows the tables; reads counts, sums and codes, never what was said, and changes nothing. A day is a calendar day of the
zone that it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from diarynotes.calls import ANSWERED, INTERRUPTED
from diarynotes.models import JobState, RecordingId
from diarynotes.store.database import begin

_UNSPACED = ["zh", "yue", "ja", "th", "lo", "km", "my"]
"""Languages written without blanks between words, where words cannot be counted by them."""

# A recording belongs to the day on which it came in, whatever becomes of it later.
_DAYS = text("""
with arrived as (
    select id, cast(registered_at at time zone :zone as date) as day, cast(media ->> 'duration_s' as float8) as audio_s
    from recordings where registered_at >= :since and registered_at < :until
),
noted as (
    select n.recording_id, n.degraded or t.degraded as degraded, t.trust, said.words, said.speech_s
    from notes n
    join arrived on arrived.id = n.recording_id
    join transcripts t on t.id = n.transcript_id
    cross join lateral (
        select sum(cardinality(regexp_split_to_array(btrim(segment ->> 'text'), '\\s+'))) as words,
               sum(cast(segment ->> 'end_s' as float8) - cast(segment ->> 'start_s' as float8)) as speech_s
        from jsonb_array_elements(t.segments) as segment
        where t.language <> all(cast(:unspaced as text[]))
    ) as said
    where n.is_current
)
select day, count(*) as recordings,
    count(*) filter (where j.state = 'landed') as landed,
    count(*) filter (where j.state = 'quarantined') as set_aside,
    count(*) filter (where j.state = 'dead') as dead,
    count(noted.recording_id) as notes,
    count(noted.recording_id) filter (where noted.degraded) as degraded,
    coalesce(sum(audio_s), 0) as audio_s,
    avg(noted.trust) as trust,
    60 * sum(noted.words) / nullif(sum(noted.speech_s), 0) as words_per_minute
from arrived
join jobs j on j.recording_id = arrived.id
left join noted on noted.recording_id = arrived.id
group by day order by day
""")

_COSTS = text("""
select cast(begun_at at time zone :zone as date) as day, provider, count(*) as calls,
    count(*) filter (where outcome is not null and outcome <> all(cast(:fine as text[]))) as failed,
    coalesce(sum(usd), 0) as usd, count(*) filter (where usd is null) as unknown
from calls where begun_at >= :since and begun_at < :until
group by 1, provider order by 1, provider
""")

_FAILURES = text("""
select state, coalesce(error_code, 'unknown') as code, count(*) as recordings
from jobs where state in ('quarantined', 'waiting', 'dead') and updated_at >= :since and updated_at < :until
group by state, code order by recordings desc, state, code
""")

_CALL_FAILURES = text("""
select writer, outcome, count(*) as calls
from calls
where begun_at >= :since and begun_at < :until and outcome is not null and outcome <> all(cast(:fine as text[]))
group by writer, outcome order by calls desc, writer, outcome
""")

_QUEUE = text("""
select j.state, count(*) as recordings, min(r.registered_at) as oldest
from jobs j join recordings r on r.id = j.recording_id group by j.state
""")

_INBOX = text(
    "select count(*) filter (where not is_dead) as waiting, count(*) filter (where is_dead) as dead from drops"
)

_DUE = text("select count(*) from jobs where state = 'waiting' and next_attempt_at <= now()")

_QUALITY = text("""
select count(*) as notes, count(*) filter (where n.degraded or t.degraded) as degraded
from notes n join transcripts t on t.id = n.transcript_id where n.is_current
""")

_LANDED = text("""
select recording_id, landed_attempt from jobs
where state = 'landed' and landed_attempt is not null and recording_id > :after
order by recording_id limit :limit
""")

_PENDING: tuple[JobState, ...] = ("received", "validated", "transcribed", "written", "waiting")


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What came in on a day and how it stands now.

    `landed`, `set_aside` and `dead` are of the `recordings` of that day, `degraded` of their `notes`, some of which may
    not have landed; the mean `trust` (0 to 1) and the words a minute of speech are None where there is no note.
    """

    day: date
    recordings: int = 0
    landed: int = 0
    set_aside: int = 0
    dead: int = 0
    notes: int = 0
    degraded: int = 0
    audio_s: float = 0.0
    trust: float | None = None
    words_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class DayCost:
    """Calls to one provider on a day: known USD, and how many calls have none that is known."""

    day: date
    provider: str
    calls: int
    failed: int
    usd: Decimal
    unknown: int


@dataclass(frozen=True, slots=True)
class Failures:
    """So many recordings (or calls, where `of` names a writer) that failed for one cause, and how they stand."""

    of: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Queue:
    """How many recordings are in each state, for how long the oldest unfinished one (s), and drops not registered."""

    states: Mapping[JobState, int]
    oldest_s: float
    drops: int
    dead_drops: int

    @property
    def pending(self) -> int:
        """Recordings on their way to a note, those that wait for another try included."""
        return sum(self.states.get(state, 0) for state in _PENDING)


class Statistics:
    """The numbers of one store, as the days of `zone` divide them."""

    def __init__(self, engine: Engine, *, zone: ZoneInfo) -> None:
        self._engine, self._zone = engine, zone

    def days(self, since: date, until: date) -> list[DayFigures]:
        """Every day from `since` to `until`, both included; one on which nothing came in has zeros."""
        rows = self._ask(_DAYS, since, until, zone=self._zone.key, unspaced=_UNSPACED)
        found = {row.day: DayFigures(**_plain(row)) for row in rows}
        count = (until - since).days + 1
        return [found.get(day, DayFigures(day)) for day in (since + timedelta(days=number) for number in range(count))]

    def costs(self, since: date, until: date) -> list[DayCost]:
        """What calls to models cost, by day and provider; days without a call are left out."""
        rows = self._ask(_COSTS, since, until, zone=self._zone.key, fine=[ANSWERED, INTERRUPTED])
        return [DayCost(**row._mapping) for row in rows]

    def failures(self, since: date, until: date) -> list[Failures]:
        """Recordings that are set aside, waiting or dead since these days, by state (`of`) and cause."""
        rows = self._ask(_FAILURES, since, until)
        return [Failures(row.state, row.code, row.recordings) for row in rows]

    def failed_calls(self, since: date, until: date) -> list[Failures]:
        """Calls to models that failed, by writer (`of`) and kind."""
        rows = self._ask(_CALL_FAILURES, since, until, fine=[ANSWERED, INTERRUPTED])
        return [Failures(row.writer, row.outcome, row.calls) for row in rows]

    def queue(self) -> Queue:
        """How everything stands now."""
        with begin(self._engine) as connection:
            rows = connection.execute(_QUEUE).all()
            inbox = connection.execute(_INBOX).one()
        oldest = min((row.oldest for row in rows if row.state in _PENDING), default=None)
        waited = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
        return Queue({row.state: row.recordings for row in rows}, max(waited, 0.0), inbox.waiting, inbox.dead)

    def due(self) -> int:
        """How many recordings wait for another try whose time has come."""
        with begin(self._engine) as connection:
            return int(connection.scalar(_DUE) or 0)

    def notes(self) -> tuple[int, int]:
        """How many current notes there are, and how many of them are degraded or rest on a degraded transcript."""
        with begin(self._engine) as connection:
            row = connection.execute(_QUALITY).one()
        return row.notes, row.degraded

    def landed(self, after: RecordingId = "", *, limit: int = 500) -> list[tuple[RecordingId, int]]:
        """The next `limit` recordings that have landed, by id, behind `after`, each with its fencing token."""
        with begin(self._engine) as connection:
            rows = connection.execute(_LANDED, {"after": after, "limit": limit})
            return [(row.recording_id, row.landed_attempt) for row in rows]

    def _ask(self, statement: Any, since: date, until: date, **more: Any) -> Sequence[Any]:
        values = {"since": self._begin(since), "until": self._begin(until + timedelta(days=1)), **more}
        with begin(self._engine) as connection:
            return connection.execute(statement, values).all()

    def _begin(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone).astimezone(UTC)


def _plain(row: Any) -> dict[str, Any]:
    """The row with floats where Postgres reckons with decimals."""
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in row._mapping.items()}
