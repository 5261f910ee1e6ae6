"""Peak memory of a piece of work on the CPU, as torch's profiler records it."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the peak of bytes in tensors that `work` allocates on the CPU.

    Tensors that `work` returns count until the end of the measurement.
    """
    return max(accumulate(_allocations(work)), default=0)


def kept_bytes(work: Callable[[], object]) -> int:
    """Return the bytes on the CPU that `work` allocates and that its result keeps in use."""
    return sum(_allocations(work))


def _allocations(work: Callable[[], object]) -> list[int]:
    """Return the bytes of each allocation (negative: of each release) in the order of time."""
    work()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = work()
    del result
    profiler: Any = record.profiler
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profiler.kineto_results.events()
        if event.name() == "[memory]" and event.device_type() == torch.profiler.DeviceType.CPU
    ]
    return [size for _, size in sorted(changes)]
