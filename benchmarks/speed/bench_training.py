"""The training step with each loss, what the gradient probes add to it, and the batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig
from lossbench.benchmarks.data import Split
from lossbench.benchmarks.data.batches import TrainingBatches, to_device
from lossbench.benchmarks.data.batches import measure_normalisation as normalisation
from lossbench.benchmarks.training.gradient_stats import GradientMeter
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.step import MOMENTUM
from lossbench.benchmarks.training.train import build_model

from .interleaved import Work

CONFIG = CompareConfig()
TRIAL = RunConfig("cross-entropy", seed=0, learning_rate=CONFIG.learning_rate)


def step_of(objective: Objective, device: torch.device, *, probed: bool) -> Work:
    """One step of a run at the default settings on pixels of noise; with the probes, if asked."""
    model = build_model(TRIAL, objective).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=MOMENTUM, nesterov=True)
    meter = GradientMeter(model, objective)
    pixels = torch.randn(CONFIG.batch_size, 3, 32, 32, device=device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    labels = (torch.arange(CONFIG.batch_size) % 2).to(device)

    def step() -> None:
        logits = objective.logits(model(pixels))
        if probed:
            logits.retain_grad()
        loss = objective(logits, labels).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if probed:
            meter.update(labels, meter.measure(logits, loss))
            if len(meter.steps) == CONFIG.log_every:
                meter.compute()
                meter.reset()
        optimiser.step()

    return step


class TorchObjective(Objective):
    """The same loss as torch has it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        reference = self.entry.reference
        assert reference is not None
        self.loss = lambda input, target: reference(input, target, "none")


@pytest.mark.benchmark(max_time=0.5, min_rounds=5)
@pytest.mark.parametrize("name", ARTICLE_LOSSES)
def bench_step(measure: Callable[..., Any], device: torch.device, name: str) -> None:
    measure(
        step_of(Objective(name), device, probed=False),
        device,
        group=f"training step {device.type}",
        against=step_of(TorchObjective(name), device, probed=False),
    )


@pytest.mark.benchmark(max_time=1.0, min_rounds=5)
def bench_probes(measure: Callable[..., Any], device: torch.device) -> None:
    """The step with probes, against the step without; its ratio minus 1 is what they cost."""
    objective = Objective("cross-entropy")
    measure(
        step_of(objective, device, probed=True),
        device,
        group=f"training step with probes {device.type}",
        against=step_of(objective, device, probed=False),
        label="ratio_to_step_without_probes",
    )


@pytest.mark.benchmark(max_time=0.5, min_rounds=5)
def bench_batches(measure: Callable[..., Any], device: torch.device) -> None:
    """An epoch of augmented batches of 2,048 images of 32 px."""
    pixels = np.random.default_rng(0).integers(0, 256, (2048, 32, 32, 3), dtype=np.uint8)
    split = Split(pixels, np.zeros(2048, np.uint8), ("",) * 2048)
    whole = to_device(split, device)
    batches = TrainingBatches(
        whole,
        normalisation(whole),
        size=CONFIG.batch_size,
        epochs=1,
        seed=0,
    )
    measure(lambda: [None for _ in batches], device, group=f"epoch of batches {device.type}")
