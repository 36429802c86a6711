"""Writes and lands the notes of recordings that were heard, and amends the entries of their days."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.artifacts import finish
from flows.dispatch import describe_ids
from flows.passing_on import MOST_AT_ONCE
from flows.running import working
from flows.tasks import RUNNER, finish_notes
from flows.workshop import current_workshop


def _name_run() -> str:
    ids = flow_run.parameters.get("ids")
    return f"write {describe_ids(ids) if ids else 'what is due'}"


@flow(name="write", flow_run_name=_name_run, task_runner=RUNNER, persist_result=False)
def write(ids: list[str] | None = None, writer: str | None = None) -> State[int]:
    """Write and land the notes of recordings that were heard. Those that others hold are left to them.

    Args:
        ids: The recordings; what is neither heard nor written is passed over. Empty takes all that is due.
        writer: The writer of the notes, or a chain of them (openai:gpt-5.4,anthropic); empty takes the setting.
    """
    shop = current_workshop()
    wishes = shop.wish(engine=None, model=None, language=None, writers=writer)
    wanted = ids or list(shop.store.jobs.claimable(limit=MOST_AT_ONCE))
    with working(shop):
        landed, checks = finish_notes(shop, wanted, wishes)
        return finish(shop, wanted, landed, checks=checks)
