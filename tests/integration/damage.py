"""Damages files the way broken disks, cut transfers and attackers do; the same seed gives the same damage."""

from __future__ import annotations

import random
from collections.abc import Callable

Damage = Callable[[bytearray, random.Random], None]


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 4, 16, 64, 256))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flip_header_bits(data: bytearray, rng: random.Random) -> None:
    """Headers are where lengths and counts stand."""
    for _ in range(rng.choice((1, 2, 4, 8))):
        data[rng.randrange(min(512, len(data)))] ^= 1 << rng.randrange(8)


def cut_end(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def cut_middle(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, len(data))]


def splice(data: bytearray, rng: random.Random) -> None:
    """A stretch of the file turns up again somewhere else in it."""
    start, at = rng.randrange(len(data)), rng.randrange(len(data))
    data[at:at] = data[start : start + rng.randrange(1, 4096)]


def overwrite(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    length = min(rng.randrange(1, 4096), len(data) - at)
    data[at : at + length] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))


def enlarge_number(data: bytearray, rng: random.Random) -> None:
    """Somewhere near the beginning four bytes claim to be as much as they can."""
    at = rng.randrange(min(1024, max(1, len(data) - 4)))
    data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"))


KINDS: tuple[Damage, ...] = (
    flip_bits, flip_header_bits, cut_end, cut_middle, splice, overwrite, enlarge_number,
)  # fmt: skip


def damage(original: bytes, seed: int) -> bytes:
    """A copy of `original` with one to three kinds of damage; never longer than a few kilobytes more."""
    rng = random.Random(seed)
    data = bytearray(original)
    for kind in rng.sample(KINDS, rng.choice((1, 1, 1, 2, 3))):
        if len(data) > 8:
            kind(data, rng)
    return bytes(data)
