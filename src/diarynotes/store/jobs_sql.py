"""The queue's statements, one named block each. Nothing here but SQL.

A claim is fenced by the attempt that it counted up and by the state in which it was made (`HELD`).
"""
# ruff: noqa: S608 (the blocks are put together from constants of this file alone)

from __future__ import annotations

from sqlalchemy import text

JOB = "recording_id, state, attempt, failures, resume_state, next_attempt_at, error_code, error_message, updated_at"

# A claim is void when its lease has run out, or at once when its worker's advisory lock is gone: the worker is dead.
# A worker takes its lock before it claims; a claim younger than this statement may be of one that `living` still lacks.
CLAIM = text(f"""
with living as materialized (
    select (classid::bigint << 32) | objid::bigint as worker
    from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
      and database = (select oid from pg_database where datname = current_database())
),
free as (
    select recording_id
    from jobs
    where (state = :state or (state = 'waiting' and resume_state = :state and next_attempt_at <= now()))
      and (
          worker is null or lease_until < now()
          or (worker not in (select worker from living) and updated_at <= statement_timestamp())
      )
      and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
    order by priority, recorded_at, recording_id
    limit :limit
    for update skip locked
)
update jobs
set state = :state, attempt = attempt + 1, worker = :worker, lease_until = now() + make_interval(secs => :lease_s),
    resume_state = null, next_attempt_at = null, updated_at = clock_timestamp()
from free
where jobs.recording_id = free.recording_id
returning {", ".join("jobs." + name.strip() for name in JOB.split(","))}, jobs.priority, jobs.recorded_at
""")

RELAX = text("set local synchronous_commit = off")

HELD = "where recording_id = :id and attempt = :attempt and state = :held and worker is not null"

HOLD = text(f"select {JOB} from jobs {HELD} for no key update")

MOVE = text(f"""
update jobs
set state = :state, worker = null, lease_until = null, failures = 0, error_code = null, error_message = null,
    updated_at = now()
{HELD} returning {JOB}
""")

LAND = text(f"""
update jobs
set state = 'landed', landed_attempt = attempt, worker = null, lease_until = null, failures = 0, error_code = null,
    error_message = null, updated_at = now()
{HELD} returning {JOB}
""")

QUARANTINE = text(f"""
update jobs
set state = 'quarantined', worker = null, lease_until = null, error_code = :code, error_message = :message,
    updated_at = now()
{HELD} returning {JOB}
""")

POSTPONE = text(f"""
update jobs
set state = case when failures < cardinality(cast(:delays as float8[])) then 'waiting' else 'dead' end,
    next_attempt_at = now() + make_interval(secs => (cast(:delays as float8[]))[failures + 1]),
    failures = failures + 1, resume_state = state, worker = null, lease_until = null,
    error_code = :code, error_message = :message, updated_at = now()
{HELD} returning {JOB}
""")

RELEASE = text(f"""
update jobs set worker = null, lease_until = null, updated_at = now()
{HELD} returning {JOB}
""")

RETRY = text(f"""
update jobs
set state = case when state = 'quarantined' then 'received' else coalesce(resume_state, 'received') end,
    failures = 0, resume_state = null, next_attempt_at = null, error_code = null, error_message = null,
    updated_at = now()
where state in ('waiting', 'dead', 'quarantined')
  and (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
  and (cast(:states as text[]) is null or state = any(cast(:states as text[])))
returning {JOB}
""")

# The attempt is counted up, so that whoever works on it just now writes nothing any more.
DISCARD = text(f"""
update jobs
set state = 'discarded', attempt = attempt + 1, worker = null, lease_until = null, resume_state = null,
    next_attempt_at = null, updated_at = now()
where recording_id = any(cast(:ids as text[])) and state not in ('landed', 'discarded', 'erased')
returning {JOB}
""")

LIST = text(f"""
select {", ".join("jobs." + name.strip() for name in JOB.split(","))}, recordings.owner, recordings.uri
from jobs join recordings on recordings.id = jobs.recording_id
where (cast(:ids as text[]) is null or recording_id = any(cast(:ids as text[])))
  and (cast(:states as text[]) is null or state = any(cast(:states as text[])))
  and (cast(:owner as text) is null or owner = :owner)
order by jobs.priority, jobs.recorded_at, recording_id
limit :limit
""")

STAND = text("select count(*), max(updated_at) from jobs")

COUNT = text("select state, count(*) as jobs from jobs group by state")
