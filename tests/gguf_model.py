"""Writes a language model of two layers with random weights as a GGUF, in a moment: what llama.cpp is tested with.

It knows nothing and answers nonsense; under a grammar that is nonsense of the right shape. Its vocabulary is made by
hand (SentencePiece style: special tokens, one for each byte, printable signs, pairs of letters), so no file is needed.
"""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

CONTEXT_TOKENS = 4_096
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_WIDTH, _HEADS, _INNER, _LAYERS = 32, 2, 32, 2
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
"""Kinds of tokens, as llama.cpp numbers them (`gguf.TokenType`)."""
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
FIRST_BYTE, END = 3 + len(_ROLES), 2
"""The numbers of the token that stands for byte 0, and of the one that ends an answer."""
_PIECES = ["▁", *(f"{first}{second}" for first in "▁" + ascii_lowercase for second in ascii_lowercase)]
"""Pairs of letters, so that English has half as many tokens as letters; "▁" is a space."""
_LIKELY = {'"': 1.0, "]": 1.1, "}": 0.9, ",": 0.8, "{": 0.9}
"""Signs that a random model must prefer, or else its answers hardly ever end, and by how much beside one another."""


def write_model(
    path: Path, *, chat_template: str | None = CHAT_TEMPLATE, liking: float = 3.0, quantized: bool = False
) -> Path:
    """Writes the model to `path`; `liking` is by how much the logits of JSON's signs are raised.

    The weights are 32-bit floats, or else 8-bit integers with a scale for each 32 of them (`Q8_0`).
    """
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
    from gguf.quants import quantize

    tokens, kinds = _vocabulary()
    writer = GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0 if quantized else LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for name, tensor in _weights(tokens, liking, np.random.default_rng(7)).items():
        plain = tensor.astype(np.float32)
        if quantized and plain.ndim == 2:
            q8 = GGMLQuantizationType.Q8_0
            writer.add_tensor(name, quantize(plain, q8), raw_dtype=q8)
        else:
            writer.add_tensor(name, plain)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary() -> tuple[list[str], list[int]]:
    tokens = {"<unk>": _UNKNOWN, "<s>": _CONTROL, "</s>": _CONTROL} | dict.fromkeys(_ROLES, _CONTROL)
    tokens |= {f"<0x{byte:02X}>": _BYTE for byte in range(256)}
    tokens |= dict.fromkeys([chr(sign) for sign in range(33, 127)] + _PIECES, _NORMAL)
    return list(tokens), list(tokens.values())


def _weights(tokens: list[str], liking: float, random: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Dimension 0 of every embedding is large, so that column 0 of the output acts as a bias of each token."""

    def matrix(rows: int, columns: int) -> NDArray[np.float64]:
        return random.normal(0, 0.3 / columns**0.5, (rows, columns))

    embedding = random.normal(0, 1, (len(tokens), _WIDTH))
    embedding[:, 0] = 8.0
    output = random.normal(0, 0.15, (len(tokens), _WIDTH))
    constant = 8.0 / ((64.0 + _WIDTH - 1) / _WIDTH) ** 0.5
    output[:, 0] = [_LIKELY.get(token, 0.0) * liking / constant for token in tokens]
    weights = {"token_embd.weight": embedding, "output_norm.weight": np.ones(_WIDTH), "output.weight": output}
    for layer in range(_LAYERS):
        block = f"blk.{layer}."
        weights |= {block + f"{name}.weight": matrix(_WIDTH, _WIDTH) for name in ("attn_q", "attn_k", "attn_v")}
        weights |= {block + f"{name}.weight": matrix(_WIDTH, _WIDTH) for name in ("attn_output",)}
        weights |= {block + f"{name}.weight": matrix(_INNER, _WIDTH) for name in ("ffn_gate", "ffn_up")}
        weights |= {block + "ffn_down.weight": matrix(_WIDTH, _INNER)}
        weights |= {block + f"{name}.weight": np.ones(_WIDTH) for name in ("attn_norm", "ffn_norm")}
    return weights
