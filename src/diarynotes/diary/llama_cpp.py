"""Writes with a language model in this process: a GGUF file, run by llama.cpp, on the CPU or a GPU.

Nothing leaves the process. Knows no prompts and no other writer; `llama_model` is the one that speaks to the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from diarynotes.diary.caller import Caller, DirectCaller, Line
from diarynotes.diary.gbnf import grammar_of
from diarynotes.diary.gguf_models import find_gguf
from diarynotes.diary.language_model import Limits, Reply, Shape, check_prompt, write_draft
from diarynotes.diary.llama_loading import CannotLoad, Spec
from diarynotes.diary.llama_model import Answer, LlamaModel, TooLong
from diarynotes.diary.llama_sampling import Broken, Sampling
from diarynotes.diary.model_slot import ModelSlot
from diarynotes.diary.note_shape import schema_of
from diarynotes.diary.prompt import Message, prompt_version
from diarynotes.diary.prompt_choice import PromptName
from diarynotes.diary.remedies import AnswerCut, failure
from diarynotes.diary.stoppable import Stopped, run_stoppable
from diarynotes.errors import NotInstalled, WriterFailed
from diarynotes.models import Draft, Transcript, Usage

_PROVIDER = "local"
"""`cost.LOCAL`: calls to our own machines cost nothing each."""
_INSTALL = "pip install 'diarynotes[llama]'  (it is compiled from source: cmake and a C++ compiler are needed)"

_slot: ModelSlot[Spec, LlamaModel] = ModelSlot()
"""One model at a time for the whole process: two would hardly fit, and both want every core."""


class Backend:
    """A writer that runs a model by itself.

    `model` is a GGUF's path, or its name in `models_folder`. `context_tokens` is the window; that with which the model
    was trained is its upper end. `gpu_layers` is how many layers lie on a GPU; -1 is all, where llama.cpp was built for
    one and its memory suffices. `threads` is one per core by default. Loading it, and each answer, may take `timeout_s`
    from when its turn comes. The model is loaded on first use, and unloaded after `idle_s` without work. `prompt` fixes
    the prompt; by default each transcript's shape chooses it.

    Raises: BadSettings for a model that is not there, a prompt or a window that cannot work; NotInstalled.
    """

    degraded = False
    local = True

    def __init__(
        self,
        model: str,
        *,
        models_folder: Path,
        context_tokens: int = 8_192,
        max_output_tokens: int | None = None,
        gpu_layers: int = -1,
        threads: int | None = None,
        timeout_s: float = 600.0,
        idle_s: float = 300.0,
        temperature: float = 0.2,
        seed: int = 1,
        prompt: PromptName | None = None,
        name: str = "llama_cpp",
    ) -> None:
        if find_spec("llama_cpp") is None:
            raise NotInstalled("llama.cpp", _INSTALL)
        check_prompt(prompt)
        self.limits = Limits.of(context_tokens, max_output_tokens, setting="llama_context_tokens")
        self._spec = Spec(find_gguf(model, models_folder), context_tokens, gpu_layers, threads)
        self.name, self.model = name, self._spec.path.name
        self.prompt_version = prompt_version() + (f"-{prompt}" if prompt else "")
        self._prompt, self._timeout_s, self._idle_s = prompt, timeout_s, idle_s
        self._sampling, self._direct = Sampling(temperature, seed), DirectCaller()
        self._is_closed = False
        _slot.join(self._spec)

    def __repr__(self) -> str:
        return f"<writer {self.name}: {self.model}>"

    def write(self, transcript: Transcript, *, day: date, caller: Caller | None = None) -> Draft:
        """The draft of the note of `day`, with the usage of every call; long transcripts take several.

        Raises: WriterFailed, with its `kind` and what the calls used.
        """
        line = Line(caller or self._direct, self._ask, provider=_PROVIDER, model=self.model)
        return write_draft(
            line.ask,
            transcript,
            writer=self.name,
            day=day,
            limits=self.limits,
            paid=line,
            prompt=self._prompt,
        )

    def close(self) -> None:
        """Drops the model, unless another writer uses the same."""
        if not self._is_closed:
            self._is_closed = True
            _slot.leave(self._spec)

    def _ask(self, messages: Sequence[Message], shape: Shape, output_tokens: int) -> Reply:
        try:
            with _slot.lend(self._spec, self._load, idle_s=self._idle_s) as model:
                answer = run_stoppable(
                    lambda stop: model.answer(
                        messages, _grammar(shape), output_tokens=output_tokens, sampling=self._sampling, stop=stop
                    ),
                    self._timeout_s,
                )
            return self._reply(answer)
        except CannotLoad as error:
            raise WriterFailed(self.name, f"{self.model}: {error.why}", error.kind) from error
        except Broken as error:
            raise WriterFailed(self.name, f"{self.model}: llama.cpp failed ({error})", "unavailable") from error
        except TooLong as error:
            raise failure(self.name, "context_too_long") from error
        except Stopped as error:
            raise failure(self.name, "timeout") from error

    def _load(self) -> LlamaModel:
        return run_stoppable(lambda stop: LlamaModel(self._spec, stop), self._timeout_s)

    def _reply(self, answer: Answer) -> Reply:
        counts = (answer.input_tokens, answer.output_tokens)
        usage = Usage(_PROVIDER, self.model, *counts, cached_tokens=answer.cached_tokens)
        if answer.is_cut:
            why = "its answer was cut off; a larger llama_context_tokens leaves more room"
            raise AnswerCut(self.name, why, "bad_output", None, (usage,))
        return Reply(answer.text, usage)


@cache
def _grammar(shape: Shape) -> str:
    return grammar_of(schema_of(shape))
