"""A bucket's object becomes a Recording: who it belongs to, what identifies it, when it was spoken.

Knows the names that phones and messengers give their files. Opens nothing: the hash and the container's date come from
whoever read the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pathlib import PurePosixPath
from urllib.parse import unquote

from diarynotes.models import BucketObject, Priority, Recording

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_LATEST = timedelta(days=1)
"""How far ahead of our clock a recording may be dated: a day, for clocks and time zones that disagree."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
# 18.30, 18:30:12, 6.30.12 PM, 18-30-12-123, each after a blank, "at", "T" or a dash
_CLOCK = (
    r"(?:(?P<join>T|,?\s+at\s+|[\s_,-]+)(?P<hour>\d{1,2})[.:_-](?P<minute>\d{2})(?:[.:_-](?P<second>\d{2}))?(?!\d)"
    r"(?:[.,-]\d{3}(?!\d))?(?:\s*(?P<half>[ap])\.?m\b\.?)?(?P<offset>Z|[+-]\d{2}:?\d{2}(?!\d))?)?"
)
# without separators a time has its seconds, or else a running number would be read as one
_COMPACT_CLOCK = (
    r"(?:(?P<join>[T\s_-]?)(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})(?:\d{3})?(?!\d)"
    r"(?P<offset>Z|[+-]\d{2}:?\d{2}(?!\d))?)?"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "signal-2026-05-24-183012"
        r"(?<![\d+])(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?=\D\d{6})" + _COMPACT_CLOCK,
        # 2026-05-24, "2026-05-24 at 18.30.12", "audio_2026-05-24_18-30-12", "2026-05-24T18:30:12Z"
        r"(?<![\d+])(?P<year>\d{4})(?P<dash>[-_.])(?P<month>\d{2})(?P=dash)(?P<day>\d{2})(?!\d)" + _CLOCK,
        # 20260524, "20260524 183012-ABCDEF", REC20260524183012, PTT-20260524-WA0001
        r"(?<![\d+])(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})" + _COMPACT_CLOCK + r"(?!\d)",
        # "5 Nov 2025 at 10.33"
        rf"(?<!\d)(?P<day>\d{{1,2}})[\s_.-]*{_MONTH}[\s_,-]*(?P<year>\d{{4}})(?!\d)" + _CLOCK,
        # "Nov 5, 2025 at 10.33 AM"
        rf"(?<![a-z]){_MONTH}[\s_-]*(?P<day>\d{{1,2}}),?[\s_-]+(?P<year>\d{{4}})(?!\d)" + _CLOCK,
        # "Voice 240524_183012": year, month, day
        r"(?<![\d+])(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)_(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)",
        # "Voice 001_240524"
        r"\bvoice \d{3}_(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)(?!\d)",
    )
)


def make_recording(
    obj: BucketObject,
    *,
    owner: str,
    sha256: str,
    zone: tzinfo,
    priority: Priority = "normal",
    now: datetime | None = None,
) -> Recording:
    """The Recording of an object with these bytes, dated by its file name, else by its file time.

    `sha256` is that of the bytes, or the sketch that `hash_object` makes of an object over the size limit. A file time
    outside the plausible years (a camera without a clock) gives way to `now`, the moment of picking up.
    """
    now = now or datetime.now(UTC)
    named = date_from_name(_file_name(obj.uri), zone, now=now)
    filed = obj.modified_at.astimezone(UTC) if _is_plausible(obj.modified_at, now) else now
    return Recording(
        id=Recording.identify(owner, sha256),
        owner=owner,
        uri=obj.uri,
        sha256=sha256,
        size_bytes=obj.size_bytes,
        recorded_at=named or filed,
        recorded_at_source="file_name" if named else "file_time",
        priority=priority,
    )


def date_recording(recording: Recording, created_at: datetime | None, *, now: datetime | None = None) -> Recording:
    """The recording dated by its container, which wins over the file's name; a name wins over the file's time.

    `created_at` without a zone is UTC, as MP4 says. A date before 1990 or after tomorrow (a container whose clock was
    never set says 1904 or 1970) is not believed.
    """
    if created_at is None:
        return recording
    if created_at.tzinfo is None:
        created_at = created_at.replace(tzinfo=UTC)
    if not _is_plausible(created_at, now or datetime.now(UTC)):
        return recording
    return replace(recording, recorded_at=created_at.astimezone(UTC), recorded_at_source="container")


def date_from_name(name: str, zone: tzinfo, *, now: datetime | None = None) -> datetime | None:
    """When a file of this name was recorded, in UTC; None where the name holds no plausible date.

    A time without an offset is local in `zone`; a date without a time is taken as noon. Two-digit years are read as
    year, month, day, the way Android's recorders write them.
    """
    now = now or datetime.now(UTC)
    return next((moment for moment in _read_moments(name, zone) if _is_plausible(moment, now)), None)


def diary_day(recorded_at: datetime, *, zone: tzinfo, day_start: time) -> date:
    """The day a moment belongs to: by the clock on the wall in `zone`, where the day begins at `day_start`."""
    local = recorded_at.astimezone(zone)
    # the wall clock decides, so a night with a changed clock is never an hour off
    return local.date() if local.time() >= day_start else local.date() - timedelta(days=1)


def _file_name(uri: str) -> str:
    return PurePosixPath(unquote(uri) if uri.startswith("file://") else uri).name


def _is_plausible(moment: datetime, now: datetime) -> bool:
    return _EARLIEST <= moment <= now + _LATEST


def _read_moments(name: str, zone: tzinfo) -> Iterator[datetime]:
    for pattern in _PATTERNS:
        for match in pattern.finditer(name):
            try:
                yield _read_moment(match.groupdict(), zone)
            except (ValueError, OverflowError):  # month 13, day 32, 25 o'clock
                continue


def _read_moment(parts: dict[str, str | None], zone: tzinfo) -> datetime:
    year, month, day = parts["year"] or "", parts["month"] or "", int(parts["day"] or 0)
    day_read = date(
        int(year) + (2000 if len(year) == 2 else 0),
        int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1,
        day,
    )
    if parts.get("hour") is None:
        return datetime.combine(day_read, time(12), zone).astimezone(UTC)
    hour = _read_hour(int(parts["hour"] or 0), parts.get("half"))
    clock = time(hour, int(parts["minute"] or 0), int(parts.get("second") or 0))
    return datetime.combine(day_read, clock, _read_offset(parts) or zone).astimezone(UTC)


def _read_hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(hour)
    return hour % 12 + (12 if half.lower() == "p" else 0)


def _read_offset(parts: dict[str, str | None]) -> tzinfo | None:
    offset = parts.get("offset") or ""
    if offset.upper() == "Z":
        return UTC
    # after a dash a running number looks like an offset, so west of Greenwich only the ISO "T" is believed
    if not offset or (offset[0] == "-" and (parts.get("join") or "").upper() != "T"):
        return None
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 14 or minutes > 59:
        raise ValueError(offset)
    sign = -1 if offset[0] == "-" else 1
    return timezone(sign * timedelta(hours=hours, minutes=minutes))
