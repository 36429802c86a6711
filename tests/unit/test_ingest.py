from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diarynotes.ingest import date_from_name, date_recording, diary_day, make_recording
from diarynotes.models import BucketObject, Recording

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FILED = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
SHA = "ab" * 32


def obj(uri: str = "/bucket/me/note.m4a", modified_at: datetime = FILED) -> BucketObject:
    return BucketObject(uri, 1234, "1-2", modified_at)


def recording(uri: str = "/bucket/me/note.m4a", modified_at: datetime = FILED) -> Recording:
    return make_recording(obj(uri, modified_at), owner="me", sha256=SHA, zone=BERLIN, now=NOW)


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("20260524 183012-ABCDEF12.m4a", "2026-05-24T18:30:12+02:00"),
        ("20260524 183012-12345678.m4a", "2026-05-24T18:30:12+02:00"),
        ("Recording 5 Nov 2025 at 10.33.m4a", "2025-11-05T10:33:00+01:00"),
        ("Recording 5 November 2025 at 10.33.12.m4a", "2025-11-05T10:33:12+01:00"),
        ("Nov 5, 2025 at 10.33 PM.m4a", "2025-11-05T22:33:00+01:00"),
        ("Nov 5, 2025 at 12.05\u202fAM.m4a", "2025-11-05T00:05:00+01:00"),
        ("Voice 240524_183012.m4a", "2024-05-24T18:30:12+02:00"),
        ("Voice 001_240524.m4a", "2024-05-24T12:00:00+02:00"),
        ("Voice 001_240524_183012.m4a", "2024-05-24T18:30:12+02:00"),
        ("REC20260524183012.mp3", "2026-05-24T18:30:12+02:00"),
        ("PXL_20260524_183012123.m4a", "2026-05-24T18:30:12+02:00"),
        ("Recording 2026-05-24 18-30-12.m4a", "2026-05-24T18:30:12+02:00"),
        ("PTT-20260524-WA0001.opus", "2026-05-24T12:00:00+02:00"),
        ("AUD-20260524-WA0003.m4a", "2026-05-24T12:00:00+02:00"),
        ("AUD-20260524-0003.m4a", "2026-05-24T12:00:00+02:00"),
        ("WhatsApp Audio 2026-05-24 at 18.30.12.ogg", "2026-05-24T18:30:12+02:00"),
        ("WhatsApp Ptt 2026-05-24 at 6.30.12 PM.ogg", "2026-05-24T18:30:12+02:00"),
        ("WhatsApp Ptt 2026-05-24 at 12.30.12 AM (1).ogg", "2026-05-24T00:30:12+02:00"),
        ("signal-2026-05-24-18-30-12-123.m4a", "2026-05-24T18:30:12+02:00"),
        ("signal-2026-05-24-183012.aac", "2026-05-24T18:30:12+02:00"),
        ("audio_2026-05-24_18-30-12.ogg", "2026-05-24T18:30:12+02:00"),
        ("2026-05-24T18:30:12Z.wav", "2026-05-24T18:30:12+00:00"),
        ("2026-05-24T18:30:12.250Z.wav", "2026-05-24T18:30:12+00:00"),
        ("20260524T183012Z.flac", "2026-05-24T18:30:12+00:00"),
        ("2026-05-24T18-30-12+0200.wav", "2026-05-24T18:30:12+02:00"),
        ("2026-05-24T18-30-12-0700.wav", "2026-05-24T18:30:12-07:00"),
        ("2026-05-24T18:30:12+05:30.wav", "2026-05-24T18:30:12+05:30"),
        ("2026-05-24.wav", "2026-05-24T12:00:00+02:00"),
        ("2026-05-24 (2).wav", "2026-05-24T12:00:00+02:00"),
        ("20260524.wav", "2026-05-24T12:00:00+02:00"),
        ("call +4915112345678 2026-05-24.wav", "2026-05-24T12:00:00+02:00"),
        ("garden 2026_05_24.mp3", "2026-05-24T12:00:00+02:00"),
    ],
)
def test_reads_the_date_that_a_recorder_wrote(name: str, local: str) -> None:
    found = date_from_name(name, BERLIN, now=NOW)
    assert found == datetime.fromisoformat(local)
    assert found is not None
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "name",
    [
        "New Recording 12.m4a",
        "note.mp3",
        "",
        "2026-13-24.wav",
        "20260231.wav",
        "20261305 183012.m4a",
        "Recording 31 Feb 2025 at 10.33.m4a",
        "Nov 5, 2025 at 13.33 PM.m4a",
        "2026-05-24T25:61:00Z.wav",
        "2026-05-24T18:30:12+99:00.wav",
        "+4915112345678.m4a",
        "+20101122.m4a",
        "2025551234.m4a",
        "202-555-1234.m4a",
        "015112345678.m4a",
        "1904-01-01.m4a",
        "19700101_000000.m4a",
        "2026-11-25.wav",  # five days ahead
        "9999-12-31T23:59:59-1400.wav",
        "0000-00-00.wav",
        "f4a3b2c1d0e92026a5b4.m4a",
        "IMG_0042.wav",
    ],
)
def test_a_name_without_a_plausible_date_has_none(name: str) -> None:
    assert date_from_name(name, BERLIN, now=NOW) is None


PIECES = ["2026", "20260524", "05", "24", "18", "30", "99", "0000", "9999", "-", "_", ".", ":", " ", "\n", "+", " at "]
PIECES += ["T", "PM", "Z", "+02:00", "-0700", "Nov", "5", "WA0001", "Voice 001_", "٢٠٢٦"]


@settings(max_examples=500)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=14).map("".join)))
def test_any_name_gives_a_plausible_date_or_none(name: str) -> None:
    found = date_from_name(name, BERLIN, now=NOW)
    assert found is None or datetime(1990, 1, 1, tzinfo=UTC) <= found <= NOW + timedelta(days=1)


def test_a_date_may_lie_one_day_ahead_but_no_more() -> None:
    assert date_from_name("2026-11-21.wav", UTC, now=NOW) == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert date_from_name("2026-11-21 12-00-01.wav", UTC, now=NOW) is None


def test_a_recording_is_identified_by_owner_and_bytes() -> None:
    here, there = recording("/a/one.m4a"), recording("/b/two.m4a")
    assert here.id == there.id == Recording.identify("me", SHA)
    other = make_recording(obj(), owner="you", sha256=SHA, zone=BERLIN, priority="urgent", now=NOW)
    assert other.id != here.id
    assert (other.priority, other.size_bytes, other.sha256) == ("urgent", 1234, SHA)


def test_a_file_name_wins_over_the_file_time() -> None:
    named = recording("/bucket/2026-05-24.wav")
    assert (named.recorded_at, named.recorded_at_source) == (datetime(2026, 5, 24, 10, tzinfo=UTC), "file_name")
    unnamed = recording("/bucket/note.wav")
    assert (unnamed.recorded_at, unnamed.recorded_at_source) == (FILED, "file_time")


def test_only_the_name_counts_not_the_folders() -> None:
    assert recording("/2020-01-01/note.wav").recorded_at == FILED
    assert recording("gs://bucket/me/2026-05-24.wav").recorded_at_source == "file_name"
    assert recording("file:///bucket/2026-05-24%20at%2018.30.12.wav").recorded_at.hour == 16


@pytest.mark.parametrize("filed", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2107, 1, 1, tzinfo=UTC)])
def test_an_impossible_file_time_gives_way_to_the_moment_of_picking_up(filed: datetime) -> None:
    assert recording(modified_at=filed).recorded_at == NOW


def test_the_container_wins_over_the_name() -> None:
    spoken = datetime(2026, 5, 20, 9, 15, tzinfo=BERLIN)
    dated = date_recording(recording("/bucket/2026-05-24.wav"), spoken, now=NOW)
    assert (dated.recorded_at, dated.recorded_at_source) == (spoken, "container")
    assert dated.recorded_at.tzinfo is UTC


def test_a_container_date_without_a_zone_is_utc() -> None:
    dated = date_recording(recording(), datetime(2026, 5, 20, 9, 15), now=NOW)
    assert dated.recorded_at == datetime(2026, 5, 20, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "created_at", [None, datetime(1904, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(days=3)]
)
def test_a_container_whose_clock_was_never_set_is_not_believed(created_at: datetime | None) -> None:
    named = recording("/bucket/2026-05-24.wav")
    assert date_recording(named, created_at, now=NOW) == named


@pytest.mark.parametrize(
    ("local", "day"),
    [
        ("2026-05-24T01:30:00", date(2026, 5, 23)),
        ("2026-05-24T03:59:59", date(2026, 5, 23)),
        ("2026-05-24T04:00:00", date(2026, 5, 24)),
        ("2026-05-24T23:59:00", date(2026, 5, 24)),
        ("2026-01-01T02:00:00", date(2025, 12, 31)),
        ("2026-03-29T03:30:00", date(2026, 3, 28)),  # the clock went from 2 to 3 that night
        ("2026-03-29T04:00:00", date(2026, 3, 29)),
        ("2026-10-25T02:30:00", date(2026, 10, 24)),  # the clock went from 3 back to 2
        ("2026-10-25T04:00:00", date(2026, 10, 25)),
    ],
)
def test_a_day_begins_at_four_on_the_wall_clock(local: str, day: date) -> None:
    moment = datetime.fromisoformat(local).replace(tzinfo=BERLIN)
    assert diary_day(moment.astimezone(UTC), zone=BERLIN, day_start=time(4)) == day
    assert diary_day(moment.replace(fold=1).astimezone(UTC), zone=BERLIN, day_start=time(4)) == day


def test_a_day_is_the_speakers_not_the_servers() -> None:
    moment = datetime(2026, 5, 24, 22, 30, tzinfo=UTC)
    assert diary_day(moment, zone=ZoneInfo("Asia/Tokyo"), day_start=time(4)) == date(2026, 5, 25)
    assert diary_day(moment, zone=ZoneInfo("America/Los_Angeles"), day_start=time(0)) == date(2026, 5, 24)
