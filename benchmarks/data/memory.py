"""Available memory, and advice for memory-mapped arrays that exceed it."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PixelArray = NDArray[np.uint8]

RESIDENT_FRACTION = 0.5
"""Fraction of the available memory that a mapped array may occupy and still stay resident."""


def advise_random_access(array: PixelArray, root: Path = Path("/")) -> PixelArray:
    """Advise the system of random access if a memory-mapped array is too large to stay in memory.

    Without the advice the system reads up to megabytes around every row, which evicts rows that
    were read before.

    Args:
        array: a memory-mapped array.
        root: root of the tree with `proc` and `sys`.

    Returns:
        The array.
    """
    available = available_memory(root)
    mapping: mmap.mmap | None = getattr(array, "_mmap", None)
    if available is None or mapping is None or not hasattr(mmap, "MADV_RANDOM"):  # on Windows
        return array
    if array.nbytes > RESIDENT_FRACTION * available:
        mapping.madvise(mmap.MADV_RANDOM)
    return array


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes of memory this process can use; None if the system does not say.

    That is the available memory, or the limit of the process's control group if it is lower.
    """
    return min((*_available(root), *_limits(root)), default=None)


def _available(root: Path) -> Iterator[int]:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield 1024 * int(value.split()[0])


def _limits(root: Path) -> Iterator[int]:
    """Yield the memory limits of this process's control groups, of both versions.

    A container sees its own group at the root of the tree.
    """
    groups = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        version_1 = bool(controllers)
        tree = groups / "memory" if version_1 else groups
        file = "memory.limit_in_bytes" if version_1 else "memory.max"
        if not version_1 or "memory" in controllers.split(","):
            leaf = tree / group.lstrip("/")
            for folder in (leaf, *leaf.parents):
                limit = _read(folder / file).strip() if folder.is_relative_to(tree) else ""
                if limit.isdigit():
                    yield int(limit)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
