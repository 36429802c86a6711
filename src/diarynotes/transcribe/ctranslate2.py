"""OpenAI's Whisper in CTranslate2: many windows at once, in int8 on a CPU, float16 on a GPU.

Knows nothing of recordings as a whole: long ones, hearing a window again and carried context are not done here.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from diarynotes.errors import BadSettings, EngineFailed, EngineOutOfMemory, ModelUnavailable, NotInstalled
from diarynotes.models import Window, WindowText
from diarynotes.transcribe.allocator import give_memory_back, keep_freed_memory
from diarynotes.transcribe.conversion import convert_weights
from diarynotes.transcribe.mel import known_language, log_mel, read_text
from diarynotes.transcribe.prompts import draw_seed, start_tokens

MOST_LANGUAGES = 5
"""How many of the likeliest languages are told."""
CPU_BATCH_BYTES = 1_500_000_000
"""What the decoder may keep of the windows it listens to at once on a CPU, bytes: for the larger models a bound."""
CPU_BATCH = 8
GPU_BATCH = 16

Languages: TypeAlias = tuple[tuple[str, float], ...]
"""ISO 639 codes with their probabilities, the likeliest first; empty where nobody looked."""
_NO_MEMORY = ("out of memory", "bad_alloc", "failed to allocate", "ALLOC_FAILED")
"""What CTranslate2 and the libraries below it say in a RuntimeError."""
_CHANCE = threading.Lock()
"""CTranslate2 has one seed for all models of a process, which a model takes over at its first draw."""


class Backend:
    """Whisper from OpenAI's checkpoint file, converted once into `models`. It never translates.

    `device` is cpu or cuda, or cuda:1 for the second (None: the GPU where there is one), `quantization` CTranslate2's
    name of one (None: int8 on a CPU, float16 on a GPU), `threads` the cores to use (0: CTranslate2's choice),
    `language` an ISO 639 code (None: detected for each window by itself). Raises NotInstalled, ModelUnavailable for a
    file that is no checkpoint or a device that does not work, StorageFailed where the converted model cannot be
    written, BadSettings for an unknown language or a quantization that the device does not have.
    """

    name = "ctranslate2"
    degraded = False
    draws = True

    def __init__(
        self,
        weights: Path,
        models: Path,
        *,
        device: str | None = None,
        quantization: str | None = None,
        threads: int = 0,
        language: str | None = None,
    ) -> None:
        try:
            import ctranslate2
            import whisper  # noqa: F401 - its log-mel and tokenizer are needed as soon as there is a window
        except ImportError as error:
            raise NotInstalled("ctranslate2", "pip install ctranslate2 openai-whisper") from error
        self.model = weights.stem
        self.device = device or ("cuda" if ctranslate2.get_cuda_device_count() else "cpu")
        self.quantization = self._choose_quantization(quantization)
        self._threads = threads
        self._folder = convert_weights(weights, models, self.quantization)
        if self.device == "cpu":
            keep_freed_memory()
        self._model: Any = self._open()
        self.language = known_language(language, multilingual=self._model.is_multilingual)
        spoken = f"language={self.language} " if language else ""
        self.settings = f"{spoken}quantization={self.quantization}"

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """The text of each window with Whisper's own time marks as pieces.

        Raises EngineOutOfMemory when fewer windows may still go through, EngineFailed for anything else.
        """
        if not windows:
            return []
        if self._model is None:
            raise EngineFailed(self.name, "it was closed")
        try:
            return self._decode(windows)
        except (RuntimeError, ValueError, MemoryError) as error:
            if _is_out_of_memory(error):
                raise EngineOutOfMemory(self.name) from error
            raise EngineFailed(self.name, f"it raised {type(error).__name__} on {self.device}") from error

    def close(self) -> None:
        """Drop the weights."""
        self._model = None
        give_memory_back()

    def _choose_quantization(self, quantization: str | None) -> str:
        import ctranslate2

        try:
            known = ctranslate2.get_supported_compute_types(self._kind)
        except (RuntimeError, ValueError) as error:  # no driver, no such device
            raise self._useless_device() from error
        if quantization is None:
            best = ("int8",) if self._kind == "cpu" else ("float16", "int8")  # old GPUs have no float16 to speak of
            quantization = next((name for name in best if name in known), "float32")
        if quantization not in known:
            choices = ", ".join(sorted(known))
            raise BadSettings("quantization", f"{self.device} does not compute in '{quantization}'; choose {choices}.")
        return quantization

    @property
    def _kind(self) -> str:
        return self.device.partition(":")[0]

    def _open(self) -> Any:
        """The model on its device; a GPU has computed something: one may be there and fail at its first kernel."""
        try:
            config = json.loads((self._folder / "config.json").read_bytes())
            self._context: int = config["n_text_ctx"]
            self.batch_size = _choose_batch(self._kind, config)
            model = self._load()
            if self._kind != "cpu":
                import numpy as np
                from ctranslate2 import StorageView

                model.encode(StorageView.from_array(np.zeros((1, model.n_mels, 3000), np.float32)), to_cpu=True)
        except (OSError, RuntimeError, ValueError, KeyError, MemoryError) as error:
            if _is_out_of_memory(error):
                remedy = f"It does not fit into the memory of {self.device}: choose another device or a smaller model."
                raise ModelUnavailable(self.model, remedy) from error
            if self._kind != "cpu":
                raise self._useless_device() from error
            remedy = f"CTranslate2 cannot load {self._folder}. Delete the folder and run again."
            raise ModelUnavailable(self.model, remedy) from error
        return model

    def _load(self) -> Any:
        from ctranslate2.models import Whisper

        _, _, index = self.device.partition(":")
        return Whisper(
            str(self._folder),
            device=self._kind,
            device_index=int(index or 0),
            compute_type=self.quantization,
            intra_threads=self._threads,
        )

    def _useless_device(self) -> ModelUnavailable:
        remedy = f"CTranslate2 cannot use {self.device}: choose another device, or mend its driver and libraries."
        return ModelUnavailable(self.model, remedy)

    def _decode(self, windows: Sequence[Window]) -> list[WindowText]:
        texts: dict[int, WindowText] = {}
        for rows in self._group(windows):
            together = [windows[row] for row in rows]
            texts |= zip(rows, self._decode_alike(together), strict=True)
        return [texts[row] for row in range(len(windows))]

    def _group(self, windows: Sequence[Window]) -> list[list[int]]:
        """Rows that can be decoded together: CTranslate2 wants prompts of one length, and one seed serves one row."""
        groups: dict[tuple[int, int | None], list[int]] = {}
        for row, window in enumerate(windows):
            alone = row if window.temperature > 0 else None
            groups.setdefault((len(self._prompt(window, "en")), alone), []).append(row)
        return list(groups.values())

    def _decode_alike(self, windows: Sequence[Window]) -> list[WindowText]:
        features = self._listen(windows)
        languages, likely = self._choose_languages(windows, features)
        prompts = [list(self._prompt(window, spoken)) for window, spoken in zip(windows, languages, strict=True)]
        results = (
            self._draw(windows[0], features, prompts)
            if windows[0].temperature > 0
            else self._say(self._model, features, prompts)
        )
        return [
            self._text(result, spoken, found, window.temperature)
            for result, spoken, found, window in zip(results, languages, likely, windows, strict=True)
        ]

    def _listen(self, windows: Sequence[Window]) -> Any:
        """What the decoder listens to. A CPU takes window by window: more at once are no faster and need memory."""
        import numpy as np
        from ctranslate2 import StorageView

        mel = log_mel(windows, self._model.n_mels).numpy()
        if self._kind != "cpu":
            return self._model.encode(StorageView.from_array(mel))
        heard = [self._model.encode(StorageView.from_array(mel[row : row + 1])) for row in range(len(mel))]
        return (
            heard[0] if len(heard) == 1 else StorageView.from_array(np.concatenate([np.asarray(one) for one in heard]))
        )

    def _choose_languages(self, windows: Sequence[Window], features: Any) -> tuple[list[str], list[Languages]]:
        """The language of each window, and what else was likely where that had to be found out."""
        given = [window.language or self.language for window in windows]
        if None not in given:
            return [language for language in given if language], [()] * len(given)
        found: list[Languages] = [
            tuple((mark.strip("<|>"), share) for mark, share in row[:MOST_LANGUAGES])
            for row in self._model.detect_language(features)
        ]
        spoken = [language or likely[0][0] for language, likely in zip(given, found, strict=True)]
        return spoken, [() if language else likely for language, likely in zip(given, found, strict=True)]

    def _say(self, model: Any, features: Any, prompts: list[list[int]], **chance: float) -> Any:
        return model.generate(
            features,
            prompts,
            beam_size=1,
            # half of this, as n_text_ctx // 2 tokens in OpenAI's decoding: the other half is meant for a prompt
            max_length=self._context,
            return_scores=True,
            return_no_speech_prob=True,
            **chance,
        )

    def _draw(self, window: Window, features: Any, prompts: list[list[int]]) -> Any:
        """One window by chance, the same at every call: a seed reaches only a model that has never drawn before."""
        import ctranslate2

        with _CHANCE:
            ctranslate2.set_random_seed(draw_seed(window) & 0xFFFFFFFF)
            fresh = self._load()
            return self._say(fresh, features, prompts, sampling_topk=0, sampling_temperature=window.temperature)

    def _prompt(self, window: Window, language: str) -> tuple[int, ...]:
        return start_tokens(window.terms, self._tokenizer(language), self._context)

    def _tokenizer(self, language: str) -> Any:
        from whisper.tokenizer import get_tokenizer  # keeps those it has made

        return get_tokenizer(
            self._model.is_multilingual, num_languages=self._model.num_languages, language=language, task="transcribe"
        )

    def _text(self, result: Any, language: str, languages: Languages, temperature: float) -> WindowText:
        (tokens,), (score,) = result.sequences_ids, result.scores
        if not math.isfinite(score) or not math.isfinite(result.no_speech_prob):
            raise ValueError("the model's numbers are none")
        # the score is the mean over the tokens; OpenAI's counts the end mark among them (whisper/decoding.py)
        avg_logprob = score * len(tokens) / (len(tokens) + 1)
        text = read_text(
            tokens,
            self._tokenizer(language),
            language=language,
            avg_logprob=avg_logprob,
            no_speech=result.no_speech_prob,
        )
        return replace(text, languages=languages, temperature=temperature)


def _choose_batch(kind: str, config: dict[str, int]) -> int:
    """How many windows suit one call: the decoder keeps keys and values of each, in float32 on a CPU."""
    if kind != "cpu":
        return GPU_BATCH
    kept_bytes = config["n_text_layer"] * 2 * 1500 * config["n_text_state"] * 4
    return max(1, min(CPU_BATCH, CPU_BATCH_BYTES // kept_bytes))


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)
