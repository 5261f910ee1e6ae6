"""Keep the memory that training steps on the CPU allocate and free."""

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD = 512 * 2**20
"""Free bytes at the end of the heap that a process keeps."""
MMAP_THRESHOLD = 32 * 2**20
"""Bytes up to which a block comes from the heap; glibc accepts no larger number."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>


@cache
def keep_freed_memory() -> None:
    """Make the C library keep, in this process, what a step frees.

    By default glibc returns freed memory at the end of its heap to the system. In the next step
    each page is then mapped and cleared again, which can take a third of a small network's time.
    Other C libraries are left alone.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        library.mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD)
