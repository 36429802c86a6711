"""Which engine hears what in this process: chosen by wishes, priority and length; opened once, kept loaded, shared.

Knows the settings; how engines are kept is the pool's business.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diarynotes import observe
from diarynotes.models import Priority
from diarynotes.settings import Settings
from diarynotes.transcribe import (
    WHISPERS,
    Choice,
    Devices,
    Engine,
    EnginePool,
    ModelRule,
    Opening,
    Patience,
    Second,
    choose_engine,
    choose_model,
    choose_weights,
    find_gpu,
    find_larger,
    find_weights,
    list_devices,
    open_apart,
    pick_environment,
)

_SECOND_BEST_S = 300.0
"""How long a second-best choice stands before the wanted model is tried again."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one run asks for in place of the settings."""

    engine: str
    model: str
    language: str
    writers: tuple[str, ...]
    terms: tuple[str, ...] | None = None
    """Names and words that may come up; None goes by whose recording it is."""


class Engines:
    """The engines of this process. Safe to use from several threads; closing it closes them all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        names = list_devices(settings.device, gpu=find_gpu())
        self._devices = Devices(names, _tell_given_up)
        patience = Patience(load_s=settings.engine_load_timeout_s, window_s=settings.engine_timeout_s)
        self.pool = EnginePool(
            partial(open_apart, devices=self._devices, patience=patience, environment=pick_environment(os.environ)),
            memory_bytes=settings.engine_memory,
            max_loaded=settings.max_engines,
            idle_s=settings.engine_idle_s,
        )
        self._choosing = threading.Lock()
        self._choices: dict[tuple[str, str], tuple[Choice, float]] = {}

    def borrow(self, wishes: Wishes, priority: Priority, duration_s: float) -> AbstractContextManager[Engine]:
        """The engine for a recording of this priority and length, kept open while the block runs.

        It may still be loading: whoever asks it anything waits. Raises BadSettings, ModelUnavailable, NotInstalled.
        """
        return self._open(self._choose(wishes, priority, duration_s), wishes)

    def second(self, wishes: Wishes, priority: Priority, duration_s: float) -> Second | None:
        """Opens the engine that hears again what the one of `borrow` cannot be trusted with; None where there is none.

        It is the next larger model on disk, unless the run or the settings name what is to hear it.
        """
        choice, second = self._choose(wishes, priority, duration_s), self._settings.second_model
        if choice.model is None or second == "off" or (wishes.model and second == "auto"):
            return None
        models = self._settings.models
        found = find_larger(Path(choice.model), models) if second == "auto" else find_weights(second, models)
        if found is None or str(found) == choice.model:
            return None
        return partial(self._open, Choice(choice.name, str(found), ""), wishes)

    def _open(self, choice: Choice, wishes: Wishes) -> AbstractContextManager[Engine]:
        settings = self._settings
        language = wishes.language or None
        return self.pool.borrow(Opening(choice.name, choice.model, settings.models, language, settings.worker_count))

    def name_model(self, wishes: Wishes, priority: Priority, duration_s: float) -> str:
        """What would hear it: the same for recordings that can share batches. Raises as `borrow` does."""
        choice = self._choose(wishes, priority, duration_s)
        return Path(choice.model).stem if choice.model else choice.name

    def close(self) -> None:
        self.pool.close()

    def _choose(self, wishes: Wishes, priority: Priority, duration_s: float) -> Choice:
        """The engine and weights, looked for once; a choice is said once, a second-best one each time it is made."""
        settings = self._settings
        rule = ModelRule(settings.model_low, settings.model_normal, settings.model_urgent, settings.long_s)
        wanted = wishes.model or choose_model(priority, duration_s, rule)
        if wishes.engine not in ("auto", *WHISPERS):
            return Choice(wishes.engine, None, "")
        with self._choosing:  # a model may be fetched meanwhile, which whoever else wants it waits for
            kept, until = self._choices.get((wishes.engine, wanted), (None, 0.0))
            if kept is None or time.monotonic() > until:
                kept = self._look_for(wishes, wanted)
                until = time.monotonic() + _SECOND_BEST_S if kept.second_best else float("inf")
                self._choices[wishes.engine, wanted] = kept, until
        return kept

    def _look_for(self, wishes: Wishes, wanted: str) -> Choice:
        models, fetch = self._settings.models, self._settings.fetch_models
        if wishes.engine == "auto":
            choice = choose_engine(models, wanted, fetch=fetch, gpu=self._devices.best != "cpu")
        else:
            choice = choose_weights(wishes.engine, models, wanted, fetch=fetch, exactly=bool(wishes.model))
        if wishes.engine == "auto" or choice.second_best:
            observe.engine_chosen(choice.name, choice.reason)
        return choice


def _tell_given_up(device: str, why: str) -> None:
    observe.engine_chosen("whisper", f"The {device} device is not used any more, the CPU takes over. {why}")
