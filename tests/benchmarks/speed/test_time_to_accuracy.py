"""Time to an accuracy: both trainings end where they are accurate enough."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import ImageSet
from lossbench.benchmarks.speed import time_to_accuracy
from lossbench.benchmarks.speed.baselines import image_set
from lossbench.benchmarks.speed.time_to_accuracy import (
    TrainingTime,
    preset_config,
    train_preset,
    train_recipe,
)

CPU = torch.device("cpu")
CONFIG = replace(preset_config(), model="convnet", width=4, epochs=6, batch_size=16)
STEPS = CONFIG.epochs * 128 // 16


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """Bright images and dark ones."""
    monkeypatch.setattr(time_to_accuracy, "MAX_WORKERS", 0)
    monkeypatch.setattr(time_to_accuracy, "BATCH_SIZE", 16)
    plain = torch.utils.data.DataLoader
    monkeypatch.setattr(
        torch.utils.data, "DataLoader", lambda *a, **k: plain(*a, **k | {"persistent_workers": 0})
    )
    images = np.random.default_rng(0).integers(0, 40, (128, 32, 32, 3), dtype=np.uint8)
    images[1::2] += 200
    return image_set(images)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grow by one with each step of an optimizer."""
    taken: list[int] = []
    plain = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *a: (taken.append(1), plain(*a))[1])
    return taken


@pytest.mark.parametrize("training", [train_preset, train_recipe])
def test_training_ends_at_the_accuracy(training, easy: ImageSet, steps: list[int]) -> None:
    full = training(easy, CONFIG, CPU, 1.01)
    assert full.accuracy == 1
    assert len(steps) == STEPS
    steps.clear()
    early = training(easy, CONFIG, CPU, 0.4)
    assert len(steps) <= STEPS - 128 // 16
    assert early.seconds > 0
    assert early.accuracy >= 0.4
    steps.clear()
    inverted = replace(easy, test=replace(easy.test, labels=1 - easy.test.labels))
    missed = training(inverted, CONFIG, CPU, 0.9)
    assert missed.accuracy < 0.5
    assert len(steps) == STEPS


def test_the_preset_is_that_of_compare() -> None:
    config = preset_config()
    assert (config.model, config.width, config.epochs) == ("resnet9", 24, 80)
    assert config.test_time_augmentation == "mirror-shift"


@pytest.mark.parametrize(("accuracy", "ratio"), [(0.885, 3.0), (0.87, math.nan)])
def test_a_missed_accuracy_has_no_ratio(accuracy, ratio, easy, monkeypatch) -> None:
    monkeypatch.setattr(time_to_accuracy, "open_images", lambda *_, **__: easy)
    times = {"train_preset": TrainingTime(10.0, accuracy), "train_recipe": TrainingTime(30.0, 0.86)}
    for name, time in times.items():
        monkeypatch.setattr(time_to_accuracy, name, lambda *_, time=time: time)
    found = time_to_accuracy.measure(0)
    assert found.median == pytest.approx(ratio, nan_ok=True)
    assert found.note.endswith("straightforward 86.00 % after 30.0 s")
