from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diarynotes.errors import ModelUnavailable
from diarynotes.transcribe.torch_weights import Dimensions, list_shapes, load_checkpoint

DIMS = {
    "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 8, "n_audio_head": 2, "n_audio_layer": 2,
    "n_vocab": 51865, "n_text_ctx": 16, "n_text_state": 8, "n_text_head": 2, "n_text_layer": 1,
}  # fmt: skip


def make_content(dims: dict[str, int] = DIMS) -> dict[str, Any]:
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(3)
    model = Whisper(ModelDimensions(**dims))
    torch.nn.init.normal_(model.decoder.positional_embedding)  # Whisper leaves it as memory was: a NaN equals nothing
    return {"dims": dict(dims), "model_state_dict": model.to(torch.float16).state_dict()}


def save(content: object, path: Path, *, old: bool = False) -> Path:
    import torch

    torch.save(content, path, _use_new_zipfile_serialization=not old)
    return path


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_is_read_whole(tmp_path: Path, old: bool) -> None:
    import torch

    content = make_content()

    checkpoint = load_checkpoint(save(content, tmp_path / "fine.pt", old=old))

    assert checkpoint.dims == Dimensions(**DIMS)
    assert checkpoint.tensors.keys() == content["model_state_dict"].keys()
    assert all(torch.equal(tensor, content["model_state_dict"][name]) for name, tensor in checkpoint.tensors.items())


def test_the_shapes_are_those_of_openais_model() -> None:
    content = make_content()["model_state_dict"]

    assert dict(list_shapes(Dimensions(**DIMS))) == {name: tuple(tensor.shape) for name, tensor in content.items()}


@pytest.mark.parametrize(
    ("vocabulary", "multilingual", "languages"), [(51864, False, 99), (51865, True, 99), (51866, True, 100)]
)
def test_the_vocabulary_tells_the_languages(vocabulary: int, multilingual: bool, languages: int) -> None:
    dims = Dimensions(**{**DIMS, "n_vocab": vocabulary})

    assert (dims.multilingual, dims.languages) == (multilingual, languages)


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)

    with pytest.raises(ModelUnavailable, match="damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_cut_short_is_said(tmp_path: Path, share: float, old: bool) -> None:
    path = save(make_content(), tmp_path / "cut.pt", old=old)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    with pytest.raises(ModelUnavailable, match="damaged"):
        load_checkpoint(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        load_checkpoint(tmp_path / "gone.pt")


def break_dims(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: {**content, "dims": {**content["dims"], **changes}}


def break_tensors(**changes: object) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> object:
        tensors = {**content["model_state_dict"], **{name.replace("__", "."): new for name, new in changes.items()}}
        return {**content, "model_state_dict": {name: tensor for name, tensor in tensors.items() if tensor is not None}}

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: [1, 2], "no 'dims'"),
        (lambda content: content["model_state_dict"], "no 'dims'"),
        (lambda content: {**content, "dims": {"n_mels": 80}}, "not those of Whisper"),
        (lambda content: {**content, "model_state_dict": 3}, "no names"),
        (break_dims(n_mels=-1), "no sizes"),
        (break_dims(n_audio_layer=10**12), "no sizes"),
        (break_dims(n_vocab="51865"), "no sizes"),
        (break_dims(n_vocab=50000), "not Whisper's"),
        (break_dims(n_audio_head=3), "heads"),
        (break_dims(n_text_state=16), "width"),
        (break_dims(n_text_layer=2), "missing"),
        (break_dims(n_text_ctx=32), "shape"),
        (break_tensors(decoder__ln__weight=None), "decoder.ln.weight is missing"),
        (break_tensors(decoder__ln__weight=3.0), "decoder.ln.weight is missing"),
        (break_tensors(another="tensor"), "does not know"),
    ],
)
def test_another_models_weights_are_said(tmp_path: Path, change: Callable[[dict[str, Any]], object], why: str) -> None:
    with pytest.raises(ModelUnavailable, match=why):
        load_checkpoint(save(change(make_content()), tmp_path / "other.pt"))


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_cannot_run_code(tmp_path: Path, old: bool) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return (Path.touch, (tmp_path / "ran",))

    path = save({"dims": DIMS, "model_state_dict": Evil()}, tmp_path / "evil.pt", old=old)

    with pytest.raises(ModelUnavailable, match="plain weights"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    import torch

    torch.load(path, weights_only=False)  # else the file would prove nothing
    assert (tmp_path / "ran").exists()
