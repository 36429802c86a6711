"""This process as a worker: its number, its heartbeat, and how others see at once that it has died.

A worker is a random number and a session of its own that holds the advisory lock of that number. The lock goes when
the session goes, so the jobs of a killed worker are free at once. A frozen worker keeps its session; there the lease
decides. Knows the lease columns of `jobs` and `drops` and nothing else of them.
"""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeAlias

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from diarynotes.errors import StorageFailed
from diarynotes.models import RecordingId
from diarynotes.store.database import begin

Claim: TypeAlias = tuple[RecordingId, int]
"""A claimed job: whose recording's, and the attempt that the claim counted."""

LEASE_S = 60.0
"""How long a claim holds after the last sign of life."""

_RENEW = text("""
with drops as (
    update drops set lease_until = now() + make_interval(secs => :lease_s)
    where worker = :worker and id = any(cast(:drops as bigint[]))
)
update jobs set lease_until = now() + make_interval(secs => :lease_s)
where worker = :worker
  and (recording_id, attempt) in (select * from unnest(cast(:jobs as text[]), cast(:attempts as integer[])))
""")

# What nobody here holds any more could not be given back, or was claimed though we were told otherwise.
_LAPSE = text("""
with drops as (
    update drops set worker = null, lease_until = null where worker = :worker and lease_until < now()
)
update jobs set worker = null, lease_until = null where worker = :worker and lease_until < now()
""")

# Claims that nobody has taken over meanwhile are still ours: their fence is the attempt, not the number.
_ADOPT = text("""
with drops as (
    update drops set worker = :worker, lease_until = now() + make_interval(secs => :lease_s) where worker = :lost
)
update jobs
set last_worker = :worker, worker = case when worker = :lost then :worker else worker end,
    lease_until = case when worker = :lost then now() + make_interval(secs => :lease_s) else lease_until end
where worker = :lost
   or (last_worker = :lost and state in ('received', 'validated', 'transcribed', 'written'))
""")

_GIVE_BACK = text("""
with drops as (update drops set worker = null, lease_until = null where worker = :worker)
update jobs set worker = null, lease_until = null where worker = :worker
""")


class Worker:
    """The holder of this process's claims. `lease_s` is the length of a lease; it is renewed every third of it.

    Only what is held here is renewed. A claim of which this process knows nothing, because Postgres was gone when it
    was to be given back, or when Postgres said that it was made, runs out while the worker lives.
    """

    def __init__(self, engine: Engine, *, lease_s: float = LEASE_S) -> None:
        self.lease_s = lease_s
        self._engine = engine
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._session: Connection | None = None
        self._number = 0
        self._heart: threading.Thread | None = None
        self._held = threading.Lock()
        self._jobs: set[Claim] = set()
        self._drops: set[int] = set()
        _workers.add(self)

    @property
    def number(self) -> int:
        """The number that marks this worker's claims, with a living session behind it."""
        with self._guard:
            if not self._session_answers():
                self._end_session()
                self._come_alive()
            if self._heart is None:
                self._heart = threading.Thread(target=self._beat, name="diarynotes-heartbeat", daemon=True)
                self._heart.start()
            return self._number

    def hold(self, *, jobs: Iterable[Claim] = (), drops: Iterable[int] = ()) -> None:
        """Renew these claims from now on: jobs by recording and attempt, drops by id."""
        with self._held:
            self._jobs.update(jobs)
            self._drops.update(drops)

    def let_go(self, *, jobs: Iterable[Claim] = (), drops: Iterable[int] = ()) -> None:
        """Renew these claims no more, whether or not they can be given back."""
        with self._held:
            self._jobs.difference_update(jobs)
            self._drops.difference_update(drops)

    def close(self) -> None:
        """Give back what is still claimed and end the session; nobody is to think that this worker has died."""
        self._stop.set()
        if self._heart is not None:
            self._heart.join(timeout=5)
        with self._guard:
            if self._session is not None:
                with suppress(SQLAlchemyError):
                    self._session.execute(_GIVE_BACK, {"worker": self._number})
            self._end_session()

    def renew(self) -> None:
        """Push this worker's leases on; with a lost session it comes back under a new number, with what it held."""
        with self._guard:
            if self._session is None:
                return
            try:
                self._session.execute(_RENEW, self._describe_held() | {"lease_s": self.lease_s})
                self._session.execute(_LAPSE, {"worker": self._number})
            except SQLAlchemyError:
                self._end_session()
                self._come_alive()

    def _describe_held(self) -> dict[str, object]:
        with self._held:
            jobs, drops = sorted(self._jobs), sorted(self._drops)
        keys, attempts = [key for key, _ in jobs], [attempt for _, attempt in jobs]
        return {"worker": self._number, "jobs": keys, "attempts": attempts, "drops": drops}

    def _beat(self) -> None:
        while not self._stop.wait(self.lease_s / 3):
            # the database is gone for now: the leases run out, and the next claim brings a new session
            with suppress(StorageFailed, SQLAlchemyError):
                self.renew()

    def _session_answers(self) -> bool:
        if self._session is None:
            return False
        with suppress(SQLAlchemyError):
            self._session.execute(text("select 1"))
            return True
        return False

    def _come_alive(self) -> None:
        number = secrets.randbelow(2**63 - 1) + 1
        with begin(self._engine) as connection:  # a first touch, so that errors come out as ours
            connection.execute(text("select 1"))
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        session.detach()
        try:
            session.execute(text("select pg_advisory_lock(:number)"), {"number": number})
            if self._number:
                session.execute(_ADOPT, {"worker": number, "lost": self._number, "lease_s": self.lease_s})
        except BaseException:  # detached as it is, no pool would close it
            with suppress(SQLAlchemyError):
                session.close()
            raise
        self._session, self._number = session, number

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(SQLAlchemyError):
                session.close()

    def let_go_in_child(self) -> None:
        """In a forked child: drop the inherited socket, else the session would outlive this worker's death."""
        session, self._session, self._heart = self._session, None, None
        self._number = 0  # what the parent holds stays the parent's
        self._held, self._jobs, self._drops = threading.Lock(), set(), set()
        self._guard = threading.Lock()
        self._engine.dispose(close=False)
        if session is None:
            return
        _inherited.append(session)  # never collected: its farewell belongs to the parent
        inherited = session.connection.dbapi_connection
        if inherited is not None and not inherited.closed:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, inherited.fileno())
            os.close(nowhere)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_inherited: list[Connection] = []


def _let_go_in_child() -> None:
    for worker in list(_workers):
        worker.let_go_in_child()


os.register_at_fork(after_in_child=_let_go_in_child)
