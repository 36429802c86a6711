"""Hears a shard: recordings that share a model, in batches over one loaded engine, then passes them on."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.artifacts import finish
from flows.dispatch import describe_ids
from flows.passing_on import MOST_AT_ONCE, ask_to_write
from flows.running import working
from flows.tasks import RUNNER, chunk_size, finish_notes, label_chunks, submit
from flows.tasks import transcribe as transcribe_chunk
from flows.workshop import current_workshop


def _name_run() -> str:
    ids = flow_run.parameters.get("ids")
    return f"hear {describe_ids(ids) if ids else 'what is due'}"


@flow(name="transcribe", flow_run_name=_name_run, task_runner=RUNNER, persist_result=False)
def transcribe(
    ids: list[str] | None = None,
    engine: str | None = None,
    model: str | None = None,
    language: str | None = None,
    writer: str | None = None,
) -> State[int]:
    """Hear recordings that were checked, and have their notes written. Those that others hold are left to them.

    Args:
        ids: The recordings; what is not waiting to be heard is passed over. Empty takes all that is due.
        engine: The speech engine: auto, whisper, ctranslate2 or pocketsphinx; empty takes the setting.
        model: A model's name or the path of its weights; empty goes by priority and length.
        language: Force a language (ISO 639-1); empty detects it.
        writer: The writer of the notes, or a chain of them; empty takes the setting.
    """
    shop = current_workshop()
    wishes = shop.wish(engine=engine, model=model, language=language, writers=writer)
    wanted = ids or list(shop.store.jobs.claimable(limit=MOST_AT_ONCE))
    with working(shop):
        futures = [
            submit(transcribe_chunk, label, (), chunk, wishes)
            for chunk, label in label_chunks(wanted, chunk_size(len(wanted)))
        ]
        heard: int = sum(future.result() for future in futures)
        if shop.settings.write_on:
            list(ask_to_write(shop, wanted, wishes))
        else:
            finish_notes(shop, wanted, wishes)
        return finish(shop, wanted, heard)
