"""Writes and lands the notes of recordings that were heard, and amends the entries of their days."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.artifacts import finish
from flows.dispatch import describe_ids
from flows.running import working
from flows.tasks import RUNNER, finish_notes
from flows.workshop import current_workshop


def _name_run() -> str:
    return f"write {describe_ids(flow_run.parameters['ids'])}"


@flow(name="write", flow_run_name=_name_run, task_runner=RUNNER, persist_result=False)
def write(ids: list[str], writer: str | None = None) -> State[int]:
    """Write and land the notes of recordings that were heard. Those that others hold are left to them.

    Args:
        ids: The recordings; what is neither heard nor written is passed over.
        writer: The writer of the notes, or a chain of them (openai:gpt-5.4,anthropic); empty takes the setting.
    """
    shop = current_workshop()
    wishes = shop.wish(engine=None, model=None, language=None, writers=writer)
    with working(shop):
        landed, checks = finish_notes(shop, ids, wishes)
        return finish(shop, ids, landed, checks=checks)
