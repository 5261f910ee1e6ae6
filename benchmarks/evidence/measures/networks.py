"""Train the networks of a claim and read their accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossbench.benchmarks.config import RunConfig
    from lossbench.benchmarks.evidence.claim import Trainer
    from lossbench.benchmarks.training.result import RunResult


def tuned(trainer: Trainer, configs: Sequence[RunConfig], **less: Any) -> list[RunConfig]:
    """Return each run with the learning rate of a search, in which the fields `less` are replaced.

    A search may use fewer images or epochs.
    """
    found = trainer.tuned([replace(config, **less) for config in configs])
    return [
        replace(config, learning_rate=best.learning_rate)
        for config, best in zip(configs, found, strict=True)
    ]


def over_seeds(trainer: Trainer, configs: Sequence[RunConfig], seeds: int) -> list[list[RunResult]]:
    """Return the results of each run with the seeds 0 to seeds - 1, evaluated on the test
    images."""
    outcomes = trainer.train(
        [replace(config, seed=seed, test=True) for config in configs for seed in range(seeds)]
    )
    return [outcomes[at : at + seeds] for at in range(0, len(outcomes), seeds)]


def right(outcomes: Sequence[RunResult]) -> NDArray[np.bool_]:
    """Return whether each network classified each test image correctly, (results, N)."""
    return np.stack([result.test.correct for result in outcomes if result.test is not None])


def accuracies(outcomes: Sequence[RunResult]) -> list[float]:
    """Return the test accuracy of each network in percent.

    A diverged one still predicts a class.
    """
    return [100 * float(share) for share in right(outcomes).mean(1)]


def chance_of(outcomes: Sequence[RunResult]) -> float:
    """Return the accuracy, in percent, of always predicting the most frequent class of the test
    images."""
    labels = next(result.test.labels for result in outcomes if result.test is not None)
    return 100 * float(np.bincount(labels).max() / len(labels))
