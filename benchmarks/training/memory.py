"""The memory that the steps of a training on the CPU take and give back."""

import ctypes
import sys
from functools import cache

KEPT = 512 * 2**20
"""Free bytes behind what is in use that a process keeps."""
LARGEST = 32 * 2**20
"""Bytes of a block up to which it is taken from what is kept; glibc takes no larger number."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>


@cache
def keep_freed_memory() -> None:
    """Have the C library keep, in this process, what a step frees for the next one.

    glibc gives the system back what is freed at the end of its heap. In the next step each page of
    it is found and cleared anew, which takes a small network up to a third of its time, sometimes
    and sometimes not, by what happens to lie behind it. Of other C libraries nothing is asked.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, LARGEST)
        library.mallopt(_TRIM_THRESHOLD, KEPT)
