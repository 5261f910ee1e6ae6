"""Peak memory of a piece of work on the CPU, as torch's profiler records it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the peak of bytes in tensors that `work` allocates on the CPU.

    Tensors that `work` returns count until the end of the measurement.
    """
    work()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = work()
    del result
    allocated = peak = 0
    for size in _allocations(record):
        allocated += size
        peak = max(peak, allocated)
    return peak


def _allocations(record: profile) -> list[int]:
    """Return the bytes of each allocation (negative: of each release) in the order of time."""
    profiler: Any = record.profiler
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profiler.kineto_results.events()
        if event.name() == "[memory]" and event.device_type() == torch.profiler.DeviceType.CPU
    ]
    return [size for _, size in sorted(changes)]
