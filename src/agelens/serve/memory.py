"""What the C library does with memory that photos were in."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

__all__ = ["give_memory_back"]

# of glibc's malloc.h, and glibc's own values for them at a process's start
M_TRIM_THRESHOLD: Final = (-1, 128 * 1024)
M_MMAP_THRESHOLD: Final = (-3, 128 * 1024)


def give_memory_back() -> bool:
    """Return large free blocks to the system at once, in this process; whether that could be said to its C library.

    glibc by default keeps what once was large for later, in as many heaps as there are threads: after thousands of
    photos of all sizes a process has twice the memory that it ever needed.

    Source: mallopt(3): a threshold that was set is not raised by glibc itself.
    """
    if sys.platform != "linux":
        return False
    try:
        library = ctypes.CDLL(None)
        return all(library.mallopt(*one) for one in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD))
    except (OSError, AttributeError):  # another C library
        return False
