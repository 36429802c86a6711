"""Memory that a process has freed: kept for the next time, or given back to the system.

Knows nothing of engines. A Whisper encoder asks for and frees tens of megabytes at every layer. The C library gives
such pieces back to the system at once, and the system clears every page of the next one; on two cores that was a
quarter of all the time of the model `base` in int8. It concerns glibc only; elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes

# of glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Let this process keep what it frees, whatever its size, until `give_memory_back` or its end.

    Threads that have allocated before may keep their own ways, so it is best called early.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_ARENA_MAX, 1)  # other arenas than the first one give back all the same
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_memory_back() -> None:
    """Give what is freed in this process back to the system now."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
