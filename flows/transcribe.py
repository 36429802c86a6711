"""Hears a shard: recordings that share a model, in batches over one loaded engine, then passes them on."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.artifacts import finish
from flows.dispatch import ask_for_run, describe_ids
from flows.running import working
from flows.tasks import RUNNER, chunk_size, finish_notes, label_chunks, submit
from flows.tasks import transcribe as transcribe_chunk
from flows.workshop import current_workshop


def _name_run() -> str:
    return f"hear {describe_ids(flow_run.parameters['ids'])}"


@flow(name="transcribe", flow_run_name=_name_run, task_runner=RUNNER, persist_result=False)
def transcribe(
    ids: list[str],
    engine: str | None = None,
    model: str | None = None,
    language: str | None = None,
    writer: str | None = None,
) -> State[int]:
    """Hear recordings that were checked, and have their notes written. Those that others hold are left to them.

    Args:
        ids: The recordings; what is not waiting to be heard is passed over.
        engine: The speech engine: auto, whisper, ctranslate2 or pocketsphinx; empty takes the setting.
        model: A model's name or the path of its weights; empty goes by priority and length.
        language: Force a language (ISO 639-1); empty detects it.
        writer: The writer of the notes, or a chain of them; empty takes the setting.
    """
    shop = current_workshop()
    wishes = shop.wish(engine=engine, model=model, language=language, writers=writer)
    with working(shop):
        futures = [
            submit(transcribe_chunk, label, (), chunk, wishes)
            for chunk, label in label_chunks(ids, chunk_size(len(ids)))
        ]
        heard: int = sum(future.result() for future in futures)
        if shop.settings.write_on:
            jobs = [line.job for line in shop.store.jobs.list(ids, states=["transcribed"])]
            if jobs:
                ask_for_run(
                    shop.settings.write_on,
                    jobs,
                    name=f"write {describe_ids(ids)}",
                    priority="normal",
                    parameters={"writer": writer},
                )
        else:
            finish_notes(shop, ids, wishes)
        return finish(shop, ids, heard)
