"""OpenAI's Whisper in CTranslate2: greedy decoding of a batch of windows, in int8 on a CPU, float16 on a GPU.

Knows nothing of recordings as a whole: long ones, decoding again at a higher temperature and carried context are not
done here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diarynotes.errors import EngineFailed, ModelUnavailable, NotInstalled
from diarynotes.models import Window, WindowText
from diarynotes.transcribe.conversion import convert_weights
from diarynotes.transcribe.mel import group_languages, known_language, log_mel, read_text


class Backend:
    """Whisper from OpenAI's checkpoint file, converted once into `models`. It never translates.

    `device` is cpu or cuda (None: the GPU where there is one), `quantization` CTranslate2's name of one (None: int8
    on a CPU, float16 on a GPU), `threads` the cores to use (0: CTranslate2's choice), `language` an ISO 639 code
    (None: detected for each recording of a batch). Raises NotInstalled, ModelUnavailable for a file that is no
    checkpoint, StorageFailed where the converted model cannot be written, BadSettings for an unknown language.
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
        self.batch_size = 16 if self.device == "cuda" else 8
        self.quantization = quantization or ("float16" if self.device == "cuda" else "int8")
        folder = convert_weights(weights, models, self.quantization)
        try:
            self._max_length = json.loads((folder / "config.json").read_bytes())["n_text_ctx"]
            self._model: Any = ctranslate2.models.Whisper(
                str(folder), device=self.device, compute_type=self.quantization, intra_threads=threads
            )
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            remedy = f"CTranslate2 cannot load {folder} on {self.device}. Delete the folder and run again."
            raise ModelUnavailable(weights.stem, remedy) from error
        self.language = known_language(language, multilingual=self._model.is_multilingual)
        spoken = f"language={self.language} " if language else ""
        self.settings = f"{spoken}quantization={self.quantization}"

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """The text of each window with Whisper's own time marks as pieces. Raises EngineFailed, out of memory too."""
        try:
            return self._decode(windows) if windows else []
        except (RuntimeError, ValueError, MemoryError) as error:
            raise EngineFailed(self.name, f"it raised {type(error).__name__} on {self.device}") from error

    def close(self) -> None:
        """Drop the weights."""
        self._model = None

    def _decode(self, windows: Sequence[Window]) -> list[WindowText]:
        from ctranslate2 import StorageView

        mel = log_mel(windows, self._model.n_mels).numpy()
        features = self._model.encode(StorageView.from_array(mel))
        languages = self._languages(windows, features)
        tokenizers = {language: self._tokenizer(language) for language in set(languages)}
        results = self._model.generate(
            features,
            [list(tokenizers[language].sot_sequence) for language in languages],
            beam_size=1,
            # half of this, as n_text_ctx // 2 tokens in OpenAI's decoding: the other half is meant for a prompt
            max_length=self._max_length,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [
            self._text(result, tokenizers[language], language)
            for result, language in zip(results, languages, strict=True)
        ]

    def _languages(self, windows: Sequence[Window], features: Any) -> list[str]:
        """The language of each window."""
        if self.language is not None:
            return [self.language] * len(windows)
        likely = [{mark.strip("<|>"): p for mark, p in row} for row in self._model.detect_language(features)]
        groups = group_languages(windows, likely)
        of_row = {row: language for language, rows in groups.items() for row in rows}
        return [of_row[row] for row in range(len(windows))]

    def _tokenizer(self, language: str) -> Any:
        from whisper.tokenizer import get_tokenizer

        return get_tokenizer(
            self._model.is_multilingual,
            num_languages=self._model.num_languages,
            language=language,
            task="transcribe",
        )

    def _text(self, result: Any, tokenizer: Any, language: str) -> WindowText:
        (tokens,), (score,) = result.sequences_ids, result.scores
        # the score is the mean over the tokens; OpenAI's counts the end mark among them (whisper/decoding.py)
        avg_logprob = score * len(tokens) / (len(tokens) + 1)
        return read_text(tokens, tokenizer, language=language, avg_logprob=avg_logprob, no_speech=result.no_speech_prob)
