"""The desk in Postgres: lets calls to models pass or refuses them, for all workers alike, and keeps their books.

Knows `calls`' nouns and the tables behind them; makes no call, prices nothing and reads no settings. The rules are in
`budgets` and `breakers`. Every method is one transaction; StorageFailed where Postgres fails.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, Row

import diarynotes.store.desk_sql as sql
from diarynotes.calls import ANSWER_DAYS, ANSWERED, Admission, Budgets, BudgetWarning, Call, KeptAnswer, Outcome
from diarynotes.models import RecordingId, Usage
from diarynotes.store.breakers import (
    HALF_OPEN_WAIT_S,
    PROBE_S,
    decide_open_s,
    name_breaker,
    name_breakers,
    tell_wait_s,
    wants_probe,
)
from diarynotes.store.budgets import Account, find_accounts, is_limited, is_passed, make_warning
from diarynotes.store.database import begin
from diarynotes.store.tables import plain, plain_text

_PATIENCE = {"longest_pause": "10s"}
"""How long a worker may pause in the middle of a transaction; after that the server takes it back."""


class Desk:
    """The desk as one worker sees it; days and months begin by the clocks of `zone`. Safe to share between threads."""

    def __init__(self, engine: Engine, zone: tzinfo = UTC) -> None:
        self._engine = engine
        self._zone = zone

    def admit(self, call: Call, most_usd: Decimal | None, budgets: Budgets) -> Admission:
        """See `calls.Desk`. The entry is on disk before the call is made: what may be billed must leave a trace.

        That goes for free calls too, since a number that a crash of the server forgets might be given again.
        """
        reserved_usd = Decimal(0) if call.local else most_usd
        with begin(self._engine) as connection:
            now, half_open, wait_s = _look(connection, call)
            if wait_s:
                return Admission(None, "cooling_down", wait_s)
            if not self._reserve(connection, call, reserved_usd, now, budgets):
                connection.rollback()
                return Admission(None, "over_budget")
            number = _enter(connection, call, reserved_usd, now)
            if half_open and not _take_probe(connection, half_open, number):
                connection.rollback()
                return Admission(None, "cooling_down", HALF_OPEN_WAIT_S)
            return Admission(number)

    def settle(self, number: int, outcome: Outcome, budgets: Budgets) -> Sequence[BudgetWarning]:
        """See `calls.Desk`. A number that is settled already, or that nobody was given, changes nothing.

        It does not wait for the disk. What follows takes it along, an answer that is kept or a note that is stored; if
        the server dies before, what was set aside for the call stays counted, which is the safe side.
        """
        with begin(self._engine) as connection:
            row = connection.execute(sql.SETTLE, {"number": number, **_describe(outcome), **_PATIENCE}).one_or_none()
            if row is None:
                return ()
            warnings = self._settle_spend(connection, row, outcome.cost.usd, budgets)
            _settle_breakers(connection, row, number, outcome)
            return warnings

    def find_answer(self, key: str, *, owner: str, recording_id: RecordingId | None) -> KeptAnswer | None:
        """See `calls.Desk`; one that is more than 30 days old is not given."""
        values = {"key": key, "owner": owner, "recording_id": recording_id, "days": ANSWER_DAYS}
        with begin(self._engine) as connection:
            row = connection.execute(sql.FIND_ANSWER, values).one_or_none()
            return KeptAnswer(row.text, tuple(Usage(**usage) for usage in row.unbilled)) if row else None

    def keep_answer(
        self,
        key: str,
        text: str,
        *,
        owner: str,
        recording_id: RecordingId | None,
        usd: Decimal | None,
        usages: Sequence[Usage] = (),
    ) -> None:
        """See `calls.Desk`. It waits for the disk: what was paid for is not to be paid for again after a crash."""
        values = {
            "key": key,
            "text": plain_text(text),
            "owner": owner,
            "recording_id": recording_id,
            "usd": usd,
            "unbilled": json.dumps(plain([asdict(usage) for usage in usages])),
            "days": ANSWER_DAYS,
        }
        with begin(self._engine) as connection:
            connection.execute(sql.KEEP_ANSWER, values)

    def _reserve(
        self, connection: Connection, call: Call, usd: Decimal | None, now: datetime, budgets: Budgets
    ) -> bool:
        """Set `usd` aside in every account; False where one would be passed, and then the caller takes it back."""
        if usd is None:
            return not is_limited(budgets)
        if not usd:
            return True
        accounts = find_accounts(call.owner, now, self._zone, budgets)
        booked = _book(connection, accounts, spent_usd=Decimal(0), reserved_usd=usd)
        return not any(is_passed(account, row.spent_usd + row.reserved_usd) for account, row in booked)

    def _settle_spend(
        self, connection: Connection, row: Row[Any], usd: Decimal | None, budgets: Budgets
    ) -> tuple[BudgetWarning, ...]:
        """Turn what was set aside into what was spent, in the day and month in which the call began."""
        reserved_usd = row.reserved_usd or Decimal(0)
        spent_usd = reserved_usd if usd is None else usd
        if row.local or not (reserved_usd or spent_usd):
            return ()
        accounts = find_accounts(row.owner, row.begun_at, self._zone, budgets)
        warnings: list[BudgetWarning] = []
        for account, booked in _book(connection, accounts, spent_usd=spent_usd, reserved_usd=-reserved_usd):
            warning = make_warning(account, booked.spent_usd)
            if account.limit_usd is None:
                continue
            if (warning is not None) != booked.warned:  # the account is locked: nobody else warns of it now
                connection.execute(sql.WARNED, {**_key(account), "warned": not booked.warned})
                warnings += [warning] if warning else []  # else the limit was raised: it will be told of again
        return tuple(warnings)


def bill_answers(connection: Connection, keys: Collection[str], recording_id: RecordingId | None = None) -> None:
    """What these answers used is on a bill that is stored in the same transaction: the recording's, or an entry's."""
    if keys:
        connection.execute(sql.BILL_ANSWERS, {"keys": list(keys), "recording_id": recording_id})


def _look(connection: Connection, call: Call) -> tuple[datetime, list[str], float]:
    """The time; which of the call's breakers want a probe; how long (s) to wait where one refuses the call."""
    rows = connection.execute(sql.LOOK, {"keys": list(name_breakers(call.writer, call.model)), **_PATIENCE}).all()
    wait_s = max(tell_wait_s(row.now, row.open_until, row.probe_until) for row in rows)
    was_open = [row for row in rows if row.open_until is not None]
    return rows[0].now, [row.key for row in was_open if wants_probe(row.failures, row.reason)], wait_s


def _take_probe(connection: Connection, keys: Sequence[str], number: int) -> bool:
    """Whether the call is the probe of all these breakers; where it is not, the caller takes it back."""
    taken = connection.execute(sql.PROBE, {"keys": keys, "number": number, "probe_s": PROBE_S}).all()
    return len(taken) == len(keys)


def _enter(connection: Connection, call: Call, reserved_usd: Decimal | None, now: datetime) -> int:
    values = {
        "recording_id": call.recording_id,
        "owner": call.owner,
        "writer": call.writer,
        "provider": call.most.provider,
        "model": call.model,
        "local": call.local,
        "attempt": call.attempt,
        "begun_at": now,
        "most_input_tokens": call.most.input_tokens,
        "most_output_tokens": call.most.output_tokens,
        "reserved_usd": reserved_usd,
        "sent_sha256": call.sent_sha256,
        "sent_bytes": call.sent_bytes,
        "masked": json.dumps(plain(call.masked)),
    }
    return int(connection.execute(sql.ENTER, values).scalar_one())


def _describe(outcome: Outcome) -> dict[str, Any]:
    usage = outcome.cost.usage
    return {
        "outcome": outcome.name,
        "latency_s": outcome.latency_s,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "usd": outcome.cost.usd,
        "price_source": outcome.cost.price_source,
    }


def _book(
    connection: Connection, accounts: Sequence[Account], *, spent_usd: Decimal, reserved_usd: Decimal
) -> list[tuple[Account, Row[Any]]]:
    """Add to every account, and lock it: each with how it stands then."""
    values = {
        "owners": [account.owner for account in accounts],
        "periods": [account.period for account in accounts],
        "begins": [account.begins for account in accounts],
        "spent_usd": spent_usd,
        "reserved_usd": reserved_usd,
    }
    rows = {(row.owner, row.period): row for row in connection.execute(sql.BOOK, values)}
    return [(account, rows[account.owner, account.period]) for account in accounts]


def _key(account: Account) -> dict[str, Any]:
    return {"owner": account.owner, "period": account.period, "begins": account.begins}


def _settle_breakers(connection: Connection, row: Row[Any], number: int, outcome: Outcome) -> None:
    keys = list(name_breakers(row.writer, row.model))
    if outcome.name == ANSWERED:
        connection.execute(sql.CLOSE, {"keys": keys, "number": number, "begun_at": row.begun_at})
        return
    probes = [held.key for held in connection.execute(sql.HOLD, {"keys": keys, "number": number}) if held.probe]
    if outcome.fault is not None:
        key = name_breaker(row.writer, row.model, outcome.fault.scope)
        failures = connection.execute(sql.FAIL, {"key": key, "reason": outcome.name}).scalar_one()
        open_s = decide_open_s(outcome.fault, failures, probe=key in probes)
        if open_s is not None:
            connection.execute(sql.OPEN, {"key": key, "open_s": open_s})
    if probes:
        connection.execute(sql.END_PROBES, {"keys": probes})
