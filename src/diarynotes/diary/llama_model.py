"""A model loaded with llama.cpp: answers a conversation under a grammar, and stops when it is told to.

Knows tokens; knows no diary and no writer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from diarynotes.diary.chat_text import Template, Turns, chat_text, disarm
from diarynotes.diary.llama_loading import BATCH_TOKENS, Spec, load_model, make_context, open_library, stop_callback
from diarynotes.diary.llama_sampling import Broken, Sampling, TokenSampler
from diarynotes.diary.prompt import Message
from diarynotes.diary.stoppable import Stop, Stopped

_ABORTED = 2
"""What llama_decode says when it was told to stop."""
_TOKEN_BYTES = 8
"""Room for a token's text at first; it is asked again where that is not enough."""


class TooLong(Exception):
    """The conversation does not fit into the model's window."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote. `cached_tokens` of the `input_tokens` were still in its memory from the call before."""

    text: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    is_cut: bool


class LlamaModel:
    """A loaded model with its memory; for one thread at a time.

    Raises: CannotLoad; Stopped when `stop` is set meanwhile.
    """

    def __init__(self, spec: Spec, stop: Stop) -> None:
        self._c = open_library()
        self._model: Any = None
        self._context: Any = None
        try:
            self._model = load_model(spec, stop)
            self._context = make_context(self._model, spec)
        except BaseException:
            self.close()
            raise
        self._vocabulary = self._c.llama_model_get_vocab(self._model)
        self._bos = self._text_of(self._c.llama_vocab_bos(self._vocabulary))
        self._template = self._open_template()
        self._marks = self._control_marks()
        self._known: list[int] = []
        """The tokens whose keys and values are in the context."""

    @property
    def context_tokens(self) -> int:
        """The window that it has."""
        return int(self._c.llama_n_ctx(self._context))

    def answer(
        self, messages: Sequence[Message], grammar: str, *, output_tokens: int, sampling: Sampling, stop: Stop
    ) -> Answer:
        """What the model writes, `output_tokens` at most; cut off too where its window ends.

        Raises: TooLong; Stopped; Broken.
        """
        prompt = self._tokenize(chat_text(disarm(messages, self._marks), self._template))
        room = self.context_tokens - len(prompt)
        if room < 1:
            raise TooLong
        self._c.llama_set_abort_callback(self._context, stop_callback(), stop.address)
        cached = self._forget_beyond(prompt)
        self._read(prompt[cached:], stop)
        written, is_cut = self._write(grammar, min(output_tokens, room), sampling, stop)
        return Answer(self._detokenize(written), len(prompt), len(written), cached, is_cut)

    def close(self) -> None:
        """Gives its memory back; may be called twice."""
        if self._context is not None:
            self._c.llama_free(self._context)
        if self._model is not None:
            self._c.llama_model_free(self._model)
        self._model = self._context = None

    def _forget_beyond(self, prompt: Sequence[int]) -> int:
        """How many tokens of the prompt need not be read again: the rules are the same for every note."""
        pairs = zip(self._known, prompt[:-1], strict=False)  # the last one is read anew: what follows it is asked for
        same = next((place for place, (old, new) in enumerate(pairs) if old != new), None)
        cached = min(len(self._known), len(prompt) - 1) if same is None else same
        memory = self._c.llama_get_memory(self._context)
        if not (cached and self._c.llama_memory_seq_rm(memory, 0, cached, -1)):
            self._c.llama_memory_clear(memory, True)
            cached = 0
        self._known = self._known[:cached]
        return cached

    def _read(self, tokens: Sequence[int], stop: Stop) -> None:
        for start in range(0, len(tokens), BATCH_TOKENS):
            batch = tokens[start : start + BATCH_TOKENS]
            array = (ctypes.c_int32 * len(batch))(*batch)
            status = self._c.llama_decode(self._context, self._c.llama_batch_get_one(array, len(batch)))
            if stop.is_set or status == _ABORTED:
                self._known = []
                raise Stopped
            if status:
                self._known = []
                raise Broken(f"it gave the status {status}")
            self._known += batch

    def _write(self, grammar: str, limit: int, sampling: Sampling, stop: Stop) -> tuple[list[int], bool]:
        """The tokens of the answer, and whether it was cut off."""
        written: list[int] = []
        with closing(TokenSampler(self._c, self._vocabulary, grammar, sampling)) as sampler:
            while len(written) < limit:
                token = sampler.draw(self._context)
                if self._c.llama_vocab_is_eog(self._vocabulary, token):
                    return written, False
                sampler.accept(token)
                written.append(token)
                if len(written) < limit:
                    self._read([token], stop)
        return written, True

    # -- text and tokens

    def _tokenize(self, text: str) -> list[int]:
        """Its tokens, with the mark of the beginning where the model wants one and the text has none."""
        encoded = text.encode()
        begins = bool(self._bos) and text.startswith(self._bos)

        def fill(room: int) -> tuple[Any, int]:
            tokens = (ctypes.c_int32 * room)()
            given = (self._vocabulary, encoded, len(encoded), tokens, room, not begins, True)
            return tokens, self._c.llama_tokenize(*given)

        tokens, count = _fill(fill, len(encoded) + 2)
        return list(tokens[:count])

    def _detokenize(self, tokens: Sequence[int]) -> str:
        array = (ctypes.c_int32 * len(tokens))(*tokens)

        def fill(room: int) -> tuple[Any, int]:
            text = ctypes.create_string_buffer(room)
            return text, self._c.llama_detokenize(self._vocabulary, array, len(tokens), text, room, True, False)

        text, count = _fill(fill, _TOKEN_BYTES * len(tokens) + 1)
        return bytes(text[:count]).decode(errors="replace")

    def _control_marks(self) -> tuple[str, ...]:
        """The texts of tokens that steer the model: who writes them can end a turn or begin one."""
        tokens = range(self._c.llama_vocab_n_tokens(self._vocabulary))
        control = (token for token in tokens if self._c.llama_vocab_is_control(self._vocabulary, token))
        return tuple(mark for token in control if len(mark := self._text_of(token)) > 1)

    def _open_template(self) -> Template | None:
        """The chat template in the model's file; None where there is none that can be read."""
        source = self._c.llama_model_chat_template(self._model, None)
        if not source:
            return None
        formatter = import_module("llama_cpp.llama_chat_format").Jinja2ChatFormatter
        eos = self._text_of(self._c.llama_vocab_eos(self._vocabulary))
        try:
            fill = formatter(source.decode(), eos_token=eos, bos_token=self._bos)
        except Exception:  # whatever the file's author wrote into it
            return None
        return lambda turns: _fill_template(fill, turns)

    def _text_of(self, token: int) -> str:
        text = self._c.llama_vocab_get_text(self._vocabulary, token) if token >= 0 else b""
        return (text or b"").decode(errors="replace")


def _fill(fill: Callable[[int], tuple[Any, int]], room: int) -> tuple[Any, int]:
    """A buffer that C has filled and how far; where it wanted more room it said so by a negative count."""
    filled, count = fill(room)
    return (filled, count) if count >= 0 else fill(-count)


def _fill_template(formatter: Any, turns: Turns) -> str:
    """Models that think aloud first are asked not to: the grammar lets them write nothing but the answer."""
    return str(formatter(messages=turns, enable_thinking=False).prompt)
