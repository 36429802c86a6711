"""OpenAI's Whisper checkpoint read from its file: the model's dimensions and its tensors, checked against each other.

Knows nothing of devices or of how the model runs. Nothing that a file holds is ever executed: torch reads plain
tensors and numbers only (`weights_only`). Names and shapes are those of whisper/model.py.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from diarynotes.errors import ModelUnavailable

FRAMES = 1500
"""Positions of the encoder in a window of 30 s: every published model has as many."""
LARGEST = 1 << 18
"""No dimension of a speech model comes near it; more is a damaged or hostile file."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The sizes of a Whisper model, named as in the checkpoint."""

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int

    @property
    def multilingual(self) -> bool:
        """As whisper.model.Whisper tells them apart."""
        return self.n_vocab >= 51865

    @property
    def languages(self) -> int:
        return self.n_vocab - 51765 - int(self.multilingual)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's dimensions and its tensors by OpenAI's names, on the CPU, in the precision that the file has."""

    dims: Dimensions
    tensors: dict[str, Any]


class _Unfit(Exception):
    """What is wrong with a file, in words that end a sentence."""


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in this file, memory-mapped where the file allows it.

    Raises ModelUnavailable for a file that cannot be read, is cut short, is no checkpoint of Whisper, or would run
    code when unpickled (it does not run).
    """
    try:
        content = _read(path)
        dims = _read_dims(content)
        tensors = _read_tensors(content, dims)
    except OSError as error:
        raise ModelUnavailable(path.stem, f"{path} cannot be read: {error.strerror}.") from error
    except _Unfit as error:
        remedy = f"{path} is not a Whisper checkpoint or is damaged: {error}. Delete it, or name another with --model."
        raise ModelUnavailable(path.stem, remedy) from error
    return Checkpoint(dims, tensors)


def _read(path: Path) -> dict[str, Any]:
    import torch

    try:  # only torch's own archives, which are zip files, can be mapped
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError:
        raise
    except Exception as error:  # torch raises a dozen kinds for a file that is not its own, or that would run code
        raise _Unfit("torch cannot read it as plain weights") from error
    if not isinstance(content, dict) or not {"dims", "model_state_dict"} <= content.keys():
        raise _Unfit("it holds no 'dims' and 'model_state_dict'")
    return content


def _read_dims(content: dict[str, Any]) -> Dimensions:
    stored, names = content["dims"], [field.name for field in fields(Dimensions)]
    if not isinstance(stored, dict) or set(stored) != set(names):
        raise _Unfit("its dimensions are not those of Whisper")
    if not all(type(stored[name]) is int and 0 < stored[name] < LARGEST for name in names):
        raise _Unfit("its dimensions are no sizes of a model")
    dims = Dimensions(**stored)
    if dims.n_mels not in (80, 128) or dims.n_audio_ctx != FRAMES or not 51864 <= dims.n_vocab <= 51866:
        raise _Unfit("its input or vocabulary is not Whisper's")
    if dims.n_audio_state % dims.n_audio_head or dims.n_text_state % dims.n_text_head:
        raise _Unfit("its heads do not divide its width")
    if dims.n_audio_state != dims.n_text_state:
        raise _Unfit("its encoder and decoder differ in width")
    return dims


def _read_tensors(content: dict[str, Any], dims: Dimensions) -> dict[str, Any]:
    import torch

    tensors = content["model_state_dict"]
    if not isinstance(tensors, dict):
        raise _Unfit("its tensors have no names")
    left = set(tensors)
    for name, shape in list_shapes(dims):
        tensor = tensors.get(name)
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            raise _Unfit(f"{name} is missing")
        if tuple(tensor.shape) != shape:
            raise _Unfit(f"{name} does not have the shape that its dimensions ask for")
        left.discard(name)
    if left:
        raise _Unfit(f"it holds {len(left)} tensors that Whisper does not know")
    return dict(tensors)


def list_shapes(dims: Dimensions) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The names of all tensors of such a model with their shapes."""
    audio, text = dims.n_audio_state, dims.n_text_state
    yield from _weight_and_bias("encoder.conv1", audio, dims.n_mels, 3)
    yield from _weight_and_bias("encoder.conv2", audio, audio, 3)
    yield "encoder.positional_embedding", (dims.n_audio_ctx, audio)
    for number in range(dims.n_audio_layer):
        yield from _block(f"encoder.blocks.{number}", audio, ("attn",))
    yield from _weight_and_bias("encoder.ln_post", audio)
    yield "decoder.token_embedding.weight", (dims.n_vocab, text)
    yield "decoder.positional_embedding", (dims.n_text_ctx, text)
    for number in range(dims.n_text_layer):
        yield from _block(f"decoder.blocks.{number}", text, ("attn", "cross_attn"))
    yield from _weight_and_bias("decoder.ln", text)


def _block(block: str, width: int, attentions: tuple[str, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for attention in attentions:
        yield from _weight_and_bias(f"{block}.{attention}_ln", width)
        yield f"{block}.{attention}.key.weight", (width, width)  # keys have no bias
        for part in ("query", "value", "out"):
            yield from _weight_and_bias(f"{block}.{attention}.{part}", width, width)
    yield from _weight_and_bias(f"{block}.mlp_ln", width)
    yield from _weight_and_bias(f"{block}.mlp.0", 4 * width, width)
    yield from _weight_and_bias(f"{block}.mlp.2", width, 4 * width)


def _weight_and_bias(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]
