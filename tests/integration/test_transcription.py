"""The stage that listens, on a real database and real sound: what is kept, by whom, and what is not to be believed."""

from __future__ import annotations

import threading
import wave
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diarynotes import observe
from diarynotes.buckets import list_objects
from diarynotes.models import SAMPLE_RATE, Priority, Window, WindowText
from diarynotes.settings import load_settings
from diarynotes.store.embedded import stop_embedded
from diarynotes.testing import ScriptedEngine
from flows import stages
from flows.transcription import transcribe_claimed
from flows.workshop import Wishes, Workshop, open_workshop

EXAMPLES = Path(__file__).parents[2] / "examples" / "voice-notes"
SPEECH = EXAMPLES / "2026-05-23T09-15-00.wav"
WISHES = Wishes(engine="scripted", model="", language="", writers=("extractive",))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    home = tmp_path_factory.mktemp("listening") / "home"
    settings = load_settings({}, home=home, timezone="Europe/Berlin", workers=1, max_duration_s=36_000)
    with open_workshop(settings) as workshop:
        yield workshop
    stop_embedded(home / "postgres")


@pytest.fixture
def shop(opened: Workshop) -> Iterator[Workshop]:
    before = opened.settings
    yield opened
    opened.settings = before


class Listener(ScriptedEngine):
    """Notes the windows that it is given; told to, it is interrupted at a certain batch."""

    def __init__(self, *texts: str, dies_at: int = -1, model: str = "lines") -> None:
        super().__init__(*texts, model=model, batch_size=2)
        self.dies_at = dies_at
        self.windows: list[Window] = []
        self.batches = 0

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        if self.batches == self.dies_at:
            raise KeyboardInterrupt
        self.batches += 1
        self.windows += windows
        return super().decode(windows)


def use(monkeypatch: pytest.MonkeyPatch, shop: Workshop, *engines: ScriptedEngine) -> None:
    """Engines by the models' names, in place of those that would be opened."""
    by_name = {engine.model: engine for engine in engines}

    def choose(wishes: Wishes, priority: Priority, duration_s: float) -> Any:
        return by_name.get(shop.model_for(wishes, priority, duration_s), engines[0])

    monkeypatch.setattr(shop, "engine_for", lambda *asked: nullcontext(choose(*asked)))


def make_note(path: Path, *, minutes: float = 0.0, seed: int = 0) -> Path:
    """The speech of an example, again and again for so many minutes; the seed makes it another recording."""
    with wave.open(str(SPEECH)) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        rate = file.getframerate()
    assert rate == SAMPLE_RATE
    gap = np.random.default_rng(seed).integers(-3, 3, 11 * SAMPLE_RATE).astype(np.int16)
    times = max(1, round(minutes * 60 * SAMPLE_RATE / (len(speech) + len(gap))))
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.concatenate([speech, gap] * times).tobytes())
    return path


def register(shop: Workshop, path: Path, *, owner: str = "me", priority: Priority = "normal") -> tuple[str, ...]:
    found = stages.register_objects(shop, list(list_objects(str(path))), owner=owner, priority=priority)
    stages.validate_recordings(shop, found.ids)
    return found.ids


def states(shop: Workshop, ids: Sequence[str]) -> list[tuple[str, str | None]]:
    return [(line.job.state, line.job.error_code) for line in shop.store.jobs.list(ids)]


def test_a_long_recording_goes_on_where_it_was_interrupted(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = register(shop, make_note(tmp_path / "long.wav", minutes=4))
    first, second = Listener(dies_at=3), Listener()

    use(monkeypatch, shop, first)
    with pytest.raises(KeyboardInterrupt):
        transcribe_claimed(shop, ids, wishes=WISHES)
    kept = shop.store.heard_windows(ids)
    assert states(shop, ids) == [("validated", None)]
    use(monkeypatch, shop, second)
    transcribe_claimed(shop, ids, wishes=WISHES)

    assert states(shop, ids) == [("transcribed", None)]
    assert [len(windows) for windows in kept[ids[0]].values()] == [6]
    numbers = [window.number for window in second.windows]
    assert numbers == list(range(6, numbers[-1] + 1))
    assert shop.store.heard_windows(ids) == {}
    with monkeypatch.context() as afresh:
        use(afresh, shop, whole := Listener())
        other = register(shop, make_note(tmp_path / "again.wav", minutes=4), owner="other")
        transcribe_claimed(shop, other, wishes=WISHES)
    transcripts = shop.store.transcripts([*ids, *other])
    assert transcripts[ids[0]].segments == transcripts[other[0]].segments
    assert len(whole.windows) == numbers[-1] + 1


def test_who_is_told_to_stop_hands_a_long_recording_back(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = threading.Event()
    monkeypatch.setattr(shop, "stopping", stopping)

    class Stopper(Listener):
        def decode(self, windows: Sequence[Window]) -> list[WindowText]:
            stopping.set()
            return super().decode(windows)

    use(monkeypatch, shop, engine := Stopper())
    ids = register(shop, make_note(tmp_path / "long.wav", minutes=3, seed=1))
    transcribe_claimed(shop, ids, wishes=WISHES)

    assert states(shop, ids) == [("validated", None)]
    assert engine.batches == 1


def test_progress_counts_seconds_of_sound(shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = register(shop, make_note(tmp_path / "long.wav", minutes=2, seed=2))
    use(monkeypatch, shop, Listener())
    told: list[observe.Event] = []
    with observe.listening(told.append):
        transcribe_claimed(shop, ids, wishes=WISHES)

    planned_s = sum(event.facts["audio_s"] for event in told if event.name == "listening_planned")
    heard_s = [event.facts["audio_s"] for event in told if event.name == "listened"]
    assert len(heard_s) > 2
    assert min(heard_s) >= 0
    assert sum(heard_s) == pytest.approx(planned_s)
    assert planned_s == pytest.approx(120, abs=15)


def test_the_urgent_the_low_and_the_long_go_to_models_of_their_own(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.settings = replace(shop.settings, long_s=60.0)
    wanted: dict[Priority, Path] = {
        "urgent": make_note(tmp_path / "urgent.wav", seed=3),
        "low": make_note(tmp_path / "low.wav", seed=4),
        "normal": make_note(tmp_path / "normal.wav", seed=5),
    }
    ids = [id_ for priority, path in wanted.items() for id_ in register(shop, path, priority=priority)]
    ids += register(shop, make_note(tmp_path / "long.wav", minutes=2, seed=6))
    engines = [Listener(model=name) for name in ("tiny", "base", "small")]

    def choose(wishes: Wishes, priority: Priority, duration_s: float) -> str:
        if priority == "low" or duration_s > shop.settings.long_s:
            return "tiny"
        return "small" if priority == "urgent" else "base"

    monkeypatch.setattr(shop, "model_for", choose)
    use(monkeypatch, shop, *engines)
    transcribe_claimed(shop, ids, wishes=WISHES)

    assert [transcript.model for transcript in map(shop.store.transcripts(ids).__getitem__, ids)] == [
        "small",
        "tiny",
        "base",
        "tiny",
    ]


def test_what_is_not_to_be_believed_is_set_aside_and_its_words_are_not_told(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = register(shop, make_note(tmp_path / "note.wav", seed=7))
    use(monkeypatch, shop, Listener("secret " * 60))
    transcribe_claimed(shop, ids, wishes=WISHES)

    (line,) = shop.store.jobs.list(ids)
    assert (line.job.state, line.job.error_code) == ("quarantined", "untrusted")
    assert "repetition" in str(line.job.error_message)
    assert "secret" not in str(line.job.error_message)
    assert shop.store.transcripts(ids) == {}


def test_each_owner_has_a_glossary_unless_the_run_names_one(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.settings = replace(shop.settings, glossary=("ann=Zug; Anna", "Prefect"))
    terms = {}
    for seed, (owner, wishes) in enumerate(
        {"ann": WISHES, "bob": WISHES, "eve": replace(WISHES, terms=("Ada",))}.items(), start=8
    ):
        use(monkeypatch, shop, engine := Listener())
        ids = register(shop, make_note(tmp_path / f"{owner}.wav", seed=seed), owner=owner)
        transcribe_claimed(shop, ids, wishes=wishes)
        terms[owner] = engine.windows[0].terms

    assert terms == {"ann": ("Zug", "Anna", "Prefect"), "bob": ("Prefect",), "eve": ("Ada",)}
