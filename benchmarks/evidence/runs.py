"""The runs of a claim: train them per cell and seed, search learning rates, read accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.stats.contrasts import Contrast, contrast
from lossbench.benchmarks.training.rate_search import accuracy_by_rate
from lossbench.benchmarks.training.result import Predictions, RunResult

from .claim import ClaimTrainer

Cell = TypeVar("Cell")
Runs = Sequence[RunResult]


def train_cells(
    trainer: ClaimTrainer, cells: Mapping[Cell, Sequence[RunConfig]]
) -> dict[Cell, list[RunResult]]:
    """Train the runs of all cells in one go; return their results per cell."""
    results = iter(trainer.train([config for configs in cells.values() for config in configs]))
    return {cell: [next(results) for _ in configs] for cell, configs in cells.items()}


def train_seeds(
    trainer: ClaimTrainer, configs: Mapping[Cell, RunConfig], seeds: int
) -> dict[Cell, list[RunResult]]:
    """Train each cell with the seeds 0 to seeds - 1 and evaluate it on the test images."""
    return train_cells(
        trainer,
        {
            cell: [replace(config, seed=seed, test=True) for seed in range(seeds)]
            for cell, config in configs.items()
        },
    )


def search_rates(
    trainer: ClaimTrainer, configs: Mapping[Cell, RunConfig], **smaller: Any
) -> dict[Cell, dict[float, float]]:
    """Search learning rates; return the mean validation accuracy by cell and ascending rate.

    Args:
        trainer: trains the search.
        configs: the runs by cell.
        smaller: fields of `RunConfig` that the search replaces, to use fewer images or epochs.
    """
    searches = trainer.search([replace(config, **smaller) for config in configs.values()])
    return {
        cell: dict(sorted(accuracy_by_rate(results).items()))
        for cell, results in zip(configs, searches, strict=True)
    }


def with_best_rates(
    configs: Mapping[Cell, RunConfig], searched: Mapping[Cell, Mapping[float, float]]
) -> dict[Cell, RunConfig]:
    """Return each run with the most accurate learning rate of its search; of ties the lowest."""
    return {
        cell: replace(config, learning_rate=max(searched[cell], key=searched[cell].__getitem__))
        for cell, config in configs.items()
    }


def tune(
    trainer: ClaimTrainer, configs: Mapping[Cell, RunConfig], **smaller: Any
) -> dict[Cell, RunConfig]:
    """Search learning rates and return each run with the best one: see `search_rates`."""
    return with_best_rates(configs, search_rates(trainer, configs, **smaller))


def tested(runs: Runs) -> list[Predictions]:
    """Return the predictions for the test images."""
    return [run.test for run in runs if run.test is not None]


def correct(runs: Runs) -> NDArray[np.bool_]:
    """Return whether each network classified each test image correctly, (runs, N)."""
    return np.stack([predictions.correct for predictions in tested(runs)])


def accuracies(runs: Runs) -> list[float]:
    """Return the test accuracy of each network in percent. A diverged one still predicts."""
    return [100 * float(share) for share in correct(runs).mean(1)]


def accuracy_contrast(runs: Runs, reference: Runs, level: float = 0.95) -> Contrast:
    """Return the test accuracy of some runs minus that of others with the same seeds, in points."""
    hits = correct(runs), correct(reference)
    return contrast(accuracies(runs), accuracies(reference), hits, level)


def validation_accuracy(run: RunResult) -> float:
    """Return the validation accuracy in percent. A diverged network still predicts."""
    assert run.validation is not None
    return 100 * float(run.validation.correct.mean())


def chance_level(predictions: Predictions | None) -> float:
    """Return the accuracy, in percent, of always predicting the most frequent class."""
    assert predictions is not None
    labels = predictions.labels
    return 100 * float(np.bincount(labels).max() / len(labels))
