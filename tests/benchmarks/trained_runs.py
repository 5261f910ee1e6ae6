from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training import setup as choices
from lossbench.benchmarks.training.result import RunConfig, RunResult
from lossbench.benchmarks.training.train import train

SMALL = RunConfig(
    "cross-entropy", seed=0, learning_rate=0.02, width=4, epochs=2, batch_size=16, evaluations=1
)


@pytest.fixture
def trained(images):
    """Trains a small network on the 96 images of noise, of which a quarter is held out."""

    def run(loss: str = "cross-entropy", watch=None, log_every=None, **settings) -> RunResult:
        fields = {"loss": loss, "validation": 0.25, "test": True} | settings
        trial = RunConfig(**{**vars(SMALL), **fields})
        material = prepare(
            images,
            torch.device("cpu"),
            validation=trial.validation,
            train_images=trial.train_images,
            label_noise=trial.label_noise,
            imbalance=trial.imbalance,
            seed=trial.seed,
        )
        return train(trial, material, watch, log_every)[0]

    return run


@pytest.fixture
def config(tmp_path: Path, images, monkeypatch) -> CompareConfig:
    """A comparison of two losses and two seeds on the 96 images of noise."""
    monkeypatch.setattr(choices, "open_images", lambda *_, **__: images)
    return CompareConfig(
        losses=("cross-entropy", "mse"),
        width=4,
        epochs=1,
        batch_size=32,
        learning_rate=0.02,
        evaluations=1,
        seeds=2,
        device="cpu",
        runs=tmp_path / "runs",
        name="small",
    )
