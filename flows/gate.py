"""The gate before landing: the data checks over everything that is about to land, and whom they turn away."""

from __future__ import annotations

from collections.abc import Sequence

from data_checks import CheckResult, check_rows
from data_checks.rows import cost_row, note_row, recording_row, transcript_row
from diarynotes.models import RecordingId
from diarynotes.store import Landing

_SEPARATOR = "/"


def check_landings(landings: Sequence[Landing], *, max_duration_s: float) -> tuple[CheckResult, ...]:
    """All four suites over what is about to land; every row is known by the id of its recording."""
    recordings = [recording_row(landing.recording) for landing in landings]
    transcripts = [
        {**transcript_row(landing.transcript, duration_s=_duration_s(landing)), "id": landing.recording.id}
        for landing in landings
    ]
    notes = [
        {
            **note_row(
                landing.note, segments=len(landing.transcript.segments), recorded_at=landing.recording.recorded_at
            ),
            "id": landing.recording.id,
        }
        for landing in landings
    ]
    costs = [
        cost_row(cost, cost_id=f"{landing.recording.id}{_SEPARATOR}{number}")
        for landing in landings
        for number, cost in enumerate(landing.costs)
    ]
    return (
        check_rows("recordings", recordings, max_duration_s=max_duration_s),
        check_rows("transcripts", transcripts),
        check_rows("notes", notes),
        check_rows("costs", costs),
    )


def turned_away(checks: Sequence[CheckResult]) -> dict[RecordingId, tuple[str, ...]]:
    """The recordings with an error in any suite, and the codes of their errors."""
    failed: dict[RecordingId, tuple[str, ...]] = {}
    for check in checks:
        for row_id, findings in check.findings.items():
            codes = tuple(finding.code for finding in findings if finding.severity == "error")
            if codes:
                recording_id = row_id.partition(_SEPARATOR)[0]
                failed[recording_id] = failed.get(recording_id, ()) + codes
    return failed


def _duration_s(landing: Landing) -> float:
    return landing.recording.media.duration_s if landing.recording.media else 0.0
