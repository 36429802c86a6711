"""Whisper's decoder in torch, with a cache that is laid out once per batch.

Knows nothing of rules for tokens or of when a text is finished. Follows TextDecoder of whisper/model.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diarynotes.transcribe.torch_layers import Feedforward, Kernels, Linear, Norm, fuse_linears, read_linear
from diarynotes.transcribe.torch_weights import Checkpoint


class Cache:
    """Keys and values of a batch, both (layers, 2, rows, heads, places, width of a head).

    `heard` are those of the sound, computed once; `said` those of the tokens so far, with places for all that may come.
    The first `rows` of them are still being decoded; `places` of `said` are taken.
    """

    def __init__(self, heard: Any, said: Any) -> None:
        self.heard, self.said = heard, said
        self.rows: int = heard.shape[2]
        self.places = 0

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Go on with these rows only; gives their new order. A row that moves is copied, no other is."""
        order = list(range(len(rows)))
        late = [row for row in rows if row >= len(rows)]
        gone = sorted(set(order) - set(rows))
        for place, row in zip(gone, late, strict=True):
            self.heard[:, :, place] = self.heard[:, :, row]
            self.said[:, :, place, :, : self.places] = self.said[:, :, row, :, : self.places]
            order[place] = row
        self.rows = len(rows)
        return order


class Decoder:
    """Gives the scores of the next token, float32 (rows, vocabulary), for tokens of shape (rows, n)."""

    def __init__(self, checkpoint: Checkpoint, kernels: Kernels) -> None:
        tensors, dims = checkpoint.tensors, checkpoint.dims
        self._kernels, self._heads = kernels, dims.n_text_head
        embedding = tensors["decoder.token_embedding.weight"]
        self._embedding = kernels.own(embedding)
        self._positions = kernels.own_exactly(tensors["decoder.positional_embedding"])
        blocks = [f"decoder.blocks.{number}" for number in range(dims.n_text_layer)]
        self._blocks = [_Block(tensors, block, dims.n_text_head, kernels) for block in blocks]
        self._norm = Norm(tensors, "decoder.ln", kernels)
        self._vocabulary = Linear(embedding, None, kernels)

    def window_bytes(self, frames: int) -> int:
        """What one row takes of the room that `make_room` gives."""
        size: int = len(self._blocks) * 2 * frames * self._embedding.shape[1] * self._embedding.element_size()
        return size

    def make_room(self, rows: int, frames: int) -> Any:
        """Room for what that many rows hear, (layers, 2, rows, heads, frames, width of a head): see `listen`."""
        import torch

        head = self._embedding.shape[1] // self._heads
        shape = (len(self._blocks), 2, rows, self._heads, frames, head)
        return torch.empty(shape, dtype=self._kernels.dtype, device=self._kernels.device)

    def listen(self, features: Any, heard: Any) -> None:
        """Put what `features` (rows, frames, width) offer to every layer into `heard`, from `make_room`."""
        rows, frames, width = features.shape
        for layer, block in enumerate(self._blocks):
            offered = block.offer(features.reshape(rows * frames, width))
            heard[layer] = offered.view(rows, frames, 2, self._heads, -1).permute(2, 0, 3, 1, 4)

    def open(self, heard: Any, places: int) -> Cache:
        """A cache for rows that listen to `heard` and will say at most `places` tokens."""
        layers, _, rows, heads, _, head = heard.shape
        return Cache(heard, heard.new_empty((layers, 2, rows, heads, places, head)))

    def read(self, tokens: Any, cache: Cache) -> Any:
        """Take in tokens (rows, n) behind those before; gives their states (rows, n, width) for `score`."""
        rows, length = tokens.shape
        positions = self._positions[cache.places : cache.places + length]
        x = (self._embedding[tokens].float() + positions).view(rows * length, -1)
        for layer, block in enumerate(self._blocks):
            x = block(x, cache, layer)
        cache.places += length
        return x.view(rows, length, -1)

    def score(self, states: Any) -> Any:
        """The scores of every token behind these states (rows, width): float32 (rows, vocabulary)."""
        return self._vocabulary(self._norm(states)).float()


class _Block:
    def __init__(self, tensors: Mapping[str, Any], block: str, heads: int, kernels: Kernels) -> None:
        self._heads = heads
        self._norm = Norm(tensors, f"{block}.attn_ln", kernels)
        self._input = fuse_linears(tensors, f"{block}.attn", ("query", "key", "value"), kernels)
        self._output = read_linear(tensors, f"{block}.attn.out", kernels)
        self._cross_norm = Norm(tensors, f"{block}.cross_attn_ln", kernels)
        self._cross_query = read_linear(tensors, f"{block}.cross_attn.query", kernels)
        self._cross_output = read_linear(tensors, f"{block}.cross_attn.out", kernels)
        self._feedforward = Feedforward(tensors, block, kernels)
        self.offer = fuse_linears(tensors, f"{block}.cross_attn", ("key", "value"), kernels)

    def __call__(self, x: Any, cache: Cache, layer: int) -> Any:
        """x is the running sum over the blocks, float32 (rows * n, width)."""
        x = x + self._output(self._attend_said(self._input(self._norm(x)), cache, layer))
        x = x + self._cross_output(self._attend_heard(self._cross_query(self._cross_norm(x)), cache, layer))
        return x + self._feedforward(x)

    def _attend_said(self, fused: Any, cache: Cache, layer: int) -> Any:
        parts = fused.view(cache.rows, -1, 3, self._heads, fused.shape[1] // 3 // self._heads)
        query, key, value = parts.transpose(1, 3).unbind(2)  # each (rows, heads, n, head width)
        end = cache.places + query.shape[2]
        said = cache.said[layer, :, : cache.rows]
        said[0, :, :, cache.places : end] = key
        said[1, :, :, cache.places : end] = value
        # several tokens are only ever read into an empty cache, where each sees those before it
        return self._attend(query, said[0, :, :, :end], said[1, :, :, :end], causal=cache.places == 0)

    def _attend_heard(self, query: Any, cache: Cache, layer: int) -> Any:
        query = query.view(cache.rows, -1, self._heads, query.shape[1] // self._heads).transpose(1, 2)
        heard = cache.heard[layer, :, : cache.rows]
        return self._attend(query, heard[0], heard[1], causal=False)

    def _attend(self, query: Any, key: Any, value: Any, *, causal: bool) -> Any:
        import torch

        attention = torch.nn.functional.scaled_dot_product_attention
        rows, heads, length, head = query.shape
        seen = attention(query, key, value, is_causal=causal and length > 1)
        return seen.transpose(1, 2).reshape(rows * length, heads * head)
