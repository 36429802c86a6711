"""A whole Whisper model in torch: windows in, their texts out, each as if it had been alone in the batch.

Knows nothing of files, of the choice of a device, or of what to do when it fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from diarynotes.models import Window, WindowText
from diarynotes.transcribe.mel import log_mel, read_text
from diarynotes.transcribe.prompts import draw_seed, start_tokens
from diarynotes.transcribe.torch_decoder import Decoder
from diarynotes.transcribe.torch_decoding import Start, say
from diarynotes.transcribe.torch_encoder import Encoder
from diarynotes.transcribe.torch_layers import Kernels
from diarynotes.transcribe.torch_weights import Checkpoint

ENCODE_AT_ONCE = {"cpu": 2, "cuda": 32}
"""Windows that pass through the encoder together: more only need memory once the device is busy."""
MOST_AT_ONCE = {"cpu": 16, "cuda": 128}
"""Windows that are decoded together at most: on a CPU more were not faster."""
LOOK_EVERY = {"cpu": 1, "cuda": 8}
"""After how many tokens the finished rows leave the batch; asking a GPU makes it wait."""
MOST_LANGUAGES = 5
"""How many of the likeliest languages are told."""

Languages: TypeAlias = tuple[tuple[str, float], ...]
"""ISO 639 codes with their probabilities, the likeliest first; empty where nobody looked."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A window of the batch, the language to hear it in, and its place among the windows asked for."""

    place: int
    window: Window
    language: str
    languages: Languages
    start: Start


class Model:
    """Encoder and decoder of one checkpoint on one device."""

    def __init__(self, checkpoint: Checkpoint, kernels: Kernels) -> None:
        self.dims = checkpoint.dims
        self._kind = kernels.device.partition(":")[0]
        self._encoder = Encoder(checkpoint, kernels)
        self._decoder = Decoder(checkpoint, kernels)
        room = _find_room(kernels.device) // self._decoder.window_bytes(self.dims.n_audio_ctx)
        self.batch_size = max(1, min(MOST_AT_ONCE.get(self._kind, 1), room))

    def hear(self, windows: Sequence[Window], language: str | None) -> list[WindowText]:
        """The text of each window, in its own language, else in this one, else in the likeliest.

        Raises what torch raises, and ValueError when the model's numbers are none.
        """
        import torch

        # rows whose prompts are of one length are decoded together, so they are laid side by side
        places = sorted(range(len(windows)), key=lambda place: len(self._prompt(windows[place], "en")))
        texts: dict[int, WindowText] = {}
        with torch.inference_mode():
            heard = self._listen([windows[place] for place in places])
            rows = self._make_rows(windows, places, language, heard)
            first = 0
            for _, group in itertools.groupby(rows, key=lambda row: len(row.start.prompt)):
                some = list(group)
                texts |= self._say(some, heard[:, :, first : first + len(some)])
                first += len(some)
        return [texts[place] for place in range(len(windows))]

    def _listen(self, windows: Sequence[Window]) -> Any:
        """What the decoder listens to, for all windows."""
        mel = log_mel(windows, self.dims.n_mels)
        heard = self._decoder.make_room(len(windows), self.dims.n_audio_ctx)
        size = ENCODE_AT_ONCE.get(self._kind, 1)
        for start in range(0, len(windows), size):
            some = slice(start, start + size)
            self._decoder.listen(self._encoder(mel[some]), heard[:, :, some])
        return heard

    def _make_rows(
        self, windows: Sequence[Window], places: Sequence[int], language: str | None, heard: Any
    ) -> list[_Row]:
        given = [windows[place].language or language for place in places]
        likely = self._rank_languages(heard) if None in given else [()] * len(places)
        rows = []
        for place, known, found in zip(places, given, likely, strict=True):
            spoken, window = known or found[0][0], windows[place]
            start = Start(self._prompt(window, spoken), window.temperature, draw_seed(window))
            rows.append(_Row(place, window, spoken, () if known else found, start))
        return rows

    def _rank_languages(self, heard: Any) -> list[Languages]:
        """The likeliest languages of each row, from the first token alone (whisper/decoding.py, detect_language)."""
        import torch

        tokenizer = self._tokenizer("en")
        first = torch.full((heard.shape[2], 1), tokenizer.sot, device=heard.device)
        scores = self._decoder.score(self._decoder.read(first, self._decoder.open(heard, 1))[:, 0])
        marks = torch.tensor(tokenizer.all_language_tokens, device=heard.device)
        shares, ranks = scores[:, marks].softmax(1).topk(MOST_LANGUAGES)
        codes = tokenizer.all_language_codes
        return [
            tuple((codes[rank], share) for rank, share in zip(*row, strict=True))
            for row in zip(ranks.tolist(), shares.tolist(), strict=True)
        ]

    def _say(self, rows: Sequence[_Row], heard: Any) -> dict[int, WindowText]:
        """The texts of rows whose prompts are of one length, by their places."""
        said = say(
            self._decoder,
            heard,
            [row.start for row in rows],
            self._tokenizer("en"),
            context=self.dims.n_text_ctx,
            look_every=LOOK_EVERY.get(self._kind, 1),
        )
        texts = {}
        for row, result in zip(rows, said, strict=True):
            text = read_text(
                result.tokens,
                self._tokenizer(row.language),
                language=row.language,
                avg_logprob=result.avg_logprob,
                no_speech=result.no_speech,
            )
            texts[row.place] = replace(text, languages=row.languages, temperature=row.start.temperature)
        return texts

    def _prompt(self, window: Window, language: str) -> tuple[int, ...]:
        return start_tokens(window.terms, self._tokenizer(language), self.dims.n_text_ctx)

    def _tokenizer(self, language: str) -> Any:
        from whisper.tokenizer import get_tokenizer  # keeps those it has made

        return get_tokenizer(
            self.dims.multilingual, num_languages=self.dims.languages, language=language, task="transcribe"
        )


def _find_room(device: str) -> int:
    """Bytes that what a batch hears may take: a third of what is free on a GPU, 1 GiB elsewhere."""
    import torch

    return torch.cuda.mem_get_info(device)[0] // 3 if device.startswith("cuda") else 1 << 30
