"""OpenAI's Whisper in torch, on code of our own: many windows at once, each heard as if it were alone.

Knows nothing of recordings as a whole: long ones, hearing a window again and carried context are not done here.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from diarynotes.errors import EngineFailed, EngineOutOfMemory, ModelUnavailable, NotInstalled
from diarynotes.models import Window, WindowText
from diarynotes.transcribe.mel import known_language
from diarynotes.transcribe.torch_layers import choose_precision, make_kernels
from diarynotes.transcribe.torch_model import Model
from diarynotes.transcribe.torch_weights import load_checkpoint

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED", "std::bad_alloc")
"""What torch's allocators and the libraries below it say in a RuntimeError."""


class Backend:
    """Whisper from a checkpoint file. It transcribes in the language spoken and never translates.

    `device` is torch's name of one (None: the GPU where there is one); `language` an ISO 639 code (None: detected for
    each window by itself); `precision` is fp32, bf16 or fp16 (None: the best for the device); `threads` the cores to
    use (0: torch's choice), for all of this process. Raises NotInstalled, ModelUnavailable for a file that is no
    checkpoint or a device that does not work, BadSettings for a language that the model does not know or a precision
    that the device does not have.
    """

    name = "whisper"
    degraded = False
    draws = True

    def __init__(
        self,
        weights: Path,
        *,
        device: str | None = None,
        language: str | None = None,
        precision: str | None = None,
        threads: int = 0,
    ) -> None:
        try:
            import torch
            import whisper  # noqa: F401 - its log-mel and tokenizer are needed as soon as there is a window
        except ImportError as error:
            raise NotInstalled("openai-whisper", "pip install openai-whisper") from error
        self.model = weights.stem
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = choose_precision(self.device, precision)
        if threads:
            torch.set_num_threads(threads)
        self._model: Model | None = self._open(weights)
        self.batch_size = self._model.batch_size
        self.language = known_language(language, multilingual=self._model.dims.multilingual)
        self.settings = _describe(self.language if language else None, self.precision)

    def decode(self, windows: Sequence[Window]) -> list[WindowText]:
        """The text of each window with Whisper's own time marks as pieces.

        Raises EngineOutOfMemory when fewer windows may still go through, EngineFailed for anything else.
        """
        if not windows:
            return []
        if self._model is None:
            raise EngineFailed(self.name, "it was closed")
        try:
            return self._model.hear(windows, self.language)
        except (RuntimeError, ValueError, MemoryError) as error:  # what torch raises; a model's numbers that are none
            traceback.clear_frames(error.__traceback__)  # they hold what filled the memory
            self._free()
            if _is_out_of_memory(error):
                raise EngineOutOfMemory(self.name) from error
            raise EngineFailed(self.name, f"torch raised {type(error).__name__} on {self.device}") from error

    def close(self) -> None:
        """Drop the weights."""
        self._model = None
        self._free()

    def _open(self, weights: Path) -> Model:
        """The model on its device, which has computed something: one may be there and fail at its first kernel."""
        import torch

        checkpoint = load_checkpoint(weights)
        try:
            torch.ones(1, device=self.device).add(1).tolist()
            return Model(checkpoint, make_kernels(self.device, self.precision))
        except (RuntimeError, AssertionError, MemoryError) as error:
            fits = "does not fit into the memory of" if _is_out_of_memory(error) else "cannot be used on"
            remedy = f"It {fits} {self.device}: choose another device or a smaller model."
            raise ModelUnavailable(self.model, remedy) from error

    def _free(self) -> None:
        import torch

        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    told = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return told or any(words in str(error) for words in _NO_MEMORY)


def _describe(language: str | None, precision: str) -> str:
    """What changes the text besides the model; fp32 is what all else is measured by, so it goes without saying."""
    wishes = {"language": language, "precision": None if precision == "fp32" else precision}
    return " ".join(f"{name}={value}" for name, value in wishes.items() if value)
