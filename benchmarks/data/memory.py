"""How much memory there is for this process, and arrays that are larger than that."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PixelArray = NDArray[np.uint8]

SHARE = 0.5
"""Of the memory that there is: what a mapped array may take of it and still stay there."""


def scattered(array: PixelArray, root: Path = Path("/")) -> PixelArray:
    """A mapped array whose rows are going to be read one here and one there.

    Where it is too large to stay in memory the system is told so. It would otherwise read up to
    megabytes around every row, which pushes out as much of what it has read before.

    Args:
        root: where the system says how much memory there is, under its usual names.
    """
    room = available(root)
    mapping: mmap.mmap | None = getattr(array, "_mmap", None)
    if room is None or mapping is None or not hasattr(mmap, "MADV_RANDOM"):  # on Windows
        return array
    if array.nbytes > SHARE * room:
        mapping.madvise(mmap.MADV_RANDOM)
    return array


def available(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process can count on at most: what is available, or the limit of
    its control group if that is less; None where the system (no Linux) does not say."""
    found = [*_free(root), *_limits(root)]
    return min(found) if found else None


def _free(root: Path) -> Iterator[int]:
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield 1024 * int(value.split()[0])


def _limits(root: Path) -> Iterator[int]:
    """Those of the control groups that this process is in, of either version. A container sees its
    own at the root of the tree."""
    groups = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, kinds, group = line.split(":", 2)
        tree, file = (
            (groups, "memory.max") if not kinds else (groups / "memory", "memory.limit_in_bytes")
        )
        if not kinds or "memory" in kinds.split(","):
            place = tree / group.lstrip("/")
            for above in (place, *place.parents):
                if above.is_relative_to(tree) and (limit := _text(above / file).strip()).isdigit():
                    yield int(limit)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
