"""The witness of chaos sees an answer that was stored and not found, and nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from diarynotes.calls import KeptAnswer
from diarynotes.store.desk import Desk
from diarynotes.store.store import Store
from tests.acceptance.chaos import witness

pytest_plugins = ["tests.integration.store_fixtures"]

ME = {"owner": "me", "recording_id": None}


@pytest.fixture
def desk(store: Store, monkeypatch: pytest.MonkeyPatch) -> Desk:
    witness.install(store.engine)
    monkeypatch.setattr(Desk, "find_answer", witness.watched(Desk.find_answer))
    return store.desk


def keep(desk: Desk, key: str) -> None:
    desk.keep_answer(key, "{}", owner="me", recording_id=None, usd=None)


def test_what_was_not_stored_may_be_asked_for_again(desk: Desk, store: Store) -> None:
    assert desk.find_answer("a", **ME) is None
    keep(desk, "a")
    keep(desk, "a")
    assert desk.find_answer("a", **ME) == KeptAnswer("{}")
    with store.engine.connect() as connection:  # not committed yet by somebody who may be dead
        connection.execute(text("insert into answers (key, owner, text) values ('b', 'me', '{}')"))
        assert desk.find_answer("b", **ME) is None
        connection.commit()
    assert desk.find_answer("b", **ME) == KeptAnswer("{}")
    assert list(witness.find_faults(store.engine)) == []


def test_what_was_stored_must_be_found(desk: Desk, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a", "b"):
        keep(desk, key)
    monkeypatch.setattr(Desk, "find_answer", witness.watched(lambda *_, **__: None))
    for key in ("a", "a", "c"):
        assert desk.find_answer(key, **ME) is None
    assert list(witness.find_faults(store.engine)) == [
        "the answer a was stored, and 2 times not found by who asked again"
    ]
