"""Notes of low priority share calls, through the stages, masked, booked and landed one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diarynotes.buckets import list_objects
from diarynotes.models import Priority
from diarynotes.settings import load_settings
from diarynotes.testing import ScriptedEngine
from flows import stages
from flows.transcription import transcribe_claimed
from flows.workshop import Wishes, Workshop, open_workshop
from tests.integration import vendor_server as vs

pytest_plugins = ["tests.integration.store_fixtures"]

EXAMPLES = Path(__file__).parents[2] / "examples" / "voice-notes"
WISHES = Wishes(engine="scripted", model="", language="", writers=("openai",))


@pytest.fixture
def vendor() -> Iterator[Any]:
    with vs.serve() as running:
        running.answers = [answer]
        yield running


@pytest.fixture
def shop(tmp_path: Path, database_url: str, vendor: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setattr("flows.engines.Engines.borrow", borrow_scripted)
    settings = load_settings(
        {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{vendor.url}/v1"},
        home=tmp_path / "home",
        database_url=database_url,
        timezone="Europe/Berlin",
        workers=1,
    )
    with open_workshop(settings) as workshop:
        yield workshop


def borrow_scripted(*_: Any) -> Any:
    from contextlib import nullcontext

    return nullcontext(ScriptedEngine("I met Zaphod Beeblebrox at the river and we talked about the boat."))


def answer(seen: Any) -> Any:
    """A model that writes down every line of every memo; shared or not, as it is asked."""
    spoken = seen.body["messages"][-1]["content"].split("<transcript>\n")[1:]
    memos = [part.partition("\n</transcript>")[0].splitlines() for part in spoken]
    notes = []
    for number, lines in enumerate(memos, 1):
        pairs = [line.split(" | ", 1) for line in lines]
        body = [{"text": text, "segments": [int(at)]} for at, text in pairs]
        notes.append(vs.NOTE | {"memo": number, "body": body, "people": [], "todos": [], "summary": "S."})
    shared = seen.body["response_format"]["json_schema"]["name"] == "SharedShape"
    return vs.openai_says({"notes": notes} if shared else notes[0], tokens=(1_000, 200, 0))


def write_all(shop: Workshop, priority: Priority) -> list[Any]:
    objects = [next(iter(list_objects(str(path)))) for path in sorted(EXAMPLES.glob("*.wav"))[:1]]
    objects += [next(iter(list_objects(str(path)))) for path in sorted(EXAMPLES.glob("*.ogg"))[:1]]
    objects += [next(iter(list_objects(str(path)))) for path in sorted(EXAMPLES.glob("Voice*.mp3"))[:1]]
    ids = stages.register_objects(shop, objects, owner="me", priority=priority).ids
    stages.validate_recordings(shop, ids)
    transcribe_claimed(shop, ids, wishes=WISHES)
    stages.write_notes(shop, ids, wishes=WISHES)
    stages.land_notes(shop, ids)
    return shop.store.notes(recording_ids=ids)


def test_short_notes_of_low_priority_share_a_call_and_come_apart(shop: Workshop, vendor: Any) -> None:
    stored = write_all(shop, "low")
    assert [(entry.note.writer, entry.note.model) for entry in stored] == [("openai", "gpt-5.4")] * 3
    assert len(vendor.seen) == 1
    assert "Zaphod" not in json.dumps(vendor.seen[0].body)
    for entry in stored:
        assert "Zaphod" in entry.note.draft.body[0].text
        assert max(number for part in entry.note.draft.body for number in part.evidence) < len(
            entry.transcript.segments
        )
    usages = [usage for entry in stored for usage in entry.note.draft.usage]
    assert sum(usage.input_tokens for usage in usages) == 1_000
    (line,) = shop.store.ledger()
    assert (line.usage.input_tokens, line.call.recording_id, line.outcome) == (1_000, None, "answered")
    assert sum(entry.usd for entry in stored) == line.usd


def test_an_answer_whose_notes_were_not_stored_is_on_the_bills_of_those_who_use_it(
    shop: Workshop, vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_together = stages.write_together
    monkeypatch.setattr(stages, "write_together", lambda *args: write_together(*args) and write_together(*args))
    stored = write_all(shop, "low")
    assert len(vendor.seen) == 1
    assert sum(usage.input_tokens for entry in stored for usage in entry.note.draft.usage) == 1_000
    (line,) = shop.store.ledger()
    assert sum(entry.usd for entry in stored) == line.usd


def test_what_is_not_of_low_priority_has_a_call_of_its_own(shop: Workshop, vendor: Any) -> None:
    stored = write_all(shop, "normal")
    assert len(vendor.seen) == len(stored) == 3
    assert {line.call.recording_id for line in shop.store.ledger()} == {entry.recording.id for entry in stored}


def test_what_nobody_foresaw_of_a_shared_call_leaves_each_to_be_written_alone(
    shop: Workshop, vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("diary words")

    monkeypatch.setattr(stages, "write_together", broken)
    assert [entry.note.writer for entry in write_all(shop, "low")] == ["openai"] * 3
    assert len(vendor.seen) == 3
