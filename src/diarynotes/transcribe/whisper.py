"""OpenAI's Whisper in torch: greedy decoding of a batch of windows.

Knows nothing of recordings as a whole: long ones, decoding again at a higher temperature and carried context are not
done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diarynotes.errors import EngineFailed, ModelUnavailable, NotInstalled
from diarynotes.models import Window, WindowText
from diarynotes.transcribe.mel import group_languages, known_language, log_mel, read_text


class Backend:
    """Whisper from a checkpoint file. It transcribes in the language spoken and never translates.

    `device` is torch's name of one (None: the GPU where there is one); `language` an ISO 639 code (None: detected for
    each recording of a batch). Raises NotInstalled, ModelUnavailable for a file that is no checkpoint, BadSettings
    for a language that the model does not know.
    """

    name = "whisper"
    degraded = False

    def __init__(self, weights: Path, *, device: str | None = None, language: str | None = None) -> None:
        try:
            import torch
            import whisper
        except ImportError as error:
            raise NotInstalled("openai-whisper", "pip install openai-whisper") from error
        self.model = weights.stem
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size = 16 if self.device.startswith("cuda") else 4
        try:
            self._model: Any = whisper.load_model(str(weights), device=self.device)
        except Exception as error:  # torch raises a dozen kinds for a file that is not a checkpoint
            remedy = f"{weights} is not a Whisper checkpoint or is damaged. Delete it, or name another with --model."
            raise ModelUnavailable(weights.stem, remedy) from error
        self.language = known_language(language, multilingual=self._model.is_multilingual)
        self.settings = f"language={self.language}" if language else ""

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """The text of each window with Whisper's own time marks as pieces. Raises EngineFailed, out of memory too."""
        try:
            return self._decode(windows) if windows else []
        except (RuntimeError, ValueError) as error:  # what torch raises: a device's error, not a number, no memory
            raise EngineFailed(self.name, f"torch raised {type(error).__name__} on {self.device}") from error

    def close(self) -> None:
        """Drop the weights."""
        self._model = None

    def _decode(self, windows: Sequence[Window]) -> list[WindowText]:
        import torch
        import whisper

        half = self.device.startswith("cuda")
        texts: dict[int, WindowText] = {}
        with torch.inference_mode():
            mel = log_mel(windows, self._model.dims.n_mels).to(self.device)
            features = self._model.encoder(mel.half() if half else mel)
            for language, rows in self._languages(windows, features).items():
                options = whisper.DecodingOptions(language=language, fp16=half)
                results = whisper.decode(self._model, features[rows], options)
                texts |= {row: self._text(result) for row, result in zip(rows, results, strict=True)}
        return [texts[row] for row in range(len(windows))]

    def _languages(self, windows: Sequence[Window], features: Any) -> dict[str, list[int]]:
        """Rows of the batch by language."""
        if self.language is not None:
            return {self.language: list(range(len(windows)))}
        _, likely = self._model.detect_language(features)
        return group_languages(windows, likely)

    def _text(self, result: Any) -> WindowText:
        from whisper.tokenizer import get_tokenizer

        tokenizer = get_tokenizer(
            self._model.is_multilingual, num_languages=self._model.num_languages, language=result.language
        )
        return read_text(
            result.tokens,
            tokenizer,
            language=result.language,
            avg_logprob=result.avg_logprob,
            no_speech=result.no_speech_prob,
        )
