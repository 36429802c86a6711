"""What tests of the night run in processes of their own: talkative ones that are read back, and some to be killed.

Environment: the home, the database and Prefect's server. Tells on stdout how far it is.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from diarynotes.prefect_api import quiet_prefect, reporting_to
from diarynotes.settings import load_settings


def talk(source: str, *lines: str) -> None:
    """Recordings in which these lines are heard, then two nights: one over a note that breaks a library's code."""
    import diarynotes.testing as fakes
    import flows.artifacts
    from flows import stages, tasks
    from flows.diary import diary
    from flows.nightly import nightly

    fakes.SENTENCES = lines
    flows.artifacts.LONG_S = 1.0  # so that each of them shows how far it is heard
    report: Any = diary([source])
    _say(json.dumps(sorted(report.ids)))

    def quote(*_: Any, **__: Any) -> None:
        raise ValueError(f"cannot append {lines[0]!r} to a column of numbers")

    tasks.land.retries = 0  # which would only wait
    check_landings, stages.check_landings = stages.check_landings, quote
    state: Any = diary([source.replace("first", "second")], return_state=True)
    _say(state.type.value)
    stages.check_landings = check_landings
    _say(nightly(return_state=True).type.value)


def hang() -> None:
    """A night that never gets further than the first entry of a day."""
    from flows import entries
    from flows.nightly import nightly

    def wait(*_: Any, **__: Any) -> None:
        _say("writing an entry")
        time.sleep(600)

    entries.write_entry = wait  # type: ignore[assignment]
    nightly()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


WORK: dict[str, Callable[..., None]] = {"talk": talk, "hang": hang}

if __name__ == "__main__":
    quiet_prefect()
    settings = load_settings()
    from flows.workshop import open_workshop

    with open_workshop(settings), reporting_to(os.environ["PREFECT_API_URL"]):
        WORK[sys.argv[1]](*sys.argv[2:])
