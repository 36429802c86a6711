"""OpenAI's Whisper in torch: greedy decoding of a batch of windows.

Knows nothing of recordings as a whole: long ones, decoding again at a higher temperature and carried context are not
done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diarynotes.errors import BadSettings, EngineFailed, ModelUnavailable, NotInstalled
from diarynotes.models import Piece, Window, WindowText

Clip = tuple[float, float]
"""Start and end inside a window, s."""


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
        self.language = _known_language(language, self._model.is_multilingual)
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

        mels = [whisper.log_mel_spectrogram(whisper.pad_or_trim(w.samples), self._model.dims.n_mels) for w in windows]
        half = self.device.startswith("cuda")
        texts: dict[int, WindowText] = {}
        with torch.inference_mode():
            mel = torch.stack(mels).to(self.device)
            features = self._model.encoder(mel.half() if half else mel)
            for language, rows in self._languages(windows, features).items():
                options = whisper.DecodingOptions(language=language, fp16=half)
                results = whisper.decode(self._model, features[rows], options)
                texts |= {row: self._text(result) for row, result in zip(rows, results, strict=True)}
        return [texts[row] for row in range(len(windows))]

    def _languages(self, windows: Sequence[Window], features: Any) -> dict[str, list[int]]:
        """Rows of the batch by language: windows of one recording are heard in one, the likeliest over all of them."""
        if self.language is not None:
            return {self.language: list(range(len(windows)))}
        _, likely = self._model.detect_language(features)
        rows: dict[str, list[int]] = {}
        for row in range(len(windows)):
            rows.setdefault(windows[row].recording_id, []).append(row)
        languages: dict[str, list[int]] = {}
        for together in rows.values():
            sums = {code: sum(likely[row][code] for row in together) for code in likely[0]}
            languages.setdefault(max(sums, key=sums.__getitem__), []).extend(together)
        return languages

    def _text(self, result: Any) -> WindowText:
        from whisper.tokenizer import get_tokenizer

        tokenizer = get_tokenizer(
            self._model.is_multilingual, num_languages=self._model.num_languages, language=result.language
        )
        numbers = (result.avg_logprob, result.no_speech_prob)
        pieces = tuple(
            Piece(start_s, end_s, text, *numbers)
            for (start_s, end_s), tokens in _clips(result.tokens, tokenizer.timestamp_begin)
            if (text := tokenizer.decode(tokens).strip())
        )
        text = " ".join(piece.text for piece in pieces)
        return WindowText(text, pieces, result.language, *numbers)


def _clips(tokens: Sequence[int], timestamp_begin: int) -> Iterator[tuple[Clip, list[int]]]:
    """Runs of text tokens between the time marks around them, which count steps of 0.02 s (Whisper, section 2.3)."""
    start_s, text = 0.0, []
    for token in tokens:
        if token < timestamp_begin:
            text.append(token)
            continue
        time_s = (token - timestamp_begin) * 0.02
        if text:
            yield (start_s, time_s), text
        start_s, text = time_s, []
    if text:
        yield (start_s, 30.0), text


def _known_language(language: str | None, multilingual: bool) -> str | None:
    from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

    if not multilingual:
        if language not in (None, "en", "english"):
            raise BadSettings("language", f"this model hears only English, not '{language}'; choose one without .en.")
        return "en"
    if language is None:
        return None
    code: str = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
    if code not in LANGUAGES:
        raise BadSettings("language", f"'{language}' is not a language that Whisper knows; use a code such as 'en'.")
    return code
