"""OpenAI's Whisper checkpoint as a CTranslate2 model: converted once, kept in a folder beside the weights.

Knows nothing of audio or of decoding. Names of layers follow whisper/model.py; what the folder must hold follows
ctranslate2.converters.transformers.WhisperLoader, vocabulary and suppressed tokens OpenAI's own tokenizer.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diarynotes.errors import ModelUnavailable, StorageFailed
from diarynotes.models import make_id
from diarynotes.transcribe.torch_weights import Checkpoint, load_checkpoint

Tensors = Mapping[str, NDArray[np.float32]]
"""A checkpoint's weights by OpenAI's names."""
SETTLED_NS = 2_000_000_000
"""Only of a file that has rested for so long can its time tell whether it has changed, ns."""


def convert_weights(weights: Path, models: Path, quantization: str) -> Path:
    """The folder of the converted model, made now if it is not there: whole, or not at all.

    `quantization` is CTranslate2's name of one. Processes that convert at once wait for each other; what one that was
    killed has left is swept by the next. Raises ModelUnavailable for a file that is no checkpoint, StorageFailed when
    the folder cannot be written.
    """
    shelf = models / "ctranslate2"
    target = shelf / f"{weights.stem}-{_checksum(weights, shelf)[:8]}-{quantization}"
    if not target.is_dir():
        checkpoint = load_checkpoint(weights)  # before anything is written: it may be none
        try:
            with _alone(shelf):
                _sweep(shelf)
                if not target.is_dir():
                    _save(_make_spec_of(checkpoint, weights, quantization), target)
        except OSError as error:
            raise StorageFailed(str(target), error.strerror or "the converted model cannot be written") from error
    return target


def _checksum(weights: Path, shelf: Path) -> str:
    """The SHA-256 of the weights, from a note beside the converted models while the file has not changed."""
    try:
        found = weights.stat()
        now = [str(weights.resolve()), found.st_size, found.st_mtime_ns, found.st_ino]
        note = shelf / f".{make_id('weights', str(now[0]))}.json"
        if (known := _read_note(note, now)) is not None:
            return known
        with weights.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnavailable(weights.stem, f"{weights} cannot be read: {error.strerror}.") from error
    if shelf.is_dir() and time.time_ns() - found.st_mtime_ns > SETTLED_NS:
        _write_note(note, [*now, sha256])
    return sha256


def _read_note(note: Path, now: list[Any]) -> str | None:
    try:
        *then, sha256 = json.loads(note.read_bytes())
    except (OSError, ValueError, TypeError):  # not there, torn, or of another make
        return None
    return sha256 if then == now and isinstance(sha256, str) and len(sha256) == 64 else None


def _write_note(note: Path, content: list[Any]) -> None:
    """A note saves time and nothing else, so a disk that is full or read-only is no reason to fail."""
    with contextlib.suppress(OSError):
        note.write_text(json.dumps(content))  # a part of it is no JSON, so nobody takes it for the whole


@contextlib.contextmanager
def _alone(shelf: Path) -> Iterator[None]:
    """Wait until no other process converts; the lock goes with its holder, however that ends."""
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(shelf: Path) -> None:
    """Delete what conversions left that were killed: whoever holds the lock is the only one at work."""
    for part in shelf.glob(".part.*"):
        shutil.rmtree(part, ignore_errors=True)


def _save(spec: Any, target: Path) -> None:
    """Write beside the target and rename: no reader ever sees a part."""
    part = Path(tempfile.mkdtemp(prefix=".part.", dir=target.parent))
    try:
        spec.save(str(part))
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make_spec_of(checkpoint: Checkpoint, weights: Path, quantization: str) -> Any:
    try:
        tensors = {name: tensor.float().numpy() for name, tensor in checkpoint.tensors.items()}
        spec = _make_spec(asdict(checkpoint.dims), tensors)
        spec.validate()
        spec.optimize(quantization)
    except (ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:  # dimensions nobody has seen yet
        remedy = f"CTranslate2 cannot hold the model in {weights}. Use the engine whisper for it."
        raise ModelUnavailable(weights.stem, remedy) from error
    return spec


def _make_spec(dims: Mapping[str, int], tensors: Tensors) -> Any:
    from ctranslate2.specs import WhisperSpec

    spec = WhisperSpec(dims["n_audio_layer"], dims["n_audio_head"], dims["n_text_layer"], dims["n_text_head"])
    _set_encoder(spec.encoder, tensors)
    _set_decoder(spec.decoder, tensors)
    _set_config(spec, dims)
    return spec


def _set_encoder(spec: Any, tensors: Tensors) -> None:
    _set_linear(spec.conv1, tensors, "encoder.conv1")
    _set_linear(spec.conv2, tensors, "encoder.conv2")
    spec.position_encodings.encodings = tensors["encoder.positional_embedding"]
    _set_norm(spec.layer_norm, tensors, "encoder.ln_post")
    for number, layer in enumerate(spec.layer):
        _set_block(layer, tensors, f"encoder.blocks.{number}")


def _set_decoder(spec: Any, tensors: Tensors) -> None:
    spec.embeddings.weight = tensors["decoder.token_embedding.weight"]
    spec.projection.weight = tensors["decoder.token_embedding.weight"]
    spec.position_encodings.encodings = tensors["decoder.positional_embedding"]
    _set_norm(spec.layer_norm, tensors, "decoder.ln")
    for number, layer in enumerate(spec.layer):
        block = f"decoder.blocks.{number}"
        _set_block(layer, tensors, block)
        _set_norm(layer.attention.layer_norm, tensors, f"{block}.cross_attn_ln")
        query, key, value = _split(tensors, f"{block}.cross_attn")
        _fuse(layer.attention.linear[0], query)
        _fuse(layer.attention.linear[1], key, value)
        _set_linear(layer.attention.linear[2], tensors, f"{block}.cross_attn.out")


def _set_block(layer: Any, tensors: Tensors, block: str) -> None:
    """What a layer of the encoder and one of the decoder have in common."""
    _set_norm(layer.self_attention.layer_norm, tensors, f"{block}.attn_ln")
    _fuse(layer.self_attention.linear[0], *_split(tensors, f"{block}.attn"))
    _set_linear(layer.self_attention.linear[1], tensors, f"{block}.attn.out")
    _set_norm(layer.ffn.layer_norm, tensors, f"{block}.mlp_ln")
    _set_linear(layer.ffn.linear_0, tensors, f"{block}.mlp.0")
    _set_linear(layer.ffn.linear_1, tensors, f"{block}.mlp.2")


def _split(tensors: Tensors, attention: str) -> list[Any]:
    from ctranslate2.specs.common_spec import LinearSpec

    specs = [LinearSpec() for _ in range(3)]
    for spec, name in zip(specs, ("query", "key", "value"), strict=True):
        _set_linear(spec, tensors, f"{attention}.{name}")
    return specs


def _fuse(spec: Any, *parts: Any) -> None:
    from ctranslate2.converters.utils import fuse_linear

    fuse_linear(spec, parts)


def _set_linear(spec: Any, tensors: Tensors, name: str) -> None:
    spec.weight = tensors[f"{name}.weight"]
    if (bias := tensors.get(f"{name}.bias")) is not None:  # Whisper's keys have none
        spec.bias = bias


def _set_norm(spec: Any, tensors: Tensors, name: str) -> None:
    spec.gamma, spec.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _set_config(spec: Any, dims: Mapping[str, int]) -> None:
    """Vocabulary and config.json; sizes of the decoder are kept there too, since the finished model hides them."""
    from whisper.tokenizer import get_tokenizer

    multilingual = dims["n_vocab"] >= 51865  # as whisper.model.Whisper tells them apart
    languages = dims["n_vocab"] - 51765 - int(multilingual)
    tokenizer = get_tokenizer(multilingual, num_languages=languages)
    encoding = tokenizer.encoding
    # a token is any bytes; Latin-1 gives each its own string, and only the special ones are ever looked up by it
    spec.register_vocabulary([encoding.decode_single_token_bytes(i).decode("latin-1") for i in range(dims["n_vocab"])])
    unspoken = (tokenizer.transcribe, tokenizer.translate, tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm)
    spec.config.suppress_ids = sorted({*tokenizer.non_speech_tokens, *unspoken, tokenizer.no_speech})
    spec.config.suppress_ids_begin = [*tokenizer.encode(" "), tokenizer.eot]
    spec.config.lang_ids = list(tokenizer.all_language_tokens) if multilingual else []
    layers, heads = dims["n_text_layer"], dims["n_text_head"]
    spec.config.alignment_heads = list(itertools.product(range(layers // 2, layers), range(heads)))
    for size in ("n_text_ctx", "n_text_layer", "n_text_state"):
        spec.config.add_attribute(size, dims[size])
