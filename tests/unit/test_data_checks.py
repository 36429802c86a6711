import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import data_checks
from data_checks import TABLES, CheckResult, Table, check_rows, merge_results, run_table_checks, to_markdown
from data_checks.rows import cost_row, note_row, recording_row, transcript_row
from diarynotes.errors import BadSettings
from diarynotes.models import (
    Cost,
    DiaryNote,
    Draft,
    Media,
    Mood,
    Quality,
    Recording,
    Segment,
    Sentence,
    Transcript,
    Usage,
)
from tests.offline import refuse_connections
from tests.waiting import PATIENCE_S

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "Anna told me about her illness"
RECORDING = Recording(
    id="r1",
    owner="me",
    uri="/bucket/a.wav",
    sha256="ab" * 32,
    size_bytes=1000,
    recorded_at=datetime(2026, 5, 24, 10, tzinfo=UTC),
    recorded_at_source="file_name",
    media=Media("wav", "pcm_s16le", 30.0, 16_000, 1),
    quality=Quality(score=0.9, silence_ratio=0.2, snr_db=30.0, clipping_ratio=0.0, bandwidth_hz=8000.0),
)
TRANSCRIPT = Transcript(
    id="t1",
    recording_id="r1",
    engine="pocketsphinx",
    model="en-us",
    language="en",
    segments=(Segment(0.5, 3.0, SECRET), Segment(3.5, 6.0, "and we walked home in the rain")),
    trust=0.5,
)
NOTE = DiaryNote(
    id="n1",
    transcript_id="t1",
    recording_id="r1",
    day=date(2026, 5, 24),
    draft=Draft(SECRET, SECRET, Mood("mixed", -0.2), (Sentence(SECRET, (0,)), Sentence("We walked home.", (0, 1)))),
    writer="extractive",
    model="",
    prompt_version="1",
    degraded=True,
)
COST = Cost(Usage("openai", "gpt-5-mini", 100, 50), Decimal("0.0001"), "genai-prices")


def good_rows() -> dict[Table, dict[str, Any]]:
    return {
        "recordings": recording_row(RECORDING),
        "transcripts": transcript_row(TRANSCRIPT, duration_s=7.0),
        "notes": note_row(NOTE, segments=2, recorded_at=RECORDING.recorded_at),
        "costs": cost_row(COST, cost_id="c1"),
    }


def check(table: Table, **changes: Any) -> CheckResult:
    """A good row beside one with these changes, called 'bad'."""
    good = good_rows()[table]
    return check_rows(table, [good, {**good, "id": "bad", **changes}], now=NOW)


def codes(result: CheckResult) -> list[tuple[str, str]]:
    assert set(result.findings) <= {"bad"}, "a good row was blamed"
    return [(finding.code, finding.severity) for finding in result.findings.get("bad", ())]


@pytest.mark.parametrize("table", TABLES)
def test_a_good_row_passes_without_a_finding(table: Table) -> None:
    result = check(table)
    assert (result.passed, result.findings, result.rejected) == (True, {}, frozenset())
    assert result.rows == 2
    assert {c.failed for c in result.checks} == {0}


@pytest.mark.parametrize(
    ("table", "changes", "code", "severity"),
    [
        ("recordings", {"sha256": "AB" * 32}, "sha256", "error"),
        ("recordings", {"sha256": "ab" * 31}, "sha256", "error"),
        ("recordings", {"sha256": "ab" * 32 + "\n"}, "sha256", "error"),
        ("recordings", {"sha256": None}, "incomplete", "error"),
        ("recordings", {"sha256": 17}, "incomplete", "error"),
        ("recordings", {"size_bytes": 0}, "size", "error"),
        ("recordings", {"duration_s": 0.0}, "duration", "error"),
        ("recordings", {"duration_s": 36_001.0}, "duration", "error"),
        ("recordings", {"duration_s": float("inf")}, "duration", "error"),
        ("recordings", {"duration_s": float("nan")}, "incomplete", "error"),
        ("recordings", {"duration_s": "long"}, "incomplete", "error"),
        ("recordings", {"recorded_at": datetime(1989, 12, 31, tzinfo=UTC)}, "recorded_at", "error"),
        ("recordings", {"recorded_at": NOW + timedelta(days=2)}, "recorded_at", "error"),
        ("recordings", {"recorded_at": "yesterday"}, "incomplete", "error"),
        ("recordings", {"score": 1.01}, "score", "error"),
        ("recordings", {"score": 0.29}, "poor_quality", "warning"),
        ("recordings", {"silence_ratio": 1.5}, "silence_ratio", "error"),
        ("recordings", {"silence_ratio": 0.81}, "mostly_silent", "warning"),
        ("transcripts", {"trust": -0.1}, "trust", "error"),
        ("transcripts", {"trust": None}, "incomplete", "error"),
        ("transcripts", {"words": 0}, "empty", "error"),
        ("transcripts", {"words_per_second": 12.0}, "speech_rate", "warning"),
        ("transcripts", {"words_per_second": 0.1}, "speech_rate", "warning"),
        ("transcripts", {"disordered": 1}, "disordered", "error"),
        ("transcripts", {"overrun_s": 1.5}, "overrun", "error"),
        ("notes", {"title_length": 0}, "title", "error"),
        ("notes", {"title_length": 121}, "title", "error"),
        ("notes", {"sentences": 0}, "empty", "error"),
        ("notes", {"empty_sentences": 1}, "empty_sentence", "error"),
        ("notes", {"ungrounded": 1}, "ungrounded", "error"),
        ("notes", {"mood_score": -1.2}, "mood_score", "error"),
        ("notes", {"mood_label": "furious"}, "mood_label", "error"),
        ("notes", {"days_apart": 3}, "day", "error"),
        ("costs", {"usd": None}, "unknown_price", "warning"),
        ("costs", {"usd": -0.01}, "usd", "error"),
        ("costs", {"input_tokens": -1}, "input_tokens", "error"),
        ("costs", {"output_tokens": -1}, "output_tokens", "error"),
        ("costs", {"seconds": -1.0}, "seconds", "error"),
        ("costs", {"seconds": None}, "incomplete", "error"),
    ],
)
def test_each_rule_finds_its_row_and_no_other(
    table: Table, changes: Mapping[str, Any], code: str, severity: str
) -> None:
    result = check(table, **changes)
    assert (f"{table}.{code}", severity) in codes(result)
    assert result.passed is (severity == "warning")
    assert result.rejected == ({"bad"} if severity == "error" else set())
    assert {c.code: c.failed for c in result.checks}[f"{table}.{code}"] == 1


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("recordings", {"recorded_at": NOW + timedelta(hours=20)}),  # a clock or a zone that is ahead
        ("recordings", {"silence_ratio": 0.8, "score": 0.3, "duration_s": 36_000.0}),
        ("transcripts", {"words_per_second": None}),  # a language without blanks
        ("transcripts", {"overrun_s": 0.9}),
        ("notes", {"title_length": 120, "days_apart": 2, "mood_score": -1}),
        ("costs", {"usd": 0.0, "input_tokens": 0}),
    ],
)
def test_what_lies_on_the_border_passes(table: Table, changes: Mapping[str, Any]) -> None:
    assert codes(check(table, **changes)) == []


def test_every_rule_is_shown_to_work() -> None:
    """The table above names each rule of each suite, so that no rule goes untested."""
    marks = test_each_rule_finds_its_row_and_no_other.pytestmark
    (cases,) = [mark.args[1] for mark in marks if mark.name == "parametrize"]
    shown = {f"{table}.{code}" for table, _, code, _ in cases}
    known = {c.code for table in TABLES for c in check_rows(table, []).checks}
    assert known - shown == {"notes.incomplete"}


def test_a_longer_recording_may_be_allowed() -> None:
    row = {**good_rows()["recordings"], "duration_s": 40_000.0}
    assert not check_rows("recordings", [row], now=NOW).passed
    assert check_rows("recordings", [row], now=NOW, max_duration_s=50_000).passed


def test_a_row_that_breaks_two_rules_has_two_findings() -> None:
    assert {code for code, _ in codes(check("notes", title_length=0, ungrounded=3))} == {
        "notes.title",
        "notes.ungrounded",
    }


def test_no_rows_are_no_trouble() -> None:
    result = check_rows("notes", [])
    assert (result.passed, result.rows, dict(result.findings)) == (True, 0, {})
    assert len(result.checks) == 8


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(BadSettings):
        check_rows("jobs", [])  # type: ignore[arg-type]


def test_rows_of_nouns_measure_what_is_wrong() -> None:
    backward = replace(TRANSCRIPT, segments=(Segment(5, 6, "b"), Segment(1, 2, "a"), Segment(9, 8, "c")))
    row = transcript_row(backward, duration_s=5.0)
    assert (row["disordered"], row["overrun_s"], row["words"]) == (2, 3.0, 3)
    empty = transcript_row(replace(TRANSCRIPT, segments=()), duration_s=5.0)
    assert (empty["words"], empty["words_per_second"], empty["disordered"]) == (0, None, 0)
    assert transcript_row(replace(TRANSCRIPT, language="ja"), duration_s=7.0)["words_per_second"] is None
    body = (Sentence("a", ()), Sentence("b", (2,)), Sentence("c", (-1,)), Sentence(" ", (1,)))
    row = note_row(replace(NOTE, draft=replace(NOTE.draft, body=body)), segments=2, recorded_at=NOW)
    assert (row["sentences"], row["ungrounded"], row["empty_sentences"], row["days_apart"]) == (4, 3, 1, 180)
    assert recording_row(replace(RECORDING, media=None, quality=None))["score"] is None
    assert cost_row(replace(COST, usd=None), cost_id="c")["usd"] is None


def test_rows_and_results_hold_no_diary_text() -> None:
    rows = good_rows()
    results = [check_rows(table, [{**row, "id": "bad"}, {"id": "void"}], now=NOW) for table, row in rows.items()]
    told = f"{rows} {results} {[result.summary() for result in results]} {to_markdown(results)}"
    assert "Anna" not in told
    assert "illness" not in told


def test_a_summary_counts_and_a_table_shows() -> None:
    good = good_rows()["costs"]
    rows = [good, {**good, "id": "c2", "usd": None}, {**good, "id": "c3", "usd": -1.0}]
    (result,) = run_table_checks({"costs": iter(rows)}, now=NOW)
    assert result.summary() == {
        "table": "costs",
        "rows": 3,
        "passed": False,
        "rejected": 1,
        "checks": 6,
        "failed": {"costs.unknown_price": 1, "costs.usd": 1},
    }
    lines = to_markdown([result]).splitlines()
    assert len(lines) == 2 + 6
    assert "| costs | The price is known | warning | 3 | 1 |" in lines


def test_chunks_merge_into_one_result_for_each_table() -> None:
    good = good_rows()["costs"]
    rows = [good, {**good, "id": "c2", "usd": None}, {**good, "id": "c3", "usd": -1.0}]
    chunks = [check_rows("costs", rows[:2]), check_rows("notes", [good_rows()["notes"]]), check_rows("costs", rows[2:])]
    costs, notes = merge_results(chunks)
    assert costs == check_rows("costs", rows)
    assert notes.passed


def test_threads_may_check_at_the_same_time() -> None:
    rows = good_rows()
    results: list[bool] = []

    def work(table: Table) -> None:
        results.extend(check_rows(table, [rows[table]], now=NOW).passed for _ in range(3))

    threads = [threading.Thread(target=work, args=(table,)) for table in TABLES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 12


def test_checks_neither_call_home_nor_write_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = refuse_connections(monkeypatch)
    monkeypatch.chdir(tmp_path)
    check_rows("costs", [good_rows()["costs"]])
    assert wanted == []
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_importing_is_light_and_a_fresh_process_is_quiet(tmp_path: Path) -> None:
    program = (
        "import sys, data_checks, data_checks.rows\n"
        "assert 'great_expectations' not in sys.modules and 'pandas' not in sys.modules\n"
        "data_checks.warm_up()\n"
        "result = data_checks.check_rows('costs', [{'id': 'a', 'usd': -1}])\n"
        "assert not result.passed\n"
    )
    root = Path(data_checks.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
