"""The training step with each loss, the cost of the gradient statistics, and the batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig, RunConfig, rates_of
from lossbench.benchmarks.data import Split
from lossbench.benchmarks.data.batches import TrainingBatches, measure_normalisation, to_device
from lossbench.benchmarks.speed.interleaved import Work
from lossbench.benchmarks.training.gradient_stats import GradientMeter
from lossbench.benchmarks.training.network import build_model
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.optimizer import MOMENTUM

QUICK_LOSSES = ("cross-entropy", "bce-with-logits")
CONFIG = CompareConfig()
RUN = RunConfig("cross-entropy", seed=0, learning_rate=rates_of(CONFIG)[0])


def training_step(objective: Objective, device: torch.device, *, with_stats: bool) -> Work:
    """Return a training step at the default settings on a batch of noise."""
    model = build_model(RUN, objective, 32)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=MOMENTUM, nesterov=True)
    meter = GradientMeter(model, objective)
    images = torch.randn(CONFIG.batch_size, 3, 32, 32, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = (torch.arange(CONFIG.batch_size) % 2).to(device)

    def step() -> None:
        outputs = model(images)
        if with_stats:
            outputs.retain_grad()
        loss = objective(outputs, labels).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if with_stats:
            meter.append(meter.measure(outputs, labels, loss))
            if len(meter.steps) == CONFIG.log_every:
                meter.compute()
        optimizer.step()

    return step


class TorchObjective(Objective):
    """The same loss in torch's implementation."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        of_torch, reference = self.entry.build_of_torch(reduction="none"), self.entry.reference
        assert reference is not None
        self.loss = of_torch or (lambda input, target: reference(input, target, "none"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `bench_step` two losses, or the article's."""
    if "name" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full")
        metafunc.parametrize("name", ARTICLE_LOSSES if full else QUICK_LOSSES)


@pytest.mark.benchmark(max_time=0.2, min_rounds=2)
def bench_step(measure: Callable[..., Any], device: torch.device, name: str) -> None:
    measure(
        training_step(Objective(name), device, with_stats=False),
        device,
        group=f"training step {device.type}",
        reference=training_step(TorchObjective(name), device, with_stats=False),
    )


@pytest.mark.benchmark(max_time=0.2, min_rounds=2)
def bench_gradient_stats(measure: Callable[..., Any], device: torch.device) -> None:
    """Benchmark a step with gradient statistics; its ratio minus 1 is their cost."""
    objective = Objective("cross-entropy")
    measure(
        training_step(objective, device, with_stats=True),
        device,
        group=f"training step with probes {device.type}",
        reference=training_step(objective, device, with_stats=False),
        label="ratio_to_step_without_probes",
    )


@pytest.mark.benchmark(max_time=0.2, min_rounds=2)
def bench_batches(measure: Callable[..., Any], device: torch.device) -> None:
    """Benchmark an epoch of augmented batches of 2,048 images of 32 px."""
    images = np.random.default_rng(0).integers(0, 256, (2048, 32, 32, 3), dtype=np.uint8)
    split = to_device(Split(images, np.zeros(2048, np.uint8), ("",) * 2048), device)
    normalise = measure_normalisation(split)
    batches = TrainingBatches(split, normalise, size=CONFIG.batch_size, epochs=1, seed=0)
    measure(lambda: [None for _ in batches], device, group=f"epoch of batches {device.type}")
