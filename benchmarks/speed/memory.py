"""How much memory a piece of work allocates at most on the CPU, as torch's profiler records it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def peak(work: Callable[[], object]) -> int:
    """The largest number of bytes in torch's tensors during `work` beyond those before it.

    What `work` returns is thrown away only after it has ended.
    """
    work()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        kept = work()
    del kept
    now = most = 0
    for event in _allocations(record):
        now += event
        most = max(most, now)
    return most


def _allocations(record: profile) -> list[int]:
    """Bytes allocated (or, below 0, freed), in the order of time."""
    result: Any = record.profiler
    found = [
        (event.start_ns(), event.nbytes())
        for event in result.kineto_results.events()
        if event.name() == "[memory]" and event.device_type() == torch.profiler.DeviceType.CPU
    ]
    return [size for _, size in sorted(found)]
