"""The model while it learns: OpenAI's layers, over the tokens that the diary uses and one that stands for all others.

Knows nothing of sound files or of the training's course. `export` gives the weights as they are committed; `expand.py`
makes OpenAI's checkpoint of them.
"""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from whisper.model import AudioEncoder, MultiHeadAttention, TextDecoder, sinusoids

DIMS = {
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": 192,
    "n_audio_head": 3,
    "n_audio_layer": 4,
    "n_vocab": 51864,
    "n_text_ctx": 448,
    "n_text_state": 192,
    "n_text_head": 3,
    "n_text_layer": 2,
}
TIME_MARKS = 1501
"""The last tokens of the vocabulary: <|0.00|> to <|30.00|>."""
LETTERS = " abcdefghijklmnopqrstuvwxyz"
"""What the helper on the encoder spells; the blank comes before them."""


NEAR = 12.0
"""How far from a word's supposed place the guided heads may listen: a standard deviation in frames of 0.02 s."""
Losses = tuple[Tensor, Tensor, Tensor]
"""Of the decoder, the speller and the guide."""
SHORT = 600
"""Up to so many frames, attention written out is quicker than torch's fused one on a CPU, backwards above all."""


def attend(
    layer: MultiHeadAttention, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, None]:
    """What MultiHeadAttention.qkv_attention gives, in the quicker of two ways."""
    heads = [x.unflatten(-1, (layer.n_head, -1)).transpose(1, 2).contiguous() for x in (q, k, v)]
    if q.shape[1] > SHORT:
        return functional.scaled_dot_product_attention(*heads, is_causal=mask is not None).transpose(1, 2).flatten(
            2
        ), None
    weights = heads[0] * heads[0].shape[-1] ** -0.5 @ heads[1].transpose(-1, -2)
    if mask is not None:
        weights = weights + mask[: q.shape[1], : q.shape[1]].to(weights.dtype)
    layer.weights = weights.softmax(-1)
    return (layer.weights.to(v.dtype) @ heads[2]).transpose(1, 2).flatten(2), None


class Student(nn.Module):
    """`used` are the ids of the tokens that have a vector of their own, besides the time marks.

    Its own ids: the used ones in order, then one for all others, then the time marks.
    """

    def __init__(self, used: Sequence[int]) -> None:
        super().__init__()
        width = DIMS["n_text_state"]
        self.used = list(used)
        self.encoder = AudioEncoder(80, DIMS["n_audio_ctx"], width, DIMS["n_audio_head"], DIMS["n_audio_layer"])
        self.decoder = TextDecoder(1, DIMS["n_text_ctx"], width, DIMS["n_text_head"], DIMS["n_text_layer"])
        del self.decoder.token_embedding
        self.words = nn.Parameter(torch.randn(len(used) + 1, width) * 0.05)
        self.marks = nn.Parameter(torch.randn(TIME_MARKS, width) * 0.01)
        # time marks begin as the encoder's own positions: a mark is then known before it was ever seen
        self.clock = nn.Linear(width, width, bias=False)
        self.register_buffer("hands", sinusoids(TIME_MARKS, width), persistent=False)
        self.speller = nn.Linear(width, len(LETTERS) + 1)
        nn.init.normal_(self.decoder.positional_embedding, std=0.02)
        nn.init.normal_(self.clock.weight, std=0.05 / math.sqrt(width / 2))
        self.others = DIMS["n_vocab"] - TIME_MARKS - len(used)
        own = torch.full((DIMS["n_vocab"],), len(used))
        own[torch.tensor(self.used)] = torch.arange(len(used))
        own[-TIME_MARKS:] = torch.arange(len(used) + 1, len(used) + 1 + TIME_MARKS)
        self.register_buffer("own", own, persistent=False)

        for module in self.modules():
            if isinstance(module, MultiHeadAttention):
                module.qkv_attention = types.MethodType(attend, module)

    def rows(self) -> Tensor:
        """The vectors of its own ids."""
        return torch.cat([self.words, self.marks + self.clock(self.hands).float()])

    def encode(self, mel: Tensor) -> Tensor:
        """As whisper.model.AudioEncoder, of any length: mel (windows, 80, 2 * frames) to (windows, frames, width)."""
        x = functional.gelu(self.encoder.conv2(functional.gelu(self.encoder.conv1(mel)))).permute(0, 2, 1).float()
        x = x + self.encoder.positional_embedding[: x.shape[1]]
        for block in self.encoder.blocks:
            x = block(x)
        return self.encoder.ln_post(x)

    def decode(self, tokens: Tensor, features: Tensor) -> Tensor:
        """As whisper.model.TextDecoder, over its own ids: logits (windows, tokens, ids).

        All the other tokens share a vector, so their logit counts as often as there are such tokens.
        """
        rows = self.rows()
        x = functional.embedding(tokens, rows) + self.decoder.positional_embedding[: tokens.shape[1]]
        for block in self.decoder.blocks:
            x = block(x, features, mask=self.decoder.mask)
        logits = (self.decoder.ln(x) @ rows.T).float()
        crowd = torch.zeros(len(rows))
        crowd[len(self.used)] = math.log(self.others)
        return logits + crowd

    def losses(self, mel: Tensor, tokens: Tensor, labels: Tensor, places: Tensor, letters: Sequence[str]) -> Losses:
        """Cross-entropy of the labels (OpenAI's ids, negative where none), and of two helpers that only training needs.

        The speller (connectionist temporal classification, Graves et al., 2006) makes the encoder hear sounds, the
        guide makes the decoder listen about where a word is said; alone it takes much longer to find that out.
        """
        features = self.encode(mel)
        logits = self.decode(self.own[tokens], features)
        wanted = torch.where(labels < 0, labels, self.own[labels.clamp(min=0)])
        said = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        return said, self._spelling(features, letters), self._guidance(places)

    def _guidance(self, places: Tensor) -> Tensor:
        """How little two heads of each layer listen within a quarter of a second of the places (frames)."""
        known = places >= 0
        losses = []
        for block in self.decoder.blocks:
            weights = block.cross_attn.weights[:, :2].float()
            frames = torch.arange(weights.shape[-1])
            near = torch.exp(-(((frames - places[..., None]) / NEAR) ** 2) / 2)
            losses.append(-((weights * near[:, None]).sum(-1) + 1e-3).log().transpose(1, 2)[known].mean())
        return torch.stack(losses).mean()

    def _spelling(self, features: Tensor, letters: Sequence[str]) -> Tensor:
        codes = [[LETTERS.index(letter) + 1 for letter in text if letter in LETTERS] for text in letters]
        scores = self.speller(features).float().log_softmax(-1).transpose(0, 1)
        frames = torch.full((len(codes),), scores.shape[0])
        sizes = torch.tensor([len(code) for code in codes])
        flat = torch.tensor([code for text in codes for code in text])
        return functional.ctc_loss(scores, flat, frames, sizes, zero_infinity=True)

    def export(self) -> dict[str, Any]:
        """The weights in half precision, without what can be computed."""
        keep = {name: value for name, value in self.state_dict().items() if name.startswith(("encoder", "decoder"))}
        del keep["encoder.positional_embedding"]
        tensors = {**keep, "rows": self.rows().detach()}
        return {
            "dims": dict(DIMS),
            "used": torch.tensor(self.used),
            "tensors": {name: value.half().contiguous() for name, value in tensors.items()},
        }
