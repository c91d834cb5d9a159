"""What the C library does with memory that photos were in."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["give_memory_back"]

# parameters of glibc's malloc.h and their values
ONE_HEAP: Final = (-8, 1)  # M_ARENA_MAX
KEPT: Final = (-1, 64 * 2**20)  # M_TRIM_THRESHOLD: bytes that may lie free at the heap's end
LARGE: Final = (-3, 16 * 2**20)  # M_MMAP_THRESHOLD: blocks from which on each goes back at once, which costs time


def give_memory_back() -> bool:
    """Return free memory to the system, in this process; whether that could be said to its C library.

    glibc by default keeps what once was large for later, in several heaps for each thread: after thousands of photos of
    all sizes a process has twice the memory that it ever needed at once. One heap for all, kept short, does not grow.

    Source: mallopt(3).
    """
    if sys.platform != "linux":
        return False
    try:
        library = ctypes.CDLL(None)
        return all(library.mallopt(*one) for one in (ONE_HEAP, KEPT, LARGE))
    except (OSError, AttributeError):  # another C library
        return False
