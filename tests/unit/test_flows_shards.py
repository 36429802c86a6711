"""Recordings dealt out to runs: by priority and model, about equally long, never too many in one."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from diarynotes.models import Media, Priority, Recording
from flows.shards import MOST_RECORDINGS, Shard, plan_shards, shard_audio_s

START = datetime(2026, 11, 1, tzinfo=UTC)
MEDIA = Media("wav", "pcm_s16le", 60.0, 16_000, 1)


def recording(number: int, duration_s: float = 60.0, priority: Priority = "normal") -> Recording:
    moment = START + timedelta(minutes=number)
    media = replace(MEDIA, duration_s=duration_s)
    return Recording(f"r{number:05}", "me", f"/{number}", "0", 1, moment, "file_time", priority, media)


def plan(recordings: list[Recording], audio_s: float = 600.0) -> list[Shard]:
    return plan_shards(
        recordings, shard_audio_s=audio_s, name_model=lambda one: "tiny" if one.priority == "low" else "base"
    )


def test_a_few_short_ones_are_one_shard_in_the_order_in_which_they_were_recorded() -> None:
    (shard,) = plan([recording(2), recording(0), recording(1)])
    assert shard == Shard(("r00000", "r00001", "r00002"), "normal", "base", 180.0)


def test_shards_of_one_priority_and_model_each_the_most_urgent_first() -> None:
    shards = plan([recording(0, priority="low"), recording(1), recording(2, priority="urgent"), recording(3)])
    assert [(shard.priority, shard.model, len(shard.ids)) for shard in shards] == [
        ("urgent", "base", 1),
        ("normal", "base", 2),
        ("low", "tiny", 1),
    ]


def test_shards_are_about_equally_long_and_hold_everything_once() -> None:
    rng = random.Random(7)
    recordings = [recording(number, rng.choice([5, 30, 120, 900])) for number in range(400)]
    shards = plan(recordings)
    assert sorted(key for shard in shards for key in shard.ids) == [one.id for one in recordings]
    lengths = [shard.audio_s for shard in shards]
    assert len(shards) > 50
    assert max(lengths) <= 4 / 3 * max(sum(lengths) / len(lengths), 900)


def test_a_very_long_one_is_a_shard_by_itself() -> None:
    shards = plan([recording(0, 36_000), *(recording(number) for number in range(1, 21))])
    assert ("r00000",) in [shard.ids for shard in shards]


def test_no_run_gets_more_ids_than_prefect_takes() -> None:
    shards = plan([recording(number, 1.0) for number in range(2 * MOST_RECORDINGS + 1)], audio_s=1e9)
    assert len(shards) == 3
    assert max(len(shard.ids) for shard in shards) <= MOST_RECORDINGS
    assert sum(len(shard.ids) for shard in shards) == 2 * MOST_RECORDINGS + 1


def test_starting_a_run_is_a_twentieth_of_it() -> None:
    audio_s = shard_audio_s(startup_s=12, pace=60)
    assert 12 / (12 + audio_s / 60) == 0.05


@pytest.mark.parametrize("minutes", [11, 15, 19, 29, 30, 99])
def test_no_shard_is_shorter_than_what_is_worth_a_run(minutes: int) -> None:
    shards = plan([recording(number) for number in range(minutes)])
    assert min(shard.audio_s for shard in shards) >= 600


def test_nothing_is_no_shard() -> None:
    assert plan([]) == []
