"""The queue's statements, one named block each. Nothing here but SQL.

A claim is fenced by the attempt that it counted up and by the state in which it was made (`HELD`).
"""
# ruff: noqa: S608 (the blocks are put together from constants of this file alone)

from __future__ import annotations

from sqlalchemy import TextClause, text

JOB = (
    "recording_id, state, attempt, failures, resume_state, next_attempt_at, error_code, error_message, updated_at, "
    "crashes"
)
_JOBS_JOB = ", ".join(f"jobs.{name}" for name in JOB.split(", "))

LIVING = """
with living as materialized (
    select (classid::bigint << 32) | objid::bigint as worker
    from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
      and database = (select oid from pg_database where datname = current_database())
)
"""

# A claim is void when its lease has run out, or at once when its worker's advisory lock is gone: the worker is dead.
# A worker takes its lock before it claims; a claim younger than this statement may be of one that `living` still lacks.
FREE = """(
    worker is null or lease_until < now()
    or (worker not in (select worker from living) and updated_at <= statement_timestamp())
)"""

# What the last worker died or froze on is left to CLAIM_SUSPECTS: it may have been the cause.
_SUSPECT = "(crashes > 0 or (worker is not null and worker <> :worker))"

# What a run of another pool was asked for and nobody has claimed since.
_UNASKED = """(
    not :unasked
    or not exists (select 1 from asks where asks.recording_id = jobs.recording_id and asks.attempt = jobs.attempt)
)"""

_WANTED = """(state = :state or (state = 'waiting' and resume_state = :state and next_attempt_at <= now()))
      and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))"""


def _claim(which: str) -> TextClause:
    return text(f"""
{LIVING},
free as (
    select recording_id
    from jobs
    where {_WANTED} and {FREE} and {which}
    order by priority, recorded_at, recording_id
    limit :limit
    for update skip locked
)
update jobs
set state = :state, attempt = attempt + 1, worker = :worker, last_worker = :worker,
    lease_until = now() + make_interval(secs => :lease_s),
    crashes = crashes + (worker is not null and worker <> :worker)::integer,
    resume_state = null, next_attempt_at = null, updated_at = clock_timestamp()
from free
where jobs.recording_id = free.recording_id
returning {_JOBS_JOB}, jobs.priority, jobs.recorded_at
""")


CLAIM = _claim(f"not {_SUSPECT}")

CLAIM_SUSPECTS = _claim(_SUSPECT)

SUSPECTS = text(f"""
{LIVING}
select recording_id, crashes + (worker is not null and worker <> :worker)::integer as crashes
from jobs
where {_WANTED} and {FREE} and {_SUSPECT}
order by priority, recorded_at, recording_id
""")

# Who took a recording on and is dead can get on with it no more, whether or not it had claimed it.
STRANDED = text(f"""
{LIVING}
select recording_id from jobs
where ((state in ('received', 'validated', 'transcribed', 'written')
        and (worker is not null or last_worker not in (select worker from living)
             or updated_at < now() - make_interval(secs => :idle_s)))
       or (state = 'waiting' and next_attempt_at <= now()))
  and {FREE} and {_UNASKED}
order by priority, recorded_at, recording_id
limit :limit
""")

CLAIMABLE = text(f"""
{LIVING}
select recording_id from jobs
where (state in ('received', 'validated', 'transcribed', 'written')
       or (state = 'waiting' and next_attempt_at <= now()))
  and {FREE} and {_UNASKED}
  and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
order by priority, recorded_at, recording_id
limit :limit
""")

RELAX = text("set local synchronous_commit = off")

HELD = "where recording_id = :id and attempt = :attempt and state = :held and worker is not null"

HOLD = text(f"select {JOB} from jobs {HELD} for no key update")

# Whoever gets on with a recording was not killed by what came so far.
TRUST = text("update jobs set crashes = 0 where recording_id = :id and crashes > 0")

MOVE = text(f"""
update jobs
set state = :state, worker = null, lease_until = null, failures = 0, crashes = 0, error_code = null,
    error_message = null, updated_at = now()
{HELD} returning {JOB}
""")

LAND = text(f"""
update jobs
set state = 'landed', landed_attempt = attempt, worker = null, lease_until = null, failures = 0, crashes = 0,
    error_code = null, error_message = null, updated_at = now()
{HELD} returning {JOB}
""")

QUARANTINE = text(f"""
update jobs
set state = 'quarantined', worker = null, lease_until = null, crashes = 0, error_code = :code,
    error_message = :message, updated_at = now()
{HELD} returning {JOB}
""")

POSTPONE = text(f"""
update jobs
set state = case when failures < cardinality(cast(:delays as float8[])) then 'waiting' else 'dead' end,
    next_attempt_at = now() + make_interval(secs => (cast(:delays as float8[]))[failures + 1]),
    crashes = case when failures < cardinality(cast(:delays as float8[])) then 0 else crashes end,
    failures = failures + 1, resume_state = state, worker = null, lease_until = null,
    error_code = :code, error_message = :message, updated_at = now()
{HELD} returning {JOB}
""")

RELEASE = text(f"""
update jobs set worker = null, lease_until = null, updated_at = now()
{HELD} returning {JOB}
""")

_AFRESH = """
set state = case when state = 'quarantined' then 'received' else coalesce(resume_state, 'received') end,
    failures = 0, crashes = 0, resume_state = null, next_attempt_at = null, error_code = null, error_message = null,
    updated_at = now()
"""

RETRY = text(f"""
update jobs {_AFRESH}
where state = any(cast(:states as text[]))
  and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
returning {JOB}
""")

# Held in order, so that two registrations never wait for each other.
WAKE = text(f"""
with asleep as (
    select recording_id from jobs
    where recording_id = any(cast(:ids as text[])) and state in ('waiting', 'dead') and error_code = :code
    order by recording_id
    for update
)
update jobs {_AFRESH}
from asleep where jobs.recording_id = asleep.recording_id
""")

# What a person does goes before what is being done: the attempt is counted up, so that whoever holds the job writes
# nothing any more. A recording that is still on its way to its note is left to it.
_EDIT = """
update jobs
set state = 'written', attempt = attempt + 1, worker = null, lease_until = null, failures = 0, crashes = 0,
    resume_state = null, next_attempt_at = null, error_code = null, error_message = null, updated_at = now()
where recording_id = :id and state in ('written', 'landed', 'quarantined', 'waiting', 'dead')
"""

EDIT = text(f"{_EDIT} returning {JOB}")

DROP_EDITS = text(f"""
{_EDIT}
  and exists (select 1 from notes where recording_id = :id and is_current and writer = :person)
  and exists (select 1 from notes where recording_id = :id and writer <> :person)
returning {JOB}
""")

# The attempt is counted up, so that whoever works on it just now writes nothing any more.
DISCARD = text(f"""
update jobs
set state = 'discarded', attempt = attempt + 1, worker = null, lease_until = null,
    resume_state = case when state = 'quarantined' then 'received' when state in ('waiting', 'dead') then resume_state
                        else state end,
    next_attempt_at = null, updated_at = now()
where recording_id = any(cast(:ids as text[])) and state not in ('landed', 'discarded', 'erased')
returning {JOB}
""")

LIST = text(f"""
select {_JOBS_JOB}, recordings.owner, recordings.uri
from jobs join recordings on recordings.id = jobs.recording_id
where (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
  and (cast(:states as text[]) is null or state = any(cast(:states as text[])))
  and (cast(:owner as text) is null or owner = :owner)
order by jobs.priority, jobs.recorded_at, recording_id
limit :limit
""")

PAGE = text(f"""
select {_JOBS_JOB}, recordings.owner, recordings.uri
from jobs join recordings on recordings.id = jobs.recording_id
where recording_id > :after
order by recording_id
limit :limit
""")

STAND = text("select count(*), max(updated_at) from jobs")

COUNT = text("""
select state, count(*) as jobs from jobs
where cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[]))
group by state
""")
