"""The desk's statements, one named block each. Nothing here but SQL.

Rows are locked in one order, so that nobody waits in a circle: the call, accounts of spend, breakers by key. Time is
`clock_timestamp()` throughout: a transaction that had to wait for a lock must not live in the past.
"""

from __future__ import annotations

from sqlalchemy import text

# One row at least, since the time is wanted even where there is no breaker. All workers wait for the accounts of all
# owners, so one that is frozen while it holds them is cut off by the server.
LOOK = text("""
select clock.now, breakers.key, breakers.failures, breakers.reason, breakers.open_until, breakers.probe_until
from (
    select clock_timestamp() as now, set_config('idle_in_transaction_session_timeout', :longest_pause, true)
) as clock
left join breakers on breakers.key = any(cast(:keys as text[]))
""")

# What others have in hand for the same accounts is waited for; what comes back is the sum with ours.
BOOK = text("""
insert into spend (owner, period, begins, spent_usd, reserved_usd)
select owner, period, begins, :spent_usd, :reserved_usd
from unnest(cast(:owners as text[]), cast(:periods as text[]), cast(:begins as date[]))
    with ordinality as account (owner, period, begins, place)
order by place
on conflict (owner, period, begins) do update
set spent_usd = spend.spent_usd + excluded.spent_usd, reserved_usd = spend.reserved_usd + excluded.reserved_usd
returning owner, period, begins, spent_usd, reserved_usd, warned
""")

WARNED = text("""
update spend set warned = :warned
where owner = :owner and period = :period and begins = :begins
""")

# A recording that was erased in the meantime is not named.
ENTER = text("""
insert into calls (
    recording_id, owner, writer, provider, model, local, attempt, begun_at, most_input_tokens, most_output_tokens,
    reserved_usd, sent_sha256, sent_bytes, masked
)
values (
    (select id from recordings where id = :recording_id for key share), :owner, :writer, :provider, :model, :local,
    :attempt, :begun_at, :most_input_tokens, :most_output_tokens, :reserved_usd, :sent_sha256, :sent_bytes,
    cast(:masked as jsonb)
)
returning id
""")

SETTLE = text("""
update calls
set outcome = :outcome, latency_s = :latency_s, input_tokens = :input_tokens, output_tokens = :output_tokens,
    cached_tokens = :cached_tokens, usd = :usd, price_source = :price_source
from (
    select set_config('synchronous_commit', 'off', true),
        set_config('idle_in_transaction_session_timeout', :longest_pause, true)
) as relaxed
where id = :number and outcome is null
returning owner, writer, model, local, begun_at, reserved_usd
""")

PROBE = text("""
with free as (
    select key
    from breakers
    where key = any(cast(:keys as text[])) and open_until <= clock_timestamp()
      and (probe_until is null or probe_until <= clock_timestamp())
    order by key
    for update
)
update breakers
set probe = :number, probe_until = clock_timestamp() + make_interval(secs => :probe_s)
from free
where breakers.key = free.key
returning breakers.key
""")

HOLD = text("""
select key, coalesce(probe = :number, false) as probe
from breakers
where key = any(cast(:keys as text[]))
order by key
for update
""")

END_PROBES = text("update breakers set probe = null, probe_until = null where key = any(cast(:keys as text[]))")

# Who set out before a breaker opened and comes back well says nothing about how it stands since.
CLOSE = text("""
with healed as (
    select key
    from breakers
    where key = any(cast(:keys as text[])) and (open_until is null or probe = :number or failed_at < :begun_at)
    order by key
    for update
)
delete from breakers using healed where breakers.key = healed.key
""")

FAIL = text("""
insert into breakers (key, failures, reason, failed_at) values (:key, 1, :reason, clock_timestamp())
on conflict (key) do update
set failures = breakers.failures + 1, reason = excluded.reason, failed_at = excluded.failed_at
returning failures
""")

OPEN = text("""
update breakers set open_until = greatest(open_until, clock_timestamp() + make_interval(secs => :open_s))
where key = :key
""")

# Only a count of uses is written, for which nobody waits.
FIND_ANSWER = text("""
update answers set uses = uses + 1, used_at = clock_timestamp()
from (select set_config('synchronous_commit', 'off', true)) as relaxed
where key = :key and kept_at > clock_timestamp() - make_interval(days => :days)
returning text,
    case when owner = :owner and recording_id is not distinct from cast(:recording_id as text)
    then unbilled else '[]' end as unbilled
""")

# Nothing is kept of a recording that was erased in the meantime. What nobody has been billed for adds up. Old answers
# go with it: a few at a time, and none that somebody is busy with, so that whoever keeps one does not wait for them.
KEEP_ANSWER = text("""
with old as (
    delete from answers
    where key in (
        select key
        from answers
        where kept_at <= clock_timestamp() - make_interval(days => :days) and key <> :key
        order by kept_at
        limit 100
        for update skip locked
    )
)
insert into answers (key, owner, recording_id, text, usd, unbilled, kept_at)
select :key, :owner, cast(:recording_id as text), :text, cast(:usd as numeric), cast(:unbilled as jsonb),
    clock_timestamp()
where cast(:recording_id as text) is null
   or exists (select from recordings where id = :recording_id for key share)
on conflict (key) do update
set owner = excluded.owner, recording_id = excluded.recording_id, text = excluded.text, usd = excluded.usd,
    unbilled = case
        when answers.owner = excluded.owner and answers.recording_id is not distinct from excluded.recording_id
        then answers.unbilled else '[]' end || excluded.unbilled,
    kept_at = excluded.kept_at
""")

BILL_ANSWERS = text("""
update answers set unbilled = '[]'
where key = any(cast(:keys as text[])) and unbilled <> '[]'
  and (recording_id is null or recording_id = cast(:recording_id as text))
""")

NOW = text("select clock_timestamp()")

BREAKERS = text("select key, failures, open_until, reason from breakers order by key")

SPENT = text("select spent_usd from spend where owner = :owner and period = :period and begins = :begins")

LEDGER = text("""
select *
from calls
where (cast(:since as timestamptz) is null or begun_at >= :since)
  and (cast(:until as timestamptz) is null or begun_at < :until)
  and (cast(:owner as text) is null or owner = :owner)
  and (cast(:recording_id as text) is null or recording_id = :recording_id)
  and (not :elsewhere or not local)
order by id desc
limit :limit
""")
