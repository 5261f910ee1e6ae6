"""The learning rate that suits a trial: tried on validation images, the same rates for all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from .executors.pool import Pool
from .result import RunConfig, RunResult

FIRST_SEARCH_SEED = 1000
"""Where the seeds of a search begin: a comparison has no such seed."""


def search(
    pool: Pool, trials: Sequence[RunConfig], rates: Sequence[float], seeds: int
) -> list[list[RunResult]]:
    """The outcomes of each trial with every rate and `seeds` seeds, by rate and seed. None of them
    has been asked about test images; the trials' own rate and seed do not count."""
    grids = [
        [
            replace(trial, learning_rate=rate, seed=FIRST_SEARCH_SEED + k, test=False, pairs=False)
            for rate in rates
            for k in range(seeds)
        ]
        for trial in trials
    ]
    found = dict(
        zip(
            flat := [trial for grid in grids for trial in grid],
            pool.train(flat, "trying learning rates"),
            strict=True,
        )
    )
    return [[found[trial] for trial in grid] for grid in grids]


def accuracy_by_rate(outcomes: Sequence[RunResult]) -> dict[float, float]:
    """The mean validation accuracy of each learning rate. A trial that diverged counts as 0.

    Raises ValueError for an outcome without validation images.
    """
    accuracies: dict[float, list[float]] = {}
    for outcome in outcomes:
        if outcome.validation is None:
            raise ValueError("a learning rate is chosen on validation images, and there are none")
        accuracy = outcome.validation.accuracy
        value = 0.0 if math.isnan(accuracy) else accuracy
        accuracies.setdefault(outcome.trial.learning_rate, []).append(value)
    return {rate: statistics.fmean(values) for rate, values in accuracies.items()}


def best_rate(outcomes: Sequence[RunResult]) -> float:
    """The learning rate with the highest mean validation accuracy, of equals the lowest."""
    means = accuracy_by_rate(outcomes)
    return max(sorted(means), key=means.__getitem__)
