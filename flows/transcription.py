"""validated -> transcribed: the speech of many recordings through the engines that their priority and length ask for.

Knows the queue, the store and the settings; how windows become text is `diarynotes.transcribe`'s business.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence

from diarynotes import observe
from diarynotes.cost import price
from diarynotes.errors import LeaseLost
from diarynotes.models import Job, Recording, RecordingId, Usage
from diarynotes.store import HeardWindows
from diarynotes.transcribe import Care, Engine, Heard, Texts, choose_steps, transcribe_recordings
from flows.claims import Claims, in_turns
from flows.hearing import discard, hear
from flows.sandboxed import in_sandbox
from flows.workshop import Wishes, Workshop

_log = logging.getLogger("diarynotes.flows")


@in_turns("validated")
def transcribe_claimed(shop: Workshop, ids: Sequence[RecordingId], *, wishes: Wishes) -> int:
    """The free ones among `ids`, a model at a time; how many there were."""
    with shop.hearing, shop.slots.hold(f"gpu.{socket.gethostname()}"), Claims(shop, "validated", ids) as claims:
        recordings = shop.store.recordings(claims.ids)
        for group in _group_by_model(shop, claims.jobs, recordings, wishes):
            _Hearing(shop, claims, recordings, wishes).transcribe(group)
        return len(claims.jobs)


def _group_by_model(
    shop: Workshop, jobs: Sequence[Job], recordings: dict[RecordingId, Recording], wishes: Wishes
) -> list[list[Job]]:
    """Jobs that share an engine; the groups in the order of their first jobs, so that the urgent come first."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        recording = recordings[job.recording_id]
        model = shop.model_for(wishes, recording.priority, _duration_s(recording))
        groups.setdefault(model, []).append(job)
    return list(groups.values())


def _duration_s(recording: Recording) -> float:
    return recording.media.duration_s if recording.media else 0.0


class _Hearing:
    """Recordings that one engine hears, and the notebook in which what it heard of them is kept."""

    def __init__(
        self, shop: Workshop, claims: Claims, recordings: dict[RecordingId, Recording], wishes: Wishes
    ) -> None:
        self._shop, self._claims, self._wishes = shop, claims, wishes
        self._recordings = recordings
        self._jobs = {job.recording_id: job for job in claims.jobs}
        self._heard_s: dict[RecordingId, float] = {}
        self._kept: dict[RecordingId, HeardWindows] = {}

    def transcribe(self, jobs: Sequence[Job]) -> None:
        """Every one of `jobs`, each settled with its transcript or with what went wrong."""
        shop, settings = self._shop, self._shop.settings
        example = self._recordings[jobs[0].recording_id]
        durations_s = [_duration_s(self._recordings[job.recording_id]) for job in jobs]
        observe.listening_planned(sum(durations_s))
        self._kept = shop.store.heard_windows([job.recording_id for job in jobs])
        care = Care(settings.doubt_below, settings.redecode_temperatures, settings.untrusted_below)
        with shop.engine_for(self._wishes, example.priority, max(durations_s)) as engine:
            results = transcribe_recordings(
                engine,
                self._listen(jobs, engine),
                care=care,
                notebook=self,
                second=shop.engines.second(self._wishes, example.priority, max(durations_s)),
                stopping=shop.stopping.is_set,
            )
            for recording_id, result in results:
                self._tell_progress(recording_id, 1.0)
                with self._claims.settling(self._jobs[recording_id]):
                    if isinstance(result, Exception):
                        raise result
                    usage = Usage("local", engine.model, seconds=_duration_s(self._recordings[recording_id]))
                    shop.store.jobs.store_transcript(self._jobs[recording_id], result, [price(usage)])
                    observe.recording_transcribed(recording_id, result.engine, result.trust)

    def recall(self, recording_id: RecordingId, key: str) -> Texts:
        """What an earlier try has heard, so that it is not paid for again."""
        return self._kept.get(recording_id, {}).get(key, {})

    def keep(self, recording_id: RecordingId, key: str, texts: Texts, share_done: float) -> None:
        """Store what was just heard of a recording that is not complete yet."""
        self._tell_progress(recording_id, share_done)
        try:
            self._shop.store.jobs.keep_heard(self._jobs[recording_id], key, texts)
        except LeaseLost:
            _log.warning("recording %s was taken over by another worker", recording_id)

    def _listen(self, jobs: Sequence[Job], engine: Engine) -> Iterator[Heard]:
        """Decoded recordings as the engine asks for them; one that cannot be decoded is settled on the way."""
        for job, recording, outcome in in_sandbox(self._shop, jobs, hear, drop=discard):
            if isinstance(outcome, Exception):
                self._claims.fail(job, outcome)
                continue
            decoded, spans = outcome
            terms = self._wishes.terms
            yield Heard(
                job.recording_id,
                decoded.open(),
                spans,
                terms=self._shop.settings.terms_of(recording.owner) if terms is None else terms,
                steps=choose_steps(recording.quality, self._shop.settings.preprocess_modes, engine=engine.name),
            )

    def _tell_progress(self, recording_id: RecordingId, share: float) -> None:
        duration_s = _duration_s(self._recordings[recording_id])
        heard_s = share * duration_s
        observe.listened(recording_id, heard_s - self._heard_s.get(recording_id, 0.0), duration_s)
        self._heard_s[recording_id] = heard_s
