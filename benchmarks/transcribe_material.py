"""What the transcription benchmark works on: random weights of Whisper's shapes, and recordings of real speech.

The weights never choose the end mark or a time mark but the first, and find English in everything, so that every
program decodes the same number of tokens from the same windows, at no cost of its own. Knows nothing of programs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from diarynotes.audio import decode
from diarynotes.models import SAMPLE_RATE

SHAPES = {
    "quick": (64, 2, 2, 2, 80, 51865),
    "tiny": (384, 6, 4, 4, 80, 51865),
    "base": (512, 8, 6, 6, 80, 51865),
    "small": (768, 12, 12, 12, 80, 51865),
    "turbo": (1280, 20, 32, 4, 128, 51866),
    "large-v3": (1280, 20, 32, 32, 128, 51866),
}
"""Width, heads, layers of the encoder, layers of the decoder, mel bands, vocabulary (whisper/model.py)."""
CONTEXT = 68
"""Places for tokens; Whisper decodes half as many from each window, 34: about what is said in 15 s."""

Pcm = NDArray[np.int16]


def write_weights(shape: str, folder: Path) -> Path:
    """A checkpoint of this shape in OpenAI's format, always the same; its file is named after the shape."""
    import torch
    from whisper.model import ModelDimensions, Whisper
    from whisper.tokenizer import get_tokenizer

    width, heads, audio_layers, text_layers, mels, vocabulary = SHAPES[shape]
    torch.manual_seed(1)
    dims = {
        "n_mels": mels, "n_audio_ctx": 1500, "n_audio_state": width, "n_audio_head": heads,
        "n_audio_layer": audio_layers, "n_vocab": vocabulary, "n_text_ctx": CONTEXT, "n_text_state": width,
        "n_text_head": heads, "n_text_layer": text_layers,
    }  # fmt: skip
    model = Whisper(ModelDimensions(**dims))
    torch.nn.init.normal_(model.decoder.positional_embedding)
    tokenizer = get_tokenizer(True, num_languages=model.num_languages)
    marks = model.decoder.token_embedding.weight
    with torch.no_grad():
        marks[tokenizer.eot] = 0
        marks[tokenizer.timestamp_begin :] = 0
        marks[list(tokenizer.all_language_tokens)] = 0
        states: list[torch.Tensor] = []
        hook = model.decoder.ln.register_forward_hook(lambda *call: states.append(call[2]))
        model.logits(torch.tensor([[tokenizer.sot]]), torch.zeros(1, 1500, width))
        hook.remove()
        marks[tokenizer.to_language_token("en")] = states[0][0, 0]
    path = folder / f"{shape}.pt"
    torch.save({"dims": dims, "model_state_dict": model.half().state_dict()}, path)
    return path


def read_speech(spool: Path) -> list[Pcm]:
    """The clips that recordings are made of: people reading where the shared ones are at hand, else the examples."""
    root = Path(__file__).resolve().parents[1]
    shared = root.parent / "shared" / "audio" / "human"
    folder = shared if shared.is_dir() else root / "examples" / "voice-notes"
    clips = sorted(path for path in folder.iterdir() if path.suffix in (".wav", ".flac", ".ogg", ".opus"))
    return [np.array(decode(path, spool=spool).open().pcm) for path in clips]


def write_notes(speech: list[Pcm], folder: Path, count: int) -> list[Path]:
    """So many recordings of 5 to 60 s, their lengths evenly spread, in an order drawn by chance."""
    chance = np.random.default_rng(7)
    lengths = chance.permutation(np.linspace(5, 60, count))
    return [_write(_talk(speech, length, chance), folder / f"note-{n:02d}.flac") for n, length in enumerate(lengths)]


def write_long(speech: list[Pcm], folder: Path, minutes: float) -> Path:
    """One recording of so many minutes; in hours of it the same quarter of an hour comes again and again."""
    chance = np.random.default_rng(8)
    part = _talk(speech, min(minutes, 15) * 60, chance)
    path = folder / f"long-{minutes:g}.wav"
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16") as out:
        left = round(minutes * 60 * SAMPLE_RATE)
        while left > 0:
            out.write(part[:left])
            left -= len(part)
    return path


def _talk(speech: list[Pcm], seconds: float, chance: np.random.Generator) -> Pcm:
    """Clips in any order with pauses of 0.3 to 3 s between them, ending in the midst of one."""
    parts: list[Pcm] = []
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        clip = speech[int(chance.integers(len(speech)))]
        pause = np.zeros(round(chance.uniform(0.3, 3.0) * SAMPLE_RATE), np.int16)
        parts += [clip, pause]
        left -= len(clip) + len(pause)
    return np.concatenate(parts)[: round(seconds * SAMPLE_RATE)]


def _write(pcm: Pcm, path: Path) -> Path:
    soundfile.write(path, pcm, SAMPLE_RATE)
    return path
