"""Degraded notes are written again when a better writer answers: a real Postgres, vendors that are down and up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from diarynotes import observe
from diarynotes.cli import main
from diarynotes.models import PERSON, DiaryNote, Draft, Mood
from diarynotes.settings import Settings, load_settings
from diarynotes.store.store import Store
from diarynotes.testing import ScriptedWriter
from flows import stages
from flows.upgrade_plan import Plan, better_writers, find_resting, find_upgrades, plan_upgrade
from flows.upgrades import Upgraded, upgrade_notes
from flows.workshop import Wishes, Workshop
from tests.integration import vendor_server as vs
from tests.integration.diary_samples import WISHES, hear
from tests.waiting import PATIENCE_S, wait_for

pytest_plugins = ["tests.integration.store_fixtures"]

MORNING = datetime(2026, 5, 21, 7, 30, tzinfo=UTC)
DAY = date(2026, 5, 21)
SAID = ("I spent most of the day in the garden with Anna.", "I need to buy a new hose, the old one leaks.")
SETTINGS = Wishes("auto", "", "", ())
"""Who writes is left to the settings."""


@dataclass
class Vendors:
    """OpenAI and Anthropic behind one address: each is down, refuses, invents, or writes down what it was told."""

    server: vs.Vendor
    moods: dict[str, str] = field(default_factory=dict)
    while_writing: Callable[[], object] = lambda: None

    def answer(self, seen: vs.Seen) -> vs.Answer:
        name = "anthropic" if seen.path == "/v1/messages" else "openai"
        mood = self.moods.get(name, "writes")
        if mood == "down":
            return vs.as_json({"error": {"message": "no such key"}}, 401)
        self.while_writing()
        says = vs.anthropic_says if name == "anthropic" else vs.openai_says
        if mood == "refuses":
            stop = {"stop": "refusal"} if name == "anthropic" else {"finish": "content_filter"}
            return says("", **stop)
        lines = [line.split(" | ", 1) for line in json.dumps(seen.body).split("\\n") if line[:1].isdigit()]
        body = [{"text": words, "segments": [int(number)]} for number, words in lines]
        if mood == "invents":
            body = [{"text": "Seven purple elephants danced in Tokyo.", "segments": [0]}]
        return says(vs.NOTE | {"title": f"By {name}", "summary": "", "body": body, "people": [], "todos": []})

    @property
    def asked(self) -> list[str]:
        """Who was sent something, one after the other."""
        return ["anthropic" if seen.path == "/v1/messages" else "openai" for seen in self.server.seen]


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with vs.serve() as server:
        running = Vendors(server)
        server.answers = [running.answer]
        yield running


@pytest.fixture
def settings(database_url: str, tmp_path: Path, vendors: Vendors) -> Settings:
    url = vendors.server.url
    keys = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{url}/v1", "ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": url}
    found = load_settings(keys, home=tmp_path / "home", timezone="UTC", database_url=database_url)
    return replace(found, openai_cheap_model="", anthropic_cheap_model="")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Workshop]:
    workshop = Workshop(settings)
    yield workshop
    workshop.close()


@pytest.fixture
def others() -> Iterator[Callable[[Settings], Workshop]]:
    """Opens more workshops on the same diary."""
    opened: list[Workshop] = []

    def open_(settings: Settings) -> Workshop:
        opened.append(Workshop(settings))
        return opened[-1]

    yield open_
    for workshop in opened:
        workshop.close()


def write_badly(shop: Workshop, count: int = 1, said: tuple[str, ...] = SAID, **more: Any) -> list[str]:
    """Landed notes that no model has written."""
    days = [MORNING + timedelta(hours=number) for number in range(count)]
    ids = [hear(shop.store, day, (*said, f"That was number {day.hour}."), **more) for day in days]
    stages.write_notes(shop, ids, wishes=WISHES)
    settle(shop, ids)
    return ids


def settle(shop: Workshop, ids: Sequence[str]) -> None:
    """What is written counts as landed, without the warehouse, which takes its time."""
    shop.store.jobs.store_all_landed(shop.store.jobs.claim("written", ids=ids))


def write_badly_and_land(shop: Workshop) -> str:
    (recording,) = write_badly(shop)
    shop.store.rebuild()
    return recording


def find(shop: Workshop, wishes: Wishes = SETTINGS, **wanted: Any) -> list[str]:
    return [upgrade.work.recording.id for upgrade in find_upgrades(shop, wishes, **wanted)]


def upgrade(shop: Workshop, wishes: Wishes = SETTINGS) -> Upgraded:
    """One upgrade of everything; `stages.land_notes` is left to those who look into the warehouse."""
    done = upgrade_notes(shop, find(shop, wishes), wishes=wishes)
    settle(shop, done.ids)
    return done


def plan(shop: Workshop, wishes: Wishes = SETTINGS) -> Plan:
    return plan_upgrade(shop, find_upgrades(shop, wishes), poorly_heard=0)


def current(store: Store, recording_id: str) -> DiaryNote:
    (stored,) = store.notes(recording_ids=[recording_id])
    return stored.note


def history(store: Store, recording_id: str) -> list[tuple[str, bool, bool]]:
    versions = store.versions(recording_id)
    return [(each.note.writer, each.note.degraded, each.is_current) for each in versions]


def job(store: Store, recording_id: str) -> tuple[str, int, int]:
    """State, attempt, and the attempt that landed last."""
    with store.engine.begin() as connection:
        row = connection.execute(
            text("select state, attempt, landed_attempt from jobs where recording_id = :id"), {"id": recording_id}
        ).one()
    return tuple(row)  # type: ignore[return-value]


def repair(shop: Workshop) -> None:
    """The time for which failed writers are left alone is over."""
    with shop.store.engine.begin() as connection:
        connection.execute(text("delete from breakers"))


# -- a better writer answers ------------------------------------------------------------------------------------------


def test_a_note_is_written_again_by_the_first_model_that_answers_and_the_old_one_stays(
    shop: Workshop, vendors: Vendors
) -> None:
    recording = write_badly_and_land(shop)
    assert upgrade_notes(shop, find(shop), wishes=SETTINGS).ids == (recording,)
    assert job(shop.store, recording)[0] == "written"
    stages.land_notes(shop, [recording])
    assert history(shop.store, recording) == [("extractive", True, False), ("openai", False, True)]
    assert job(shop.store, recording)[0] == "landed"
    assert shop.store.verify() == ()
    shop.store.snapshot()
    assert shop.store.query("select title, writer, degraded from notes")[1] == [("By openai", "openai", False)]
    assert vendors.asked == ["openai"]
    masked = json.dumps(vendors.server.seen[0].body)
    assert "garden" in masked
    assert "Anna" not in masked


def test_a_second_upgrade_does_nothing_and_costs_nothing(shop: Workshop, vendors: Vendors) -> None:
    (recording,) = write_badly(shop)
    upgrade(shop)
    stood = job(shop.store, recording)
    assert upgrade(shop) == Upgraded((), ())
    assert job(shop.store, recording) == stood
    assert vendors.asked == ["openai"]


def test_a_note_is_degraded_until_the_first_of_the_chain_has_written_it(shop: Workshop, vendors: Vendors) -> None:
    (recording,) = write_badly(shop)
    vendors.moods["openai"] = "down"
    upgrade(shop)
    assert history(shop.store, recording)[-1] == ("anthropic", True, True)
    assert current(shop.store, recording).findings[0].code == "writer_failed"
    repair(shop)
    assert upgrade(shop).ids == ()  # anthropic again would improve nothing, so it is not asked
    assert vendors.asked == ["openai", "anthropic", "openai"]
    vendors.moods.clear()
    repair(shop)
    assert upgrade(shop).ids == (recording,)
    assert history(shop.store, recording) == [
        ("extractive", True, False),
        ("anthropic", True, False),
        ("openai", False, True),
    ]


def test_when_nobody_answers_nothing_changes_and_the_ledger_tells_what_was_tried(
    shop: Workshop, vendors: Vendors
) -> None:
    recording = write_badly_and_land(shop)
    vendors.moods |= {"openai": "down", "anthropic": "down"}
    before, note, tables = job(shop.store, recording), current(shop.store, recording), shop.store.warehouse.versions()
    told: list[str] = []
    with observe.listening(lambda event: told.append(event.name)):
        done = upgrade(shop)
    assert [(each.recording_id, each.code) for each in done.unchanged] == [(recording, "writer_failed")]
    assert "upgrade_failed" in told
    assert "landed" not in told
    assert job(shop.store, recording) == ("landed", before[1] + 1, before[2])
    assert current(shop.store, recording) == note
    assert shop.store.warehouse.versions() == tables
    assert shop.store.verify() == ()
    tried = [(line.call.writer, line.outcome) for line in shop.store.ledger(recording_id=recording)]
    assert sorted(tried) == [("anthropic", "auth"), ("openai", "auth")]
    assert {breaker.key for breaker, _ in find_resting(shop, plan(shop))} == {"openai", "anthropic"}
    upgrade(shop)
    assert len(vendors.asked) == 2  # they are left alone for now


def test_what_the_better_writer_invents_is_not_stored(shop: Workshop, vendors: Vendors) -> None:
    (recording,) = write_badly(shop)
    vendors.moods |= {"openai": "invents", "anthropic": "invents"}
    done = upgrade(shop)
    assert [each.code for each in done.unchanged] == ["writer_failed"]
    assert vendors.asked == ["openai", "anthropic"]
    assert history(shop.store, recording) == [("extractive", True, True)]
    assert job(shop.store, recording)[0] == "landed"


def test_a_model_that_rejected_what_was_said_is_asked_again_only_by_name(shop: Workshop, vendors: Vendors) -> None:
    (recording,) = write_badly(shop)
    vendors.moods |= {"openai": "refuses", "anthropic": "refuses"}
    assert [each.code for each in upgrade(shop).unchanged] == ["writer_failed"]
    assert find(shop) == []
    vendors.moods["anthropic"] = "writes"
    assert upgrade(shop, replace(SETTINGS, writers=("openai", "anthropic"))).ids == (recording,)
    assert vendors.asked == ["openai", "anthropic"] * 2
    assert find(shop) == []  # openai has refused, and nobody else comes before anthropic
    with shop.store.engine.begin() as connection:
        connection.execute(text("update calls set begun_at = begun_at - interval '31 days'"))
    assert find(shop) == [recording]


def test_a_note_by_the_second_is_degraded_even_where_the_first_is_no_longer_asked(
    shop: Workshop, vendors: Vendors
) -> None:
    (recording,) = write_badly(shop)
    vendors.moods |= {"openai": "refuses", "anthropic": "down"}
    upgrade(shop)
    vendors.moods["anthropic"] = "writes"
    repair(shop)
    upgrade(shop)
    assert vendors.asked == ["openai", "anthropic", "anthropic"]
    assert history(shop.store, recording)[-1] == ("anthropic", True, True)


# -- who is better, and who may be asked ------------------------------------------------------------------------------


def test_better_are_the_models_before_the_one_that_wrote() -> None:
    draft = Draft("A day", "", Mood("neutral", 0.0), ())

    def named(name: str, *, degraded: bool = False) -> ScriptedWriter:
        writer = ScriptedWriter(draft, degraded=degraded)
        writer.name = name
        return writer

    chain = (named("a"), named("b"), named("c"), named("extractive", degraded=True))
    note = DiaryNote("n", "t", "r", DAY, draft, "b", chain[1].model, "1", True)
    own = (note.writer, note.model)
    assert better_writers(own, chain) == chain[:1]
    assert better_writers(("extractive", chain[3].model), chain) == chain[:3]
    assert better_writers(("gone", note.model), chain) == chain[:3]
    assert better_writers((note.writer, "another"), chain) == chain[:3]
    assert better_writers(("a", note.model), chain) == ()
    assert better_writers(("c", note.model), chain, vain=frozenset({("a", chain[0].model)})) == chain[1:2]


def test_what_must_stay_on_this_machine_is_not_upgraded_elsewhere(
    shop: Workshop, settings: Settings, vendors: Vendors, others: Callable[[Settings], Workshop]
) -> None:
    mine, hers, private, kept = (
        *write_badly(shop),
        *write_badly(shop, owner="anna"),
        *write_badly(shop, said=SAID[:1], name="private/a"),
        *write_badly(shop, said=SAID[1:]),
    )
    shop.store.forbid_cloud([kept])
    own = replace(settings, owners={"anna": {"cloud": False}}, local_only=("*/private/*",))
    assert find(others(own)) == [mine]
    assert find(others(replace(own, cloud=False))) == []
    assert set(find(shop)) == {mine, hers, private}
    assert find(shop, owner="anna") == [hers]
    assert vendors.asked == []


def test_a_budget_is_never_passed_and_what_does_not_fit_stays(
    shop: Workshop, settings: Settings, vendors: Vendors, others: Callable[[Settings], Workshop]
) -> None:
    write_badly(shop, 3)
    poor = others(replace(settings, owner_budget_day_usd=0.001))
    assert plan(poor).left_usd == Decimal("0.001")
    assert [each.code for each in upgrade(poor).unchanged] == ["writer_failed"] * 3
    assert vendors.asked == []
    assert poor.store.spent("me", "day") == 0


def test_days_owners_and_limits_choose_the_newest(shop: Workshop) -> None:
    ids = write_badly(shop, 4)
    assert find(shop) == ids[::-1]
    assert find(shop, limit=2) == ids[:1:-1]
    assert find(shop, limit=0) == find(shop, owner="nobody") == find(shop, until=DAY - timedelta(days=1)) == []
    assert find(shop, since=DAY, until=DAY, ids=ids[:1]) == ids[:1]


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_what_is_said_beforehand_holds_what_it_costs(
    shop: Workshop, settings: Settings, others: Callable[[Settings], Workshop]
) -> None:
    write_badly(shop, 8)
    before = plan(shop)
    assert before.notes == 8
    assert [(share.writer, share.notes, share.measured) for share in before.shares] == [("openai", 8, False)]
    assert before.seconds == 10.0  # eight side by side
    assert before.clouds == ("openai", "anthropic")
    assert before.usd is not None
    assert Decimal("0.001") < before.usd[0] < before.usd[1] < Decimal("0.2")
    unknown = plan(others(replace(settings, openai_model="nobody-knows")))
    assert unknown.usd is None

    some = find_upgrades(shop, SETTINGS, limit=5)
    upgrade_notes(shop, [each.work.recording.id for each in some], wishes=SETTINGS)
    after = plan(shop)
    assert (after.notes, after.shares[0].measured) == (3, True)
    assert after.usd is not None
    assert after.seconds < 5
    spent = shop.store.spent("me", "day")
    upgrade(shop)
    cost = shop.store.spent("me", "day") - spent
    assert after.usd[0] <= cost <= after.usd[1]
    assert after.usd[1] < 2 * after.usd[0]


# -- hands that reach for the same note -------------------------------------------------------------------------------


def test_a_person_who_edits_while_a_model_writes_has_the_last_word(shop: Workshop, vendors: Vendors) -> None:
    recording = write_badly_and_land(shop)
    note = current(shop.store, recording)
    edited = replace(note, id="edited", writer=PERSON, model="", degraded=False)
    vendors.while_writing = lambda: shop.store.jobs.store_edit(edited)
    assert upgrade(shop) == Upgraded((), ())
    assert history(shop.store, recording) == [("extractive", True, False), (PERSON, False, True)]
    stages.land_notes(shop, [recording])
    assert shop.store.verify() == ()
    assert find(shop) == []


def test_two_upgrades_at_once_write_each_note_once(
    shop: Workshop, settings: Settings, vendors: Vendors, others: Callable[[Settings], Workshop]
) -> None:
    ids = write_badly(shop, 6)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda one: upgrade_notes(one, ids, wishes=SETTINGS), [shop, others(settings)]))
    assert sorted(done[0].ids + done[1].ids) == sorted(ids)
    assert len(vendors.asked) == 6


def test_a_stop_leaves_the_rest_as_it_was(shop: Workshop, settings: Settings, vendors: Vendors) -> None:
    shop.settings = replace(settings, writer_concurrency=1)
    ids = write_badly(shop, 3)
    vendors.while_writing = shop.stopping.set
    done = upgrade(shop)
    assert len(done.ids) == 1
    assert {job(shop.store, each)[0] for each in ids} == {"landed"}
    assert len(vendors.asked) == 1


CHILD = """
import os, sys
from flows import stages
from flows.upgrades import upgrade_notes
from flows.upgrade_plan import find_upgrades
from flows.workshop import Wishes, Workshop
from diarynotes.settings import load_settings
settings = load_settings(home=sys.argv[1], database_url=sys.argv[2], timezone="UTC", lease_s=600.0)
shop, wishes = Workshop(settings), Wishes("auto", "", "", ())
ids = [upgrade.work.recording.id for upgrade in find_upgrades(shop, wishes)]
print("begins", flush=True)
done = upgrade_notes(shop, ids, wishes=wishes)
print("written", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def killed(settings: Settings, vendors: Vendors, child: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Starts an upgrade in a process of its own, and kills it when it is asked for."""
    url = vendors.server.url
    for name, value in {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{url}/v1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DIARYNOTES_OPENAI_CHEAP_MODEL", "gpt-5.4")
    process = child(CHILD, settings.home, settings.database_url)
    assert process.stdout.readline() == "begins\n"

    def kill() -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    kill.process = process  # type: ignore[attr-defined]
    return kill


@pytest.fixture
def bad_note(shop: Workshop) -> str:
    return write_badly_and_land(shop)


@pytest.fixture
def hanging(vendors: Vendors) -> Iterator[threading.Event]:
    """The vendor does not answer before the end of the test; set as soon as it was asked."""
    asked, over = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        over.wait(PATIENCE_S)

    vendors.while_writing = hang
    yield asked
    over.set()


@pytest.mark.usefixtures("bad_note")
def test_killed_while_a_model_writes_the_old_note_stands_and_the_next_upgrade_takes_over(
    shop: Workshop, vendors: Vendors, bad_note: str, hanging: threading.Event, killed: Callable[[], None]
) -> None:
    assert hanging.wait(PATIENCE_S)
    note = current(shop.store, bad_note)
    assert shop.store.jobs.claim("landed", ids=[bad_note]) == []
    killed()
    assert current(shop.store, bad_note) == note
    assert shop.store.verify() == ()
    vendors.while_writing = lambda: None
    wait_for(lambda: upgrade(shop).ids)  # Postgres may take a moment to see that the process is gone
    assert history(shop.store, bad_note)[-1] == ("openai", False, True)


@pytest.mark.usefixtures("bad_note")
def test_killed_before_it_landed_the_better_note_lands_with_the_next_run(
    shop: Workshop, bad_note: str, killed: Any
) -> None:
    assert killed.process.stdout.readline() == "written\n"
    killed()
    assert job(shop.store, bad_note)[0] == "written"
    assert shop.store.verify() == ()
    assert find(shop) == []
    stages.land_notes(shop, [bad_note])
    assert job(shop.store, bad_note)[0] == "landed"
    assert shop.store.verify() == ()
    shop.store.snapshot()
    assert shop.store.query("select title from notes")[1] == [("By openai",)]


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def call(settings: Settings, vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    url = vendors.server.url
    told = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"{url}/v1", "DIARYNOTES_DATABASE_URL": settings.database_url}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    return lambda *arguments, **more: CliRunner().invoke(
        main, ["--home", str(settings.home), "upgrade", *arguments], **more
    )


def test_the_command_says_beforehand_what_it_would_do_and_does_nothing_unasked(
    shop: Workshop, vendors: Vendors, call: Callable[..., Result]
) -> None:
    write_badly(shop, 2)
    told = call("--dry-run")
    assert told.exit_code == 0
    assert "2 notes can be written better: 2 by openai (gpt-5.4)." in told.stdout
    assert "That costs about $0.00" in told.stdout
    assert "10 s (assumed" in told.stdout
    refused = call(input="n\n")
    assert "Write them now? [y/N]" in refused.stdout
    assert call("--json").exit_code == 2
    as_json = json.loads(call("--json", "--dry-run", "--limit", "1").stdout)
    assert (as_json["notes"], as_json["upgraded"], as_json["sent_to"]) == (1, [], ["openai"])
    assert vendors.asked == []
    nothing = call("--owner", "nobody", "--yes")
    assert (nothing.exit_code, nothing.stdout) == (0, "No note can be written better by the writers at hand.\n")


@pytest.mark.slow
def test_the_command_runs_the_flow_lands_leftovers_and_amends_the_days(
    shop: Workshop, settings: Settings, vendors: Vendors, call: Callable[..., Result]
) -> None:
    first, second = write_badly(shop, 2)
    shop.store.rebuild()
    upgrade_notes(shop, [first], wishes=SETTINGS)  # and killed before it landed
    environment = dict(os.environ)
    done = subprocess.run(
        [sys.executable, "-m", "diarynotes", "--home", str(settings.home), "upgrade", "--yes", "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["upgraded"] == [second]
    assert [job(shop.store, each)[0] for each in (first, second)] == ["landed", "landed"]
    assert shop.store.verify() == ()
    (entry,) = shop.store.entries()
    assert entry.entry.sources
    assert "garden" not in done.stdout + done.stderr
    assert call("--yes").stdout.startswith("No note can be written better")
