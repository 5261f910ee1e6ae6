"""Experiments as `lossbench compare` leaves them, made of arithmetic instead of training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch

from lossbench.benchmarks.records.events import EventFile
from lossbench.benchmarks.records.gradient_stats import FLOOR, GradientStats
from lossbench.benchmarks.records.results import COLUMNS, CsvFile, Evaluation
from lossbench.benchmarks.stats.intervals import mean_interval

LOSSES = ("cross-entropy", "sigmoid-mse", "zero-one")
RATE = {"sigmoid-mse": 0.5}


class Maker(Protocol):
    def __call__(
        self,
        directory: Path,
        losses: tuple[str, ...] = LOSSES,
        seeds: int = 3,
        *,
        epochs: int = 2,
        per_epoch: int = 40,
        classes: tuple[str, ...] = ("dog", "cat"),
        test_images: int = 40,
    ) -> Path: ...


def make_experiment(
    directory: Path,
    losses: tuple[str, ...] = LOSSES,
    seeds: int = 3,
    *,
    epochs: int = 2,
    per_epoch: int = 40,
    classes: tuple[str, ...] = ("dog", "cat"),
    test_images: int = 40,
) -> Path:
    """Write the experiment: experiment.json, results.csv, the summary, a directory a run."""
    directory.mkdir(parents=True)
    labels = np.arange(test_images) % len(classes)
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    about = {
        "name": directory.name,
        "command": "lossbench compare",
        "date": "2026-01-01T00:00:00+00:00",
        "synthetic": True,
        "config": {
            "losses": list(losses),
            "model": "convnet",
            "epochs": epochs,
            "batch_size": 64,
            "learning_rate": 0.1,
            "learning_rates": {loss: RATE.get(loss, 0.1) for loss in losses},
            "seeds": seeds,
            "start": "normal",
            "validation": 0.1,
            "tuned": False,
        },
        "data": {
            "name": "synthetic",
            "description": "arithmetic",
            "fingerprint": "f" * 64,
            "classes": list(classes),
            **dict.fromkeys(("train", "validation", "test"), test_images),
            **dict.fromkeys(("train_counts", "validation_counts", "test_counts"), counts),
            "skipped": [],
        },
        "model": {"name": "convnet", "parameters": 100},
    }
    (directory / "experiment.json").write_text(json.dumps(about))
    table = f"| loss | test accuracy |\n| --- | --- |\n| {losses[0]} | 74.1 ± 1.4 |"
    (directory / "summary.md").write_text(
        f"# made\n\n![chart](comparison.png)\n\n## Numbers\n\n{table}\n"
    )
    results = CsvFile(directory / "results.csv", COLUMNS)
    for seed in range(seeds):
        for number, loss in enumerate(losses):
            make_run(directory, loss, seed, number, results, epochs, per_epoch, labels)
    write_summary(directory, losses)
    return directory


def write_summary(directory: Path, losses: tuple[str, ...]) -> None:
    """summary.json, as far as TensorBoard's table needs it."""
    with (directory / "results.csv").open() as file:
        last = [row for row in csv.DictReader(file) if row["test_accuracy"] != "nan"]
    found = {}
    for loss in losses:
        accuracies = [float(row["test_accuracy"]) for row in last if row["loss"] == loss]
        interval = mean_interval(accuracies).as_dict()
        found[loss] = {
            "test_accuracy": interval,
            "minus_cross_entropy": None if loss == "cross-entropy" else {"mean": -0.01},
            "gradient": {"vanished_fraction": {"first": 0.0, "last": 0.5}},
        }
    (directory / "summary.json").write_text(json.dumps({"losses": found}))


def make_run(
    directory: Path,
    loss: str,
    seed: int,
    number: int,
    results: CsvFile,
    epochs: int,
    per_epoch: int,
    labels: np.ndarray,
) -> None:
    rng = np.random.default_rng(100 * number + seed)
    steps, classes = epochs * per_epoch, int(labels.max()) + 1
    learns = loss != "zero-one"
    accuracy = 0.5
    path = directory / loss / f"seed{seed}"
    path.mkdir(parents=True)
    with EventFile(path) as events:
        for step in range(0, steps + 1, max(1, per_epoch // 8)):
            done = step / steps
            push = learns * (0.5 - 0.2 * done) / (number + 1)
            accuracy = 0.5 + learns * (0.3 - 0.02 * number) * done**0.5 + rng.normal(0, 0.01)
            spread = torch.tensor(rng.normal(np.log10(max(push, FLOOR)), 0.2, 64))
            window = GradientStats(
                steps=1,
                examples=64,
                wrong=32,
                loss=0.7 - 0.3 * learns * done + rng.normal(0, 0.01),
                accuracy=accuracy,
                logit_mean_abs=push * rng.uniform(0.9, 1.1),
                logit_when_wrong=push * rng.uniform(1.3, 1.5) if step else float("nan"),
                vanished_fraction=float(not learns),
                parameter_norm=2 * push * rng.uniform(0.9, 1.1),
                layers={"head.weight": push, "head.bias": push / 2},
                logit_log10=spread,
            )
            last = step == steps
            events.training(min(step, steps - 1), window)
            if step % (per_epoch // 4) and not last:
                continue
            events.evaluation(step, 1 - accuracy, accuracy)
            test = (1.1 - accuracy, accuracy - 0.01) if last else (float("nan"), float("nan"))
            events.test(step, *test)
            results.add(
                Evaluation(
                    loss=loss,
                    seed=seed,
                    epoch=step / per_epoch,
                    step=step,
                    train_loss=window.loss,
                    train_accuracy=window.accuracy,
                    validation_loss=1 - accuracy,
                    validation_accuracy=accuracy,
                    test_loss=test[0],
                    test_accuracy=test[1],
                    logit_mean_abs=window.logit_mean_abs,
                    logit_when_wrong=window.logit_when_wrong,
                    vanished_fraction=window.vanished_fraction,
                    parameter_norm=window.parameter_norm,
                    seconds=float(step),
                    images_per_second=64.0 if step else float("nan"),
                    images="SYNTHETIC",
                )
            )
    outputs = rng.normal(0, 1, (len(labels), classes)) + 1.5 * np.eye(classes)[labels]
    odds = np.exp(outputs)
    probabilities = (odds / odds.sum(1, keepdims=True)).astype(np.float32)
    np.savez_compressed(
        path / "predictions.npz",
        outputs=outputs.astype(np.float32),
        probabilities=probabilities,
        predicted=probabilities.argmax(1),
        labels=labels.astype(np.int64),
    )


@pytest.fixture(name="make_experiment")
def make_experiment_fixture() -> Maker:
    """Writes an experiment of three losses and three seeds, or as asked."""
    return make_experiment
