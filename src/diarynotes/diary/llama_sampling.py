"""Draws a model's next token, one that the grammar allows.

llama.cpp's own `llama_sampler_sample` ends the whole process when no allowed token is left, as with weights that are
damaged (a C++ exception that nobody catches); here that is an error like others. It also holds every token of the
vocabulary against the grammar at each step; here only the one that was drawn, and all only where it does not fit, which
gives the same odds and is what llama.cpp's own programs do (`common/sampling.cpp`).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TOP_K, _TOP_P, _MIN_P = 40, 0.95, 0.05
"""llama.cpp's own defaults."""
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""As C has it (`llama_token_data`)."""


class Broken(Exception):
    """llama.cpp failed at its work; says how."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn: `temperature` 0 takes the likeliest, the same `seed` draws the same."""

    temperature: float
    seed: int


class TokenSampler:
    """Draws the tokens of one answer; to be closed. Raises: Broken for a grammar that llama.cpp does not take."""

    def __init__(self, library: ModuleType, vocabulary: Any, grammar: str, sampling: Sampling) -> None:
        self._c, self._chooser = library, None
        self._rules = library.llama_sampler_init_grammar(vocabulary, grammar.encode(), b"root")
        if not self._rules:
            raise Broken("it does not take the grammar")
        self._chooser = self._open_chooser(sampling)
        size = library.llama_vocab_n_tokens(vocabulary)
        self._all = np.zeros(size, _CANDIDATE)
        self._one = np.zeros(1, _CANDIDATE)
        self._ids = np.arange(size, dtype=np.int32)

    def draw(self, context: Any) -> int:
        """The token that follows what was read last. Raises: Broken where the model gives none."""
        found = self._c.llama_get_logits_ith(context, -1)
        if not found:
            raise Broken("it gives no odds")
        logits = np.ctypeslib.as_array(found, (len(self._all),))
        if np.isnan(logits).any():
            raise Broken("it gives no odds, so its weights are damaged")
        token = self._pick(logits, under_rules=False)
        return token if self.allows(token) else self._pick(logits, under_rules=True)

    def allows(self, token: int) -> bool:
        """Whether the grammar takes this token next; the end of the answer is one as well."""
        self._one["id"], self._one["logit"] = token, 0.0
        self._c.llama_sampler_apply(self._rules, ctypes.byref(self._candidates(self._one)))
        return bool(np.isfinite(self._one["logit"][0]))

    def accept(self, token: int) -> None:
        """The token that was drawn is written."""
        self._c.llama_sampler_accept(self._rules, token)

    def close(self) -> None:
        """Gives its memory back."""
        for sampler in (self._rules, self._chooser):
            if sampler:
                self._c.llama_sampler_free(sampler)

    def _open_chooser(self, sampling: Sampling) -> Any:
        c = self._c
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if sampling.temperature > 0:
            steps = [c.llama_sampler_init_top_k(_TOP_K), c.llama_sampler_init_top_p(_TOP_P, 1)]
            steps += [c.llama_sampler_init_min_p(_MIN_P, 1), c.llama_sampler_init_temp(sampling.temperature)]
            steps += [c.llama_sampler_init_dist(sampling.seed)]
        else:
            steps = [c.llama_sampler_init_greedy()]
        for step in steps:
            c.llama_sampler_chain_add(chain, step)
        return chain

    def _pick(self, logits: NDArray[np.float32], *, under_rules: bool) -> int:
        self._all["id"], self._all["logit"] = self._ids, logits
        candidates = self._candidates(self._all)
        if under_rules:
            self._c.llama_sampler_apply(self._rules, ctypes.byref(candidates))
            if not np.isfinite(self._all["logit"]).any():
                raise Broken("it knows no token that the grammar allows")
        self._c.llama_sampler_apply(self._chooser, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)

    def _candidates(self, array: NDArray[np.void]) -> Any:
        data = array.ctypes.data_as(self._c.llama_token_data_p)
        return self._c.llama_token_data_array(data=data, size=len(array), selected=-1, sorted=False)
