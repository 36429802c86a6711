"""What `diarynotes costs` tells, from rows of a real ledger: sums by hand, in a zone far from UTC."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, text

from diarynotes.calls import ANSWERED, INTERRUPTED, Budgets, Call, Outcome
from diarynotes.cli import main
from diarynotes.cost import price
from diarynotes.models import Usage
from diarynotes.store import open_store
from diarynotes.store.call_tables import AnswerRow, CallRow
from diarynotes.store.spending import Spending
from diarynotes.store.store import Store
from tests.integration.store_samples import bring_to, register

pytest_plugins = ["tests.integration.store_fixtures"]

AUCKLAND = ZoneInfo("Pacific/Auckland")  # 13 hours before UTC in November
NOON = datetime(2026, 11, 10, 12, tzinfo=AUCKLAND)
NOON_NOW = f"Etc/GMT{datetime.now(UTC).hour - 12:+}"
"""A zone in which it is about noon, so that what is of today is not of yesterday a moment later."""
NOVEMBER = (date(2026, 11, 1), date(2026, 11, 30))

Enter = Callable[..., None]


@pytest.fixture
def enter(store: Store) -> Enter:
    """Writes a call into the ledger: $0.01 by default, answered, of 1,000 tokens in and 100 out."""

    def _enter(at: datetime = NOON, *, usd: str | None = "0.01", **changes: Any) -> None:
        row = {
            "owner": "me",
            "writer": "openai",
            "provider": "openai",
            "model": "gpt-5.4",
            "local": False,
            "attempt": 1,
            "begun_at": at,
            "outcome": ANSWERED,
            "latency_s": 1.0,
            "input_tokens": 1000,
            "output_tokens": 100,
            "reserved_usd": Decimal("0.05"),
            "usd": None if usd is None else Decimal(usd),
            "sent_sha256": "0" * 64,
            "sent_bytes": 10,
            "masked": {},
        }
        with store.engine.begin() as connection:
            connection.execute(insert(CallRow).values(row | changes))

    return _enter


def set_lengths(store: Store, lengths_s: dict[str, float]) -> None:
    media = text("update recordings set media = jsonb_build_object('duration_s', cast(:s as float8)) where id = :id")
    with store.engine.begin() as connection:
        for recording_id, length_s in lengths_s.items():
            connection.execute(media, {"id": recording_id, "s": length_s})


@pytest.fixture
def spending(store: Store) -> Spending:
    return Spending(store.engine, zone=AUCKLAND)


@pytest.fixture
def call(store: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line over the same database, 80 columns wide."""

    def _call(*arguments: str, **environment: str) -> Result:
        monkeypatch.chdir(tmp_path)
        home = {"DIARYNOTES_HOME": str(tmp_path / "home"), "DIARYNOTES_DATABASE_URL": database_url}
        fixed = home | {"DIARYNOTES_TIMEZONE": "Pacific/Auckland", "COLUMNS": "80"}
        result = CliRunner().invoke(main, arguments, env=fixed | environment)
        assert result.exit_code == 0, result.output
        return result

    return _call


@pytest.fixture
def costs(call: Callable[..., Result]) -> Callable[..., Result]:
    return functools.partial(call, "costs")


def test_the_total_counts_what_is_not_known_apart(enter: Enter, spending: Spending) -> None:
    enter(latency_s=1.0, cached_tokens=400)
    enter(usd="0.0004", latency_s=3.0, attempt=2)
    enter(usd="0", outcome="rate_limit", latency_s=9.0, input_tokens=0, output_tokens=0)
    enter(usd=None, outcome="timeout", latency_s=60.0, input_tokens=0, output_tokens=0)
    enter(usd=None, outcome=INTERRUPTED, latency_s=0.5, input_tokens=0, output_tokens=0)
    enter(usd=None, latency_s=2.0)
    enter(usd=None, outcome=None, latency_s=None, input_tokens=0, output_tokens=0)
    total = spending.total(*NOVEMBER)
    assert total.usd == Decimal("0.0104")
    assert (total.calls, total.failed, total.interrupted, total.open, total.unknown, total.retries) == (
        7,
        2,
        1,
        1,
        3,
        1,
    )
    assert total.reserved_usd == 4 * Decimal("0.05")
    assert (total.input_tokens, total.output_tokens, total.cached_tokens) == (3000, 300, 400)
    # 1, 2 and 3 s; the 95th of 100 lies nine tenths of the way from 2 to 3
    assert (total.mean_latency_s, total.p95_latency_s) == (2.0, pytest.approx(2.9))


def test_an_empty_ledger_has_a_total_and_nothing_else(spending: Spending) -> None:
    total = spending.total(*NOVEMBER)
    assert (total.calls, total.usd, total.mean_latency_s) == (0, 0, None)
    assert spending.by("day", *NOVEMBER) == []
    assert spending.first_day() is None
    assert spending.balances(NOVEMBER[0]) == []
    assert spending.kept(*NOVEMBER).calls == 0


def test_days_and_months_are_those_of_the_zone(enter: Enter, spending: Spending) -> None:
    enter(datetime(2026, 10, 31, 10, 59, tzinfo=UTC), usd="1")  # still October in Auckland
    enter(datetime(2026, 10, 31, 11, 0, tzinfo=UTC), usd="2")  # midnight there
    enter(datetime(2026, 11, 1, 11, 0, tzinfo=UTC), usd="4")
    enter(datetime(2026, 11, 30, 10, 59, tzinfo=UTC), usd="8")
    enter(datetime(2026, 11, 30, 11, 0, tzinfo=UTC), usd="16")  # December
    found = {spent.key["day"]: spent.usd for spent in spending.by("day", *NOVEMBER)}
    assert found == {date(2026, 11, 1): 2, date(2026, 11, 2): 4, date(2026, 11, 30): 8}
    assert spending.total(*NOVEMBER).usd == 14
    assert spending.first_day() == date(2026, 10, 31)


def test_a_day_on_which_the_clock_changes_is_whole(enter: Enter, spending: Spending) -> None:
    changing = date(2026, 9, 27)  # 23 hours long there
    begins = datetime(2026, 9, 26, 12, 0, tzinfo=UTC)
    enter(begins - timedelta(minutes=1), usd="1")
    enter(begins, usd="2")
    enter(begins + timedelta(hours=22, minutes=59), usd="4")
    enter(begins + timedelta(hours=23), usd="8")
    assert spending.total(changing, changing).usd == 6


def test_owners_and_models_and_recordings_share_the_sum(enter: Enter, store: Store, spending: Spending) -> None:
    ann, (mine, other) = "Ann", register(store, 2)
    enter(recording_id=mine.id, usd="0.03")
    enter(recording_id=mine.id, usd="0.01", writer="anthropic", provider="anthropic", model="claude-sonnet-5")
    enter(recording_id=other.id, usd="0.02")
    enter(owner=ann, usd="0.005")
    enter(owner=ann, usd="0", local=True, writer="server", provider="local", model="llama3.2")
    owners = {spent.key["owner"]: spent.usd for spent in spending.by("owner", *NOVEMBER)}
    assert owners == {"me": Decimal("0.06"), ann: Decimal("0.005")}
    models = [(spent.key["model"], spent.usd, spent.calls) for spent in spending.by("provider", *NOVEMBER)]
    expected = [("gpt-5.4", Decimal("0.055"), 3), ("claude-sonnet-5", Decimal("0.01"), 1), ("llama3.2", 0, 1)]
    assert models == expected
    jobs = [(spent.key["recording_id"], spent.key["source"], spent.usd) for spent in spending.by("job", *NOVEMBER)]
    assert jobs == [
        (mine.id, mine.uri, Decimal("0.04")),
        (other.id, other.uri, Decimal("0.02")),
        (None, None, Decimal("0.005")),
    ]
    anns = Spending(store.engine, zone=AUCKLAND, owner=ann)
    assert anns.total(*NOVEMBER).usd == Decimal("0.005")
    assert [spent.key["owner"] for spent in anns.by("owner", *NOVEMBER)] == [ann]


def test_uses_are_cloud_calls_that_came_back(enter: Enter, store: Store, spending: Spending) -> None:
    long, short = register(store, 2)
    set_lengths(store, {long.id: 900.1, short.id: 900.0})
    enter(recording_id=long.id, usd="0.5", input_tokens=9000, output_tokens=900)
    enter(recording_id=short.id, usd="0.1", input_tokens=3000, cached_tokens=1024)
    enter(usd="0.2", outcome="bad_output", input_tokens=4000)
    enter(usd="0", outcome="rate_limit", input_tokens=0, output_tokens=0)
    enter(usd=None, input_tokens=5000)
    enter(usd=None, outcome="timeout", input_tokens=0, output_tokens=0)
    enter(usd=None, outcome=None)
    enter(usd="0", local=True, writer="server", provider="local")
    (use,) = spending.uses(*NOVEMBER)
    assert (use.calls, use.failed, use.failed_usd, use.unknown) == (6, 1, Decimal("0.2"), 1)
    assert use.usage == Usage("openai", "gpt-5.4", 16_000, 1100, cached_tokens=1024)
    assert use.usd == Decimal("0.8")
    assert (use.long_recordings, use.long_usd) == (1, Decimal("0.5"))
    assert use.long_usage == Usage("openai", "gpt-5.4", 9000, 900)
    assert (use.cache_hits, use.cache_misses, use.sharable) == (1, 1, 0)


def test_short_notes_are_shared_by_owner_and_day(enter: Enter, store: Store, spending: Spending) -> None:
    recordings = register(store, 15)
    set_lengths(store, {recording.id: 60.0 for recording in recordings[:13]} | {recordings[13].id: 60.1})
    days = [("me", 0)] * 7 + [("me", 1)] + [("Ann", 0)] * 5 + [("me", 0)] * 2
    for recording, (owner, day) in zip(recordings, days, strict=True):
        enter(NOON + timedelta(days=day), owner=owner, recording_id=recording.id)
    enter(recording_id=recordings[0].id)  # its answer had to be mended
    enter()  # several notes in it
    (use,) = spending.uses(*NOVEMBER)
    assert use.sharable == (7 - 2) + (1 - 1) + (5 - 1)
    assert use.cache_misses == (16 - 1) + (1 - 1)


def test_kept_answers_that_were_used_again(store: Store, spending: Spending) -> None:
    rows = [("a", "0.02", 3, NOON), ("b", None, 2, NOON), ("c", "9", 0, None), ("d", "9", 1, NOON - timedelta(days=40))]
    with store.engine.begin() as connection:
        for key, usd, uses, at in rows:
            values = {"key": key, "owner": "me", "text": "{}", "usd": usd and Decimal(usd), "uses": uses, "used_at": at}
            connection.execute(insert(AnswerRow).values(values))
    kept = spending.kept(*NOVEMBER)
    assert (kept.calls, kept.usd, kept.unknown) == (5, Decimal("0.06"), 2)


def test_notes_that_no_budget_had_room_for(store: Store, spending: Spending) -> None:
    recordings = register(store, 3)
    bring_to(store, "written", recordings)
    begins = datetime.now(AUCKLAND).date()
    with store.engine.begin() as connection:
        connection.execute(text("update notes set degraded = true where recording_id <> :id"), {"id": recordings[2].id})
        notes = {row.recording_id: row.id for row in connection.execute(text("select recording_id, id from notes"))}
        for recording, why in zip(recordings, ("no room", "it is down", "no room"), strict=True):
            finding = "insert into findings values (:note, 9, 'writer_failed', 'info', 'writer openai', :message)"
            connection.execute(text(finding), {"note": notes[recording.id], "message": f"openai gave none ({why})"})
    ends = begins + timedelta(days=1)  # midnight may have come meanwhile
    assert spending.notes_passed_over(begins, ends, why="no room") == 1
    assert spending.notes_passed_over(date(2020, 1, 1), date(2020, 1, 2), why="no room") == 0


def test_the_command_tells_what_was_called_through_the_desk(database_url: str, tmp_path: Path, costs: Any) -> None:
    usage = Usage("openai", "gpt-5.4", 2000, 400)
    cost = price(usage)
    assert cost.usd is not None
    with open_store(database_url, tmp_path / "home", zone=ZoneInfo(NOON_NOW)) as store:
        call = Call("me", None, "openai", "gpt-5.4", False, 1, Usage("openai", "gpt-5.4", 4000, 800), "0" * 64, 10)
        for outcome in (Outcome(ANSWERED, cost, 1.5), None):
            number = store.desk.admit(call, price(call.most).usd, Budgets()).number
            assert number is not None
            if outcome:
                store.desk.settle(number, outcome, Budgets())
    file = tmp_path / "diarynotes.toml"
    file.write_text("budget_month_usd = 1.0\n[owners.me]\nowner_budget_day_usd = 0.5\n")
    found = json.loads(costs("--json", DIARYNOTES_TIMEZONE=NOON_NOW).stdout)
    known, most = float(cost.usd), float(price(call.most).usd or 0)
    assert (found["total"]["usd"], found["total"]["known_usd"], found["total"]["reserved_usd"]) == (None, known, most)
    assert [day["known_usd"] for day in found["by_day"]] == [known]
    assert found["by_job"][0]["recording_id"] is None
    limits = [(each["owner"], each["period"], each["limit_usd"], each["used_share"]) for each in found["budgets"]]
    used = known + most
    assert limits == [(None, "month", 1.0, pytest.approx(used)), ("me", "day", 0.5, pytest.approx(used / 0.5))]
    assert (found["forecast"], found["no_forecast"]) == (None, "there are less than three whole days to go by")
    assert "never came back" in costs(DIARYNOTES_TIMEZONE=NOON_NOW).stdout


def test_the_page_fits_80_columns(enter: Enter, store: Store, costs: Any) -> None:
    now = datetime.now(ZoneInfo(NOON_NOW))
    (recording,) = register(store, 1)
    for back in range(12):
        enter(now - timedelta(days=back), usd="12.5", recording_id=recording.id, input_tokens=1_234_567)
    enter(now, usd=None, model="a-model-with-a-name-that-is-longer-than-others")
    enter(now, usd="0.0004", owner="Ann", writer="anthropic", provider="anthropic", model="claude-sonnet-5")
    since = str((now - timedelta(days=30)).date())
    page = costs("--since", since, DIARYNOTES_BUDGET_DAY_USD="10", DIARYNOTES_TIMEZONE=NOON_NOW).stdout
    assert max(len(line.rstrip()) for line in page.splitlines()) <= 80
    for told in (
        "$150.00 known",
        "and 1 call of unknown cost",
        "(2 more with --by day)",
        "$0.0004",
        "unknown",
    ):
        assert told in page
    assert "Budgets" in page
    assert "openai:gpt-5.4-mini" in page
    days = costs("--since", since, "--by", "day", DIARYNOTES_TIMEZONE=NOON_NOW).stdout
    assert str((now - timedelta(days=11)).date()) in days
    assert "By owner" not in days


def test_a_past_month_has_no_forecast(enter: Enter, costs: Any) -> None:
    enter(datetime(2026, 3, 31, 12, tzinfo=AUCKLAND))
    found = json.loads(costs("--month", "2026-03", "--json").stdout)
    assert (found["since"], found["until"], found["timezone"]) == ("2026-03-01", "2026-03-31", "Pacific/Auckland")
    assert (found["total"]["usd"], found["forecast"]) == (0.01, None)


def test_where_nothing_was_spent_one_sentence_says_so(enter: Enter, costs: Any) -> None:
    found = costs(DIARYNOTES_TIMEZONE=NOON_NOW).stdout
    assert found.startswith("No model was called")
    assert len(found.splitlines()) == 1
    enter(datetime.now(UTC), usd="0", local=True, writer="server", provider="local", model="llama3.2")
    assert "1 call cost nothing" in costs(DIARYNOTES_TIMEZONE=NOON_NOW).stdout
    assert "llama3.2 (server)" in costs("--by", "provider", DIARYNOTES_TIMEZONE=NOON_NOW).stdout


def test_days_that_cannot_be(costs: Any) -> None:
    runner = CliRunner()
    assert runner.invoke(main, ["costs", "--month", "2026-03", "--since", "2026-03-02"]).exit_code == 2
    result = runner.invoke(main, ["costs", "--since", "2026-03-02", "--until", "2026-03-01"])
    assert result.exit_code == 2
    assert "is after" in result.output


# -- what has left the machine ----------------------------------------------------------------------------------------


def test_what_was_sent_is_listed_with_what_was_masked_and_nothing_of_ones_own(
    enter: Enter, store: Store, call: Callable[..., Result]
) -> None:
    assert call("sent").output == "Nothing has left this machine.\n"
    (recording,) = register(store, 1)
    enter(recording_id=recording.id, sent_bytes=1234, masked={"PERSON": 2, "PHONE": 1})
    enter(NOON + timedelta(days=1), owner="Ann", outcome="timeout")
    enter(local=True, writer="server", provider="local", model="llama3.2")
    out = call("sent").output
    assert "1 PHONE" in out
    assert recording.uri.rpartition("/")[2] in out
    assert "llama" not in out
    told = json.loads(call("sent", "--json").output)
    assert [(each["owner"], each["bytes"], each["masked"]) for each in told] == [
        ("Ann", 10, {}),
        ("me", 1234, {"PERSON": 2, "PHONE": 1}),
    ]
    assert [each["owner"] for each in json.loads(call("sent", "--json", "--owner", "Ann").output)] == ["Ann"]
    assert json.loads(call("sent", "--json", "--since", "2026-11-12").output) == []
