from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.waiting import PATIENCE_S

CODE = """
import resource, psutil
from diarynotes.transcribe.allocator import give_memory_back, keep_freed_memory

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(50_000_000)
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
first, second = count_faults(), count_faults()
kept = psutil.Process().memory_info().rss
give_memory_back()
print(first, second, kept - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it concerns glibc only")
def test_freed_memory_is_kept_and_given_back_when_told() -> None:
    told = subprocess.run(
        [sys.executable, "-c", CODE], check=True, capture_output=True, text=True, timeout=PATIENCE_S
    ).stdout
    first, second, given_back = map(int, told.split())

    assert first > 1000
    assert second < first / 10
    assert given_back > 40_000_000
