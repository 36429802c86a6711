"""When a recording that failed is tried again, by what went wrong: the one table of waits.

Pure: an error and the settings' delays in, the delays of this one out.
"""

from __future__ import annotations

from collections.abc import Sequence

from diarynotes.errors import DiarynotesError


def retry_delays(error: DiarynotesError, base: Sequence[float]) -> tuple[float, ...]:
    """Seconds before each further try; none where the recording itself is at fault, and would fail again.

    What ran out (memory, disk, a database's connections) is not there again within a minute, so its first wait is as
    long as the second. A service that says when to come back is not asked before.
    """
    if error.fault == "recording":
        return ()
    delays = tuple(base)
    if error.reason == "resource_exhaustion" and len(delays) > 1:
        delays = (max(delays[:2]), *delays[1:])
    asked_s = getattr(error, "retry_after_s", None) or 0.0
    return tuple(max(delay, asked_s) for delay in delays)
