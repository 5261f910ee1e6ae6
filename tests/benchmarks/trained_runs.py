import dataclasses
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig, RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training import checks
from lossbench.benchmarks.training.executors.pool import dataset_arguments
from lossbench.benchmarks.training.result import RunResult
from lossbench.benchmarks.training.train import train
from lossbench.losses import registry

SMALL = RunConfig(
    "cross-entropy", seed=0, learning_rate=0.02, width=4, epochs=2, batch_size=16, evaluations=1
)
"""A run of 2 epochs of 4 steps on 96 images of which a quarter is held out."""

ENTRIES = {name: registry.entry(name) for name in registry.names()}
LOSS_KINDS = tuple({(e.task, e.takes, e.targets[0]): name for name, e in ENTRIES.items()}.values())
"""One loss of each kind of input, target and task."""


@pytest.fixture
def trained(images):
    """Train a small network on the 96 images of noise, of which a quarter is held out."""

    def run(loss: str = "cross-entropy", callbacks=(), log_every=None, **settings) -> RunResult:
        settings = {"loss": loss, "validation": 0.25, "test": True} | settings
        config = dataclasses.replace(SMALL, **settings)
        dataset = prepare(images, torch.device("cpu"), **dataset_arguments(config))
        return train(config, dataset, callbacks, log_every)

    return run


def small_comparison(place: Path) -> CompareConfig:
    """Return a comparison of two losses and two seeds, below a directory."""
    return CompareConfig(
        losses=("cross-entropy", "mse"),
        width=4,
        epochs=1,
        batch_size=32,
        learning_rate=0.02,
        evaluations=1,
        seeds=2,
        device="cpu",
        runs=place / "runs",
        name="small",
    )


@pytest.fixture
def config(tmp_path: Path, images, monkeypatch) -> CompareConfig:
    """A comparison of two losses and two seeds on the 96 images of noise."""
    monkeypatch.setattr(checks, "open_images", lambda *_, **__: images)
    return small_comparison(tmp_path)
