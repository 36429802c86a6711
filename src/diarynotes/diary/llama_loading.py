"""Loads a GGUF with llama.cpp: the library, the model, and the memory that it works in.

Speaks to llama.cpp's C interface as llama-cpp-python binds it (0.3.36), not to the class `Llama` on top: that one turns
the whole process's output off while it loads, prints errors, and cannot be stopped within a prompt.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from diarynotes.diary.gguf_models import measure_gguf
from diarynotes.diary.gguf_trial import ends_llama
from diarynotes.diary.stoppable import Stop, Stopped
from diarynotes.errors import WriterFailure

_ALL_LAYERS = 0x7FFFFFFF
BATCH_TOKENS = 512
"""How many tokens are read in one step."""
_CACHE_BYTES = 2
"""Of each number in the cache of keys and values: float16."""
_ERROR = 3
"""llama.cpp's level of errors (`GGML_LOG_LEVEL_ERROR`)."""

_AMX = b"AMX_INT8 = 1"
"""Quantised weights laid out anew for these instructions of some Xeons end the process with a segmentation fault (seen
with 0.3.36; github.com/ggml-org/llama.cpp/issues/20824). Without, the weights are read as they lie in the file."""

_DAMAGED = "llama.cpp cannot read the file; it may be cut off or damaged, so fetch it again"

_complaints: deque[str] = deque(maxlen=20)
"""What llama.cpp said last when it failed; it speaks of files and tensors, never of what it is told."""


class CannotLoad(Exception):
    """The model does not load; `kind` says whether that may pass."""

    def __init__(self, why: str, kind: WriterFailure = "misconfigured") -> None:
        super().__init__(why, kind)
        self.why, self.kind = why, kind


@dataclass(frozen=True, slots=True)
class Spec:
    """Which model is loaded and how; `gpu_layers` -1 is all where a GPU can be used, `threads` None is one per core."""

    path: Path
    context_tokens: int
    gpu_layers: int = -1
    threads: int | None = None


@cache
def open_library() -> ModuleType:
    """llama.cpp's C interface, silenced. Raises: CannotLoad when its library does not load on this machine."""
    try:
        with _patient_threads():
            library = import_module("llama_cpp.llama_cpp")
    except (ImportError, OSError, RuntimeError) as error:
        raise CannotLoad(f"llama.cpp's library does not load here ({type(error).__name__}); build it again") from error
    _c().setenv(b"GGML_NO_BACKTRACE", b"1", 0)  # should it crash: a debugger's trace tells what it was reading
    library.llama_log_set(_listener(library), ctypes.c_void_p(0))
    library.llama_backend_init()
    return library


@cache
def stop_callback() -> Any:
    """What makes llama.cpp look at a `Stop`, whose address it is given."""
    return ctypes.cast(_c().strlen, open_library().ggml_abort_callback)


def load_model(spec: Spec, stop: Stop) -> Any:
    """The weights, to be freed. Raises: CannotLoad; Stopped when `stop` is set meanwhile."""
    if ends_llama(spec.path):
        raise CannotLoad(_DAMAGED)
    layers = _offloaded_layers(spec)
    if not layers:
        _check_memory(measure_gguf(spec.path), "its weights")
    model = _load(spec.path, layers, stop)
    if model is None and layers and spec.gpu_layers < 0:
        model = _load(spec.path, 0, stop)  # the GPU's memory may be too small
    if model is None:
        raise CannotLoad(_explain(" ".join(_complaints)))
    return model


def make_context(model: Any, spec: Spec) -> Any:
    """The memory that a loaded model works in, to be freed before it; its window is at most what it was trained with.

    Raises: CannotLoad.
    """
    library = open_library()
    trained = library.llama_model_n_ctx_train(model)
    window = min(spec.context_tokens, trained) if trained > 0 else spec.context_tokens
    if not _offloaded_layers(spec):
        _check_memory(_cache_bytes(model, window), f"a window of {window} tokens")
    parameters = library.llama_context_default_params()
    parameters.n_ctx = window
    parameters.n_batch = parameters.n_ubatch = min(BATCH_TOKENS, window)
    parameters.n_threads = parameters.n_threads_batch = spec.threads or _count_cores()
    parameters.no_perf = True
    context = library.llama_init_from_model(model, parameters)
    if context is None:
        raise CannotLoad(f"there is no memory for a window of {window} tokens; lower llama_context_tokens")
    return context


def _load(path: Path, layers: int, stop: Stop) -> Any:
    library = open_library()

    @library.llama_progress_callback  # type: ignore[untyped-decorator]
    def go_on(_share: float, _data: object) -> bool:
        return not stop.is_set

    parameters = library.llama_model_default_params()
    parameters.n_gpu_layers, parameters.progress_callback = layers, go_on
    parameters.use_extra_bufts = _AMX not in library.llama_print_system_info()
    _complaints.clear()
    model = library.llama_model_load_from_file(os.fsencode(path), parameters)
    if stop.is_set:
        if model is not None:
            library.llama_model_free(model)
        raise Stopped
    return model


def _offloaded_layers(spec: Spec) -> int:
    """How many layers go to a GPU."""
    if not open_library().llama_supports_gpu_offload():
        return 0
    return _ALL_LAYERS if spec.gpu_layers < 0 else spec.gpu_layers


def _cache_bytes(model: Any, window: int) -> int:
    """Keys and values of every layer for each token of the window; models with sparse layers need less."""
    library = open_library()
    heads = max(library.llama_model_n_head(model), 1)
    width = library.llama_model_n_embd(model) // heads * library.llama_model_n_head_kv(model)
    return int(2 * library.llama_model_n_layer(model) * width * window * _CACHE_BYTES)


def _check_memory(needed_bytes: int, what_for: str) -> None:
    """Better told now than ended by the system in the midst of the work."""
    import psutil  # type: ignore[import-untyped]

    memory = psutil.virtual_memory()
    if needed_bytes > memory.available:
        told = f"{what_for} need {needed_bytes / 1e9:.1f} GB of memory and {memory.available / 1e9:.1f} GB are free"
        kind: WriterFailure = "misconfigured" if needed_bytes > memory.total else "unavailable"
        raise CannotLoad(f"{told}; take a smaller model or lower llama_context_tokens", kind)


def _explain(complaints: str) -> str:
    """What to do about a file that does not load, as far as llama.cpp's words tell."""
    if "unknown model architecture" in complaints or "unknown pre-tokenizer" in complaints:
        return "this llama.cpp does not know the model's kind; install a newer llama-cpp-python, or take another model"
    if "allocate" in complaints or "out of memory" in complaints:
        return "there is not enough memory for it; take a smaller model, or lower llama_gpu_layers"
    return _DAMAGED


def _count_cores() -> int:
    """Cores that this process may use; a thread on each half of one core makes llama.cpp slower."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Lets the threads of OpenMP, where the block is what loads it, wait for each other asleep, unless told otherwise.

    Awake, they take the cores from one another wherever anything else runs: on two busy cores it took 15 times as long.
    """
    name = b"OMP_WAIT_POLICY"
    if _c().getenv(name):
        yield
        return
    _c().setenv(name, b"passive", 0)
    try:
        yield
    finally:
        _c().unsetenv(name)  # it is read once; what we start later shall not hear of it


@cache
def _c() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None)


@cache
def _listener(library: ModuleType) -> Any:
    @library.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, text: bytes, _data: object) -> None:
        if level == _ERROR:
            _complaints.append(text.decode(errors="replace"))

    return listen
