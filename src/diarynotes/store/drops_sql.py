"""The statements of the inbox of drops, one named block each. Nothing here but SQL.

A claim is fenced by the worker that made it (`HELD`), and a drop that was told of again meanwhile by `told`.
"""
# ruff: noqa: S608 (the blocks are put together from constants of this file alone)

from __future__ import annotations

from sqlalchemy import text

from diarynotes.store.jobs_sql import LIVING

DROP = "id, owner, uri, version, priority, told, tries, received_at"

# In the order of the unique index, so that two batches with the same drops never wait for each other.
_TELL = """
insert into drops (owner, uri, version, priority)
select owner, uri, version, min(priority)
from unnest(cast(:owners as text[]), cast(:uris as text[]), cast(:versions as text[]), cast(:priorities as integer[]))
    as told_of (owner, uri, version, priority)
group by owner, uri, version
order by owner, uri, version
on conflict (owner, uri, version)
"""

PUT = text(f"""
{_TELL}
do update
set told = drops.told + 1, priority = least(drops.priority, excluded.priority), next_try_at = null,
    tries = case when drops.is_dead then 0 else drops.tries end, is_dead = false
returning (xmax = 0) as is_new
""")

# What a look into a bucket could not read. It is found by every look: what is known waits as it is, or stays dead.
PUT_UNKNOWN = text(f"{_TELL} do nothing")

_FREE = """(
    worker is null or lease_until < now()
    or (worker not in (select worker from living) and claimed_at <= statement_timestamp())
)"""

CLAIM = text(f"""
{LIVING},
free as (
    select id
    from drops
    where not is_dead and (next_try_at is null or next_try_at <= now()) and {_FREE}
    order by priority, id
    limit :limit
    for update skip locked
)
update drops
set worker = :worker, lease_until = now() + make_interval(secs => :lease_s), claimed_at = clock_timestamp()
from free
where drops.id = free.id
returning {", ".join("drops." + name.strip() for name in DROP.split(","))}
""")

LIE = text(f"""
{LIVING}
select exists (
    select from drops
    where not is_dead and coalesce(next_try_at, received_at) < now() - make_interval(secs => :idle_s) and {_FREE}
)
""")

HELD = "where id = any(cast(:ids as bigint[])) and worker = :worker"

_GIVE_BACK = f"update drops set worker = null, lease_until = null {HELD}"

RELEASE = text(_GIVE_BACK)

# One that was told of again after it was claimed may have been registered as it was before: it stays.
DONE = text(f"""
with claimed as (select * from unnest(cast(:ids as bigint[]), cast(:told as integer[])) as claimed (id, told)),
gone as (
    delete from drops using claimed
    where drops.id = claimed.id and drops.told = claimed.told and drops.worker = :worker
    returning drops.id
)
{_GIVE_BACK} and id not in (select id from gone)
""")

FAIL = text(f"""
update drops
set is_dead = tries >= cardinality(cast(:delays as float8[])),
    next_try_at = now() + make_interval(secs => (cast(:delays as float8[]))[tries + 1]), tries = tries + 1,
    worker = null, lease_until = null, error_code = :code, error_message = :message
{HELD} returning is_dead
""")

LIST = text(f"""
select {DROP}, is_dead, next_try_at, error_code, error_message
from drops
where (cast(:dead as boolean) is null or is_dead = :dead) and (cast(:owner as text) is null or owner = :owner)
order by priority, id
limit :limit
""")

COUNT = text("""
select case when is_dead then 'dead' when next_try_at > now() then 'waiting' else 'due' end as standing,
       count(*) as drops
from drops group by standing
""")

RETRY = text("""
update drops set is_dead = false, tries = 0, next_try_at = null, error_code = null, error_message = null
where (is_dead or next_try_at is not null) and (cast(:ids as bigint[]) is null or id = any(cast(:ids as bigint[])))
""")

FORGET = text("delete from drops where is_dead and id = any(cast(:ids as bigint[]))")
