"""All targets of `lossbench speed`: what is measured, relative to what, and the wanted ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from . import baselines, cases, cuda, growth, memory_cases, start, training_runs
from .interleaved import Ratio
from .target import SpeedTarget


def all_targets() -> Iterator[SpeedTarget]:
    """Yield the targets of the CPU, and those of a GPU where there is one."""
    for condition in cases.CONDITIONS:
        for case in cases.cases([condition]):
            yield case.target()
    yield from memory_cases.memory_targets()
    yield from training_targets()
    yield from start.start_targets()
    yield from growth.growth_targets()
    yield from cuda.cuda_targets()


def training_targets() -> Iterator[SpeedTarget]:
    """Yield times of trainings relative to those of other implementations."""

    def faster(name: str, measure: Callable[[float], Ratio], bound: float) -> SpeedTarget:
        return SpeedTarget("training", name, measure, bound, at_least=True, unit=" x")

    small = "files of 32 px, ImageFolder and DataLoader"
    yield faster(small, baselines.small_images, 3.3)
    yield faster("photographs of 400 px, the same", baselines.photographs, 8.0)
    runs: tuple[tuple[str, int, training_runs.Augmentation], ...] = (
        ("files of 32 px", 32, "shift"),
        ("decoded photographs", 64, "photographs"),
    )
    for what, size, augmentation in runs:
        share = partial(training_runs.resident_ratio, size=size, augmentation=augmentation)
        name = f"{what}, of the network's speed without data"
        yield SpeedTarget("training", name, share, 0.97, at_least=True)
    recorded = training_runs.recorded_run_ratio
    yield SpeedTarget("training", "a run with probes and TensorBoard", recorded, 1.03)
    if training_runs.has_lightning():
        yield faster("Lightning's Trainer, in memory", training_runs.lightning_ratio, 1.2)
    yield faster("runs in processes, one at a time", baselines.runs_in_processes, 1.4)
