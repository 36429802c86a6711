"""Whisper's encoder in torch: log-mel in, what the decoder listens to out.

Knows nothing of text. Follows AudioEncoder of whisper/model.py, with one product for query, key and value, and the
convolutions as products of overlapping frames, which torch's own convolutions are several times slower than.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diarynotes.transcribe.torch_layers import Feedforward, Kernels, Linear, Norm, fuse_linears, read_linear
from diarynotes.transcribe.torch_weights import Checkpoint


class Encoder:
    """Runs on log-mel of shape (windows, n_mels, 3000); gives (windows, 1500, width) in the model's precision."""

    def __init__(self, checkpoint: Checkpoint, kernels: Kernels) -> None:
        tensors, dims = checkpoint.tensors, checkpoint.dims
        self._kernels = kernels
        self._convolutions = (_Convolution(tensors, "encoder.conv1", 1, kernels),
                              _Convolution(tensors, "encoder.conv2", 2, kernels))  # fmt: skip
        self._positions = kernels.own_exactly(tensors["encoder.positional_embedding"])
        blocks = [f"encoder.blocks.{number}" for number in range(dims.n_audio_layer)]
        self._blocks = [_Block(tensors, block, dims.n_audio_head, kernels) for block in blocks]
        self._norm = Norm(tensors, "encoder.ln_post", kernels)

    def __call__(self, mel: Any) -> Any:
        x = mel.to(self._kernels.device, self._kernels.dtype).transpose(1, 2)
        for convolution in self._convolutions:
            x = convolution(x)
        windows, frames, width = x.shape
        x = (x.float() + self._positions).view(windows * frames, width)
        for block in self._blocks:
            x = block(x, windows)
        return self._norm(x).view(windows, frames, width)


class _Convolution:
    """Kernel 3, padding 1, GELU: (windows, frames, channels) -> (windows, frames / stride, width)."""

    def __init__(self, tensors: Mapping[str, Any], name: str, stride: int, kernels: Kernels) -> None:
        weight = tensors[f"{name}.weight"]  # (width, channels, 3), here with the channels of a frame side by side
        self._linear = Linear(weight.transpose(1, 2).reshape(len(weight), -1), tensors[f"{name}.bias"], kernels)
        self._stride = stride

    def __call__(self, x: Any) -> Any:
        import torch

        x = torch.nn.functional.pad(x, (0, 0, 1, 1)).contiguous()
        windows, padded, channels = x.shape
        frames = (padded - 2) // self._stride
        strides = (padded * channels, self._stride * channels, 1)
        overlapping = x.as_strided((windows, frames, 3 * channels), strides)
        return self._linear.gelu(overlapping.reshape(windows * frames, 3 * channels)).view(windows, frames, -1)


class _Block:
    def __init__(self, tensors: Mapping[str, Any], block: str, heads: int, kernels: Kernels) -> None:
        self._heads = heads
        self._norm = Norm(tensors, f"{block}.attn_ln", kernels)
        self._input = fuse_linears(tensors, f"{block}.attn", ("query", "key", "value"), kernels)
        self._output = read_linear(tensors, f"{block}.attn.out", kernels)
        self._feedforward = Feedforward(tensors, block, kernels)

    def __call__(self, x: Any, windows: int) -> Any:
        """x is the running sum over the blocks, float32 (windows * frames, width)."""
        x = x + self._output(self._attend(self._input(self._norm(x)), windows))
        return x + self._feedforward(x)

    def _attend(self, fused: Any, windows: int) -> Any:
        import torch

        query, key, value = fused.view(windows, -1, 3, self._heads, fused.shape[1] // 3 // self._heads).unbind(2)
        heard = torch.nn.functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        return heard.transpose(1, 2).reshape(len(fused), -1)
