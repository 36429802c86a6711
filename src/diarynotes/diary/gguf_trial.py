"""Reads a GGUF's head in a process of its own first: what ends llama.cpp ends that one.

llama.cpp asserts things about a model's vocabulary (`GGML_ASSERT`), and where a damaged file breaks one it aborts the
process, which no Python code can catch. Weights are left alone, so this takes as long as importing llama.cpp does.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

_CODE = """
import os, sys
os.putenv("GGML_NO_BACKTRACE", "1")  # no debugger over the crash
os.putenv("CUDA_VISIBLE_DEVICES", "")  # no GPU for a vocabulary
from llama_cpp import llama_cpp as library
parameters = library.llama_model_default_params()
parameters.vocab_only, parameters.n_gpu_layers = True, 0
library.llama_model_load_from_file(os.fsencode(sys.argv[1]), parameters)
"""
_TIMEOUT_S = 60.0


def ends_llama(path: Path) -> bool:
    """Whether reading this file's head ends the process that does so; a file that has not changed is tried once."""
    try:
        state = path.stat()
    except OSError:
        return False  # gone since it was named, which llama.cpp tells of
    return _ends_llama(path, state.st_size, state.st_mtime_ns)


@cache
def _ends_llama(path: Path, _size_bytes: int, _changed_ns: int) -> bool:
    command = [sys.executable, "-c", _CODE, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False  # a slow machine, or a slow disk; what is wrong with the file, if anything is, shows in earnest
    return done.returncode < 0
