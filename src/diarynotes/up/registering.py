"""Tells Prefect's server where runs go, pools and queues; asks for runs, and clears away those that died."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from diarynotes.up.api import Api

POOL_TYPE = "diarynotes-resident"
QUEUES = ("urgent", "normal", "low")
"""The queues of each pool, in falling priority."""
_DIED = {"type": "CRASHED", "name": "Crashed", "message": "The machine or `diarynotes up` was stopped during this run."}


def register_pools(api: Api, slots: Mapping[str, int]) -> None:
    """Makes the pools, each of so many runs at once, and their queues."""
    for pool, limit in slots.items():
        api.ask("POST", "/work_pools/", {"name": pool, "type": POOL_TYPE, "concurrency_limit": limit}, unless=409)
        api.ask("PATCH", f"/work_pools/{pool}", {"concurrency_limit": limit})
        for priority, queue in enumerate(QUEUES, start=1):
            facts = {"name": queue, "priority": priority}
            if api.ask("POST", f"/work_pools/{pool}/queues", facts, unless=409) is None:
                api.ask("PATCH", f"/work_pools/{pool}/queues/{queue}", {"priority": priority})


def clear_dead_runs(api: Api, pools: Collection[str], started_at: datetime) -> None:
    """Runs of these pools that an earlier `up` was killed at are marked as crashed: nobody else would do that.

    Those are what has not moved since `started_at`, when this one came to be the only one that serves them. Runs of
    other pools, or of none, belong to others who report to this server, too.
    """
    wanted = {
        "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
        "work_pools": {"name": {"any_": list(pools)}},
        "sort": "ID_DESC",
    }
    alive = 0
    while runs := api.ask("POST", "/flow_runs/filter", {**wanted, "offset": alive}):
        dead = [run for run in runs if datetime.fromisoformat(run["state"]["timestamp"]) < started_at]
        for run in dead:
            api.ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": _DIED, "force": True})
        alive += len(runs) - len(dead)


def ask_for_run(api: Api, deployment: str) -> None:
    """Asks for a run of FLOW/NAME now, unless one waits for its turn already."""
    found = api.ask("GET", f"/deployments/name/{deployment}")
    waiting = {
        "deployments": {"id": {"any_": [found["id"]]}},
        "flow_runs": {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
        },
    }
    if not api.ask("POST", "/flow_runs/count", waiting):
        api.ask("POST", f"/deployments/{found['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
