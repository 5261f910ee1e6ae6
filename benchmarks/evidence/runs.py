"""Results of a claim's runs: accuracies, and their differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.stats.crossed import crossed_mean
from lossbench.benchmarks.training.result import Predictions, RunResult

from .design import Quantity

Runs = Sequence[RunResult]


def tested(runs: Runs) -> list[Predictions]:
    """Return the predictions for the test images."""
    return [run.test for run in runs if run.test is not None]


def is_finite(predictions: Predictions) -> bool:
    """Tell whether a network has not diverged."""
    return bool(np.isfinite(predictions.outputs).all())


def hits(predictions: Predictions) -> NDArray[np.bool_]:
    """Return whether each image is classified correctly, bool (N,).

    A network that has diverged predicts class 0 for every image: it is at chance.
    """
    return predictions.correct if is_finite(predictions) else predictions.labels == 0


def margins(predictions: Predictions) -> NDArray[np.float64]:
    """Return the logit z of class 1 of two for each image, (N,)."""
    outputs = predictions.outputs.astype(np.float64)
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]


def correct(runs: Runs) -> NDArray[np.bool_]:
    """Return whether each network classified each test image correctly, (runs, N)."""
    return np.stack([hits(predictions) for predictions in tested(runs)])


def accuracies(runs: Runs) -> list[float]:
    """Return the test accuracy of each network in percent."""
    return [100 * float(share) for share in correct(runs).mean(1)]


def accuracy_difference(runs: Runs, reference: Runs) -> Quantity:
    """Return the test accuracy of some runs minus that of others with the same seeds, in points."""
    return image_quantity(100.0 * correct(runs) - 100.0 * correct(reference))


def image_quantity(values: NDArray[np.float64]) -> Quantity:
    """Return the quantity of which each network has a value for each test image, (runs, N)."""
    crossed = crossed_mean(values)
    share = math.sqrt(crossed.image_share or 0.0)
    return Quantity(tuple(map(float, values.mean(1))), share * (crossed.error or 0.0))


def validation_accuracy(run: RunResult) -> float:
    """Return the validation accuracy in percent. A network that has diverged is at chance."""
    assert run.validation is not None
    return 100 * float(hits(run.validation).mean())


def chance_level(predictions: Predictions | None) -> float:
    """Return the accuracy, in percent, of always predicting the most frequent class."""
    assert predictions is not None
    labels = predictions.labels
    return 100 * float(np.bincount(labels).max() / len(labels))
