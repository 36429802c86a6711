"""The layers of Whisper that encoder and decoder share, in the precision and with the kernels that suit a device.

Knows nothing of audio, tokens or caches. A CPU multiplies by weights that stay in the order which its kernels want
(oneDNN's, through the operators that torch's own compiler emits); elsewhere torch's linear does. Activations between
the layers stay float32 on a CPU: what is added up over many layers should not be rounded at each of them.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diarynotes.errors import BadSettings

PRECISIONS = ("fp32", "bf16", "fp16")
"""In which numbers a model may compute; weights of a checkpoint are float16 or float32."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """Where and in which numbers the layers compute; `packed`: with weights in oneDNN's order."""

    device: str
    dtype: Any
    packed: bool

    def own(self, tensor: Any) -> Any:
        """A copy for these kernels: the checkpoint's tensors are mapped from a file that somebody may overwrite."""
        return tensor.to(self.device, self.dtype, copy=True)

    def own_exactly(self, tensor: Any) -> Any:
        """A copy in float32, for what is added to or multiplied with float32."""
        import torch

        return tensor.to(self.device, torch.float32, copy=True)


def choose_precision(device: str, precision: str | None) -> str:
    """The precision asked for, or the best for this device: bf16 on CPUs that multiply it, fp16 on CUDA, else fp32.

    Raises BadSettings for one that is not known, or that this kind of device has no kernels for.
    """
    if precision is None:
        return "fp16" if device.startswith("cuda") else "bf16" if _multiplies_bf16(device) else "fp32"
    if precision not in PRECISIONS:
        raise BadSettings("precision", f"'{precision}' is not known; choose one of {', '.join(PRECISIONS)}.")
    if precision == "fp16" and not device.startswith("cuda"):
        raise BadSettings("precision", f"fp16 is for GPUs, not for {device}; choose bf16 or fp32.")
    return precision


def make_kernels(device: str, precision: str) -> Kernels:
    """The kernels for this device in this precision."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    packed = device == "cpu" and bool(torch.backends.mkldnn.enabled) and platform.machine() in ("x86_64", "AMD64")
    return Kernels(device, dtype, packed)


def _multiplies_bf16(device: str) -> bool:
    """Whether bf16 is the faster one here: with AMX 6 times on the CPU where it was measured.

    AVX-512's bf16 product is slower than fp32 on the same Intel CPU (by half), but 2.5 times as fast on an AMD one.
    """
    import torch

    abilities = torch.cpu.get_capabilities() if device == "cpu" else {}
    intel = "intel" in str(abilities.get("cpu_name", "")).lower()
    return bool(abilities.get("amx_bf16") or (abilities.get("avx512_bf16") and not intel))


class Linear:
    """x @ weight.T + bias for x of shape (rows, inputs), with GELU behind it where asked for."""

    def __init__(self, weight: Any, bias: Any, kernels: Kernels) -> None:
        import torch

        weight = kernels.own(weight)
        self._bias = None if bias is None else kernels.own(bias)
        self._packed = kernels.packed
        # the second argument is only a hint; the packed order was found to be the same for 16 and 6000 rows
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, 1500) if kernels.packed else weight

    def __call__(self, x: Any) -> Any:
        import torch

        if self._packed:
            return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return torch.nn.functional.linear(x, self._weight, self._bias)

    def gelu(self, x: Any) -> Any:
        import torch

        if self._packed:
            return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "gelu", [], "none")
        return torch.nn.functional.gelu(self(x))


class Norm:
    """Layer norm over the last dimension, computed in float32 as OpenAI does, given in the model's precision."""

    def __init__(self, tensors: Mapping[str, Any], name: str, kernels: Kernels) -> None:
        self._weight = kernels.own_exactly(tensors[f"{name}.weight"])
        self._bias = kernels.own_exactly(tensors[f"{name}.bias"])
        self._dtype = kernels.dtype

    def __call__(self, x: Any) -> Any:
        import torch

        return torch.nn.functional.layer_norm(x.float(), self._weight.shape, self._weight, self._bias).to(self._dtype)


def fuse_linears(tensors: Mapping[str, Any], attention: str, parts: tuple[str, ...], kernels: Kernels) -> Linear:
    """Several of an attention's query, key and value as one product; keys have no bias."""
    import torch

    weights = [tensors[f"{attention}.{part}.weight"] for part in parts]
    biases = [tensors.get(f"{attention}.{part}.bias", torch.zeros(len(weights[0]))) for part in parts]
    return Linear(torch.cat(weights), torch.cat([bias.to(weights[0].dtype) for bias in biases]), kernels)


def read_linear(tensors: Mapping[str, Any], name: str, kernels: Kernels) -> Linear:
    """One product by its name."""
    return Linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"], kernels)


class Feedforward:
    """The two products at the end of every block, with GELU between them."""

    def __init__(self, tensors: Mapping[str, Any], block: str, kernels: Kernels) -> None:
        self._norm = Norm(tensors, f"{block}.mlp_ln", kernels)
        self._wide = read_linear(tensors, f"{block}.mlp.0", kernels)
        self._narrow = read_linear(tensors, f"{block}.mlp.2", kernels)

    def __call__(self, x: Any) -> Any:
        return self._narrow(self._wide.gelu(self._norm(x)))
