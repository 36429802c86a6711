from __future__ import annotations

import pytest

from diarynotes.transcribe.torch_layers import Linear, choose_precision, make_kernels


@pytest.mark.parametrize(
    ("abilities", "precision"),
    [
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, "bf16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, "fp32"),
        ({"cpu_name": "AMD EPYC 9R14", "avx512_bf16": True}, "bf16"),
        ({"cpu_name": "AMD EPYC 7763"}, "fp32"),
        ({}, "fp32"),
    ],
)
def test_the_precision_suits_the_device(
    monkeypatch: pytest.MonkeyPatch, abilities: dict[str, object], precision: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)

    assert choose_precision("cpu", None) == precision
    assert choose_precision("cuda:0", None) == "fp16"
    assert choose_precision("cpu", "fp32") == "fp32"


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("with_bias", [True, False])
def test_packed_weights_give_the_same_product(rows: int, with_bias: bool) -> None:
    import torch

    generator = torch.Generator().manual_seed(1)
    weight, x = torch.randn(24, 16, generator=generator), torch.randn(rows, 16, generator=generator)
    bias = torch.randn(24, generator=generator) if with_bias else None
    linear = Linear(weight, bias, make_kernels("cpu", "fp32"))

    wanted = torch.nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(linear(x), wanted)
    torch.testing.assert_close(linear.gelu(x), torch.nn.functional.gelu(wanted))
