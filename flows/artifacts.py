"""What a run leaves in Prefect's UI: where each recording stands, what the data checks saw, where the results lie.

Never diary text: whoever runs Prefect need not be whose diary it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from data_checks import CheckResult, merge_results, to_markdown
from diarynotes.models import RecordingId
from flows.workshop import Workshop

_MOST_ROWS = 500


class Progress:
    """How much of a run is done, as an artifact that changes while it runs."""

    def __init__(self, total: int) -> None:
        self._total = total
        created = create_progress_artifact(0.0, key="diary-progress", description=f"{total} recordings to work on")
        self._artifact: Any = created

    def tell(self, done: int) -> None:
        """So many of the recordings have come to an end."""
        update_progress_artifact(self._artifact, 100.0 * min(done, self._total) / max(self._total, 1))


def publish_report(shop: Workshop, ids: Sequence[RecordingId], checks: Sequence[CheckResult]) -> None:
    """A table of the recordings, a page about the run, and a link to the snapshot."""
    lines = shop.store.jobs.list(ids) if ids else []
    create_table_artifact(
        key="diary-recordings",
        description=f"Where each of {len(lines)} recordings stands"
        + (f" (the first {_MOST_ROWS})" if len(lines) > _MOST_ROWS else ""),
        table=[
            {
                "recording": line.job.recording_id,
                "state": line.job.state,
                "reason": line.job.error_code or "",
                "attempt": line.job.attempt,
            }
            for line in lines[:_MOST_ROWS]
        ],
    )
    create_markdown_artifact(
        key="diary-run",
        description="This run at a glance",
        markdown=_describe(Counter(line.job.state for line in lines), checks),
    )
    create_link_artifact(
        key="diary-snapshot",
        link=shop.settings.snapshot.as_uri(),
        link_text="diarynotes.duckdb",
        description="Every table of the diary, to query with DuckDB",
    )


def _describe(states: Counter[str], checks: Sequence[CheckResult]) -> str:
    counts = "\n".join(f"| {state} | {count} |" for state, count in sorted(states.items()))
    rules = to_markdown(merge_results(checks))
    return f"## Recordings\n\n| state | recordings |\n|---|---|\n{counts}\n\n## Data checks\n\n{rules}\n"
