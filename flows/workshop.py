"""What a process opens once and every task of its flows uses: the store, the sandbox, the engine, the writers.

Never an input of a task: Prefect hashes and records inputs, and these hold connections, processes and secrets.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from blocks.buckets import connect_buckets
from diarynotes.audio import sweep_spool
from diarynotes.buckets import sweep_copies
from diarynotes.errors import StorageFailed
from diarynotes.models import Priority
from diarynotes.sandbox import Sandbox, SandboxLimits
from diarynotes.settings import Settings, check_terms, load_settings, parse_terms
from diarynotes.store import open_store
from diarynotes.store.store import Store
from diarynotes.transcribe import Engine, check_engine
from diarynotes.validate import Limits
from flows.engines import Engines
from flows.engines import Wishes as Wishes  # callers need to know this module only
from flows.hearing import warm_up
from flows.limits import Slots
from flows.turns import Turns
from flows.writers import Writers

_log = logging.getLogger("diarynotes.flows")


class Workshop:
    """Opens each thing when it is first asked for; closing it closes them all. Safe to use from several threads."""

    def __init__(self, settings: Settings, *, prompt: str | None = None) -> None:
        self.settings = settings
        self._prompt = prompt
        connect_buckets(settings)
        self.stopping = threading.Event()
        """Set when the person at the keyboard wants out: tasks hand back what they have not begun."""
        self.turns = Turns()
        """Who may hold jobs beside whom."""
        self.slots = Slots()
        """What operators have set for all runs, read when a run begins."""
        self._lock = threading.RLock()
        self._closing = ExitStack()
        self._store: Store | None = None
        self._sandbox: Sandbox | None = None
        self.writers = Writers(settings)
        self._closing.callback(self.writers.close)
        self._pooled: Engines | None = None
        self.landing = threading.Lock()
        """One landing at a time: two merges into one table of this process would only make one start over."""
        self.hearing = threading.Lock()
        """One task at a time feeds the engine, which uses the whole machine by itself."""

    @property
    def store(self) -> Store:
        with self._lock:
            if self._store is None:
                settings = self.settings
                opened = open_store(settings.database_url, settings.home, lease_s=settings.lease_s, zone=settings.zone)
                self._store = self._closing.enter_context(opened)
                self._recover(self._store)
            return self._store

    @staticmethod
    def _recover(store: Store) -> None:
        """Before anything is made that the warehouse may hold already, where an older copy of Postgres was restored."""
        if not store.warehouse.folder.exists():
            return
        with suppress(StorageFailed):  # a warehouse that cannot be read: who lands in it, and the doctor, tell of it
            if found := store.recover():
                told = "an older copy of the database was restored: %d recordings came back out of the warehouse"
                _log.warning(told, len(found.ids))

    @property
    def sandbox(self) -> Sandbox:
        with self._lock:
            if self._sandbox is None:
                settings = self.settings
                sweep_spool(settings.spool)
                sweep_copies(settings.spool)
                limits = SandboxLimits(memory_bytes=settings.decode_memory_bytes)
                self._sandbox = self._closing.enter_context(
                    Sandbox(workers=settings.worker_count, limits=limits, warm_up=warm_up)
                )
            return self._sandbox

    @property
    def buckets(self) -> tuple[str, ...]:
        """What a sweep looks into: whole buckets of `<owner>/…`."""
        return self.settings.buckets or (str(self.settings.home / "bucket"),)

    @property
    def limits(self) -> Limits:
        settings = self.settings
        return Limits(
            max_size_bytes=settings.max_size_bytes,
            min_duration_s=settings.min_duration_s,
            max_duration_s=settings.max_duration_s,
            min_sample_rate_hz=settings.min_sample_rate_hz,
        )

    def wish(
        self,
        *,
        engine: str | None,
        model: str | None,
        language: str | None,
        writers: str | None,
        prompt: str | None = None,
    ) -> Wishes:
        """The settings with what this run asks for in their place. Raises: BadSettings for an unknown name."""
        settings = self.settings
        prompt = self._prompt if prompt is None else prompt
        wishes = Wishes(
            engine=engine or settings.engine,
            model=model or settings.model,
            language=language or settings.language,
            writers=tuple(name.strip() for name in writers.split(",") if name.strip()) if writers else (),
            terms=None if prompt is None else check_terms(parse_terms(prompt, ",")),
        )
        check_engine(wishes.engine)
        self.writers.check(wishes.writers)
        return wishes

    @property
    def engines(self) -> Engines:
        with self._lock:
            if self._pooled is None:
                self._pooled = Engines(self.settings)
                self._closing.callback(self._pooled.close)
            return self._pooled

    def engine_for(self, wishes: Wishes, priority: Priority, duration_s: float) -> AbstractContextManager[Engine]:
        """The engine that hears a recording of this priority and length; loading, or loaded, while the block runs."""
        return self.engines.borrow(wishes, priority, duration_s)

    def model_for(self, wishes: Wishes, priority: Priority, duration_s: float) -> str:
        """The name of what would hear it; recordings with the same one can share an engine's batches."""
        return self.engines.name_model(wishes, priority, duration_s)

    def stop(self) -> None:
        """Tasks hand back what they have not begun, and the batch that an engine of its own process is at."""
        self.stopping.set()
        with self._lock:
            pooled = self._pooled
        if pooled is not None:
            pooled.pool.interrupt()

    def close(self) -> None:
        with self._lock:
            self._closing.close()


_current: Workshop | None = None


@contextmanager
def open_workshop(settings: Settings, *, prompt: str | None = None) -> Iterator[Workshop]:
    """The workshop of this process while the block runs.

    `prompt` are words that may come up, with commas between, for runs that are given none of their own: names of people
    belong to no parameter of a run, which Prefect keeps and shows.
    """
    global _current
    workshop = Workshop(settings, prompt=prompt)
    _current = workshop
    try:
        yield workshop
    finally:
        _current = None
        workshop.close()


def current_workshop() -> Workshop:
    """The open workshop; in a process that a Prefect worker started, one made from the environment."""
    global _current
    if _current is None:
        _current = Workshop(load_settings())
        atexit.register(_current.close)
    return _current
