"""The committed weights as a checkpoint of OpenAI's: the one thing that tests need of this folder.

Knows nothing of training, and needs neither flite nor whisper.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).with_name("weights.pt")
"""Half precision, with vectors only for the tokens that the diary uses (`student.Student.export`)."""
NAME = "diary.en.pt"
"""The checkpoint's file name; its stem is the model's name to the engines."""


def trained_checkpoint(folder: Path) -> Path:
    """Write the checkpoint (27 MB, half a second) into `folder`; always the same bytes."""
    import torch

    path = folder / NAME
    torch.save(expand(torch.load(WEIGHTS, weights_only=True)), path)
    return path


def expand(packed: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's `dims` and `model_state_dict` from what the student exports.

    All tokens without a vector of their own get the one that stands for them.
    """
    import torch

    dims, used, tensors = packed["dims"], packed["used"], dict(packed["tensors"])
    rows = tensors.pop("rows")
    embedding = rows[len(used)].repeat(dims["n_vocab"], 1)
    embedding[used] = rows[: len(used)]
    marks = rows[len(used) + 1 :]
    embedding[-len(marks) :] = marks
    times = torch.arange(dims["n_audio_ctx"])[:, None] * _rates(dims["n_audio_state"] // 2)
    positions = torch.cat([times.sin(), times.cos()], dim=1).half()
    state = {**tensors, "decoder.token_embedding.weight": embedding, "encoder.positional_embedding": positions}
    return {"dims": dims, "model_state_dict": state}


def _rates(channels: int) -> Any:
    """How fast each of the encoder's sinusoids turns, per frame (whisper.model.sinusoids)."""
    import torch

    return torch.exp(-math.log(10000) / (channels - 1) * torch.arange(channels))
