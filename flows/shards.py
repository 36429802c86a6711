"""Divides recordings among runs: which ones share a loaded model, and how much sound is worth a process of its own.

Pure: recordings in, shards out. Knows no pool and no Prefect.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from diarynotes.models import Priority, Recording, RecordingId

MOST_RECORDINGS = 2_500
"""A hundred kilobytes of ids in the parameters of a run; Prefect takes five hundred, and shows them whole in its UI."""
_PRIORITIES: tuple[Priority, ...] = ("urgent", "normal", "low")


@dataclass(frozen=True, slots=True)
class Shard:
    """Recordings that one run hears with one model; `audio_s` is how long they last together."""

    ids: tuple[RecordingId, ...]
    priority: Priority
    model: str
    audio_s: float


def plan_shards(
    recordings: Sequence[Recording], *, shard_audio_s: float, name_model: Callable[[Recording], str]
) -> list[Shard]:
    """Shards of at least `shard_audio_s` of sound, the most urgent first; each has one priority and one model.

    As many as there is sound for, one at least, and about equally long: the longest recordings are dealt out first,
    each to the shard that has least so far (Graham 1969, longest processing time first: at most 4/3 of the best). A
    longer recording is a shard by itself; less sound than that makes one shard all the same.
    """
    groups: dict[tuple[Priority, str], list[Recording]] = {}
    for recording in recordings:
        groups.setdefault((recording.priority, name_model(recording)), []).append(recording)
    ordered = sorted(groups, key=lambda key: (_PRIORITIES.index(key[0]), key[1]))
    return [
        Shard(tuple(recording.id for recording in part), priority, model, sum(map(_audio_s, part)))
        for priority, model in ordered
        for part in _deal_out(groups[priority, model], shard_audio_s)
    ]


def shard_audio_s(startup_s: float, pace: float, *, most_overhead: float = 0.05) -> float:
    """How much sound a run must hear so that starting it takes at most `most_overhead` of its time, seconds.

    `startup_s` is what a process and its model take to be ready, `pace` how many seconds of sound it hears in one. From
    startup / (startup + audio / pace) <= overhead.
    """
    return startup_s * pace * (1.0 / most_overhead - 1.0)


def _deal_out(recordings: Sequence[Recording], shard_audio_s: float) -> Iterator[list[Recording]]:
    total_s = sum(map(_audio_s, recordings))
    # rounded down: less than what is worth a run goes to the others, not into one of its own
    count = max(1, -(-len(recordings) // MOST_RECORDINGS), int(total_s / shard_audio_s))
    parts: list[list[Recording]] = [[] for _ in range(min(count, len(recordings)))]
    least = [(0.0, 0, number) for number in range(len(parts))]
    for recording in sorted(recordings, key=lambda one: (-_audio_s(one), one.id)):
        audio_s, held, number = heapq.heappop(least)
        parts[number].append(recording)
        if held + 1 < MOST_RECORDINGS:
            heapq.heappush(least, (audio_s + _audio_s(recording), held + 1, number))
    for part in parts:
        part.sort(key=lambda one: (one.recorded_at, one.id))
    yield from (part for part in parts if part)


def _audio_s(recording: Recording) -> float:
    return recording.media.duration_s if recording.media else 0.0
