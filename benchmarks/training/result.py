"""The result of a run: its evaluations and predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import RunConfig as RunConfig


@dataclass(frozen=True)
class Predictions:
    """What a network said of a split, in the split's order.

    Attributes:
        outputs: float32 (N, columns), what the last layer gave.
        probabilities: float32 (N, classes), as the loss reads the outputs; rows sum to 1.
        predicted, labels: int64 (N,), classes.
    """

    outputs: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which are right, (N,)."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right

    @property
    def accuracy(self) -> float:
        """The share of right ones, NaN of a network that has diverged."""
        return float(self.right.mean()) if np.isfinite(self.outputs).all() else float("nan")


@dataclass(frozen=True)
class Point:
    """An evaluation after `step` steps. The training figures are means over the steps since the
    point before, in the first those of the step that follows it; what was not measured is NaN."""

    step: int
    epoch: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    logit_mean_abs: float
    logit_when_wrong: float
    vanished_fraction: float
    parameter_norm: float
    seconds: float = math.nan
    """Of training so far, evaluations and the turns of others excluded."""


@dataclass(frozen=True)
class RunResult:
    """What came of a trial.

    Attributes:
        trial: that which was trained.
        points: by rising step, the start first and the end last.
        moved: Euclidean distance of all parameters from where they began.
        parameters: how many the model has, with the head of this loss.
        counts: images of each class that were trained on, by their true label.
        validation, test: what the trained network says of them, None where there is none.
        test_loss: the mean of the loss over the test images, NaN where it was not asked.
        pairs: float32 (M, 4), a row for each of some training examples of every logging window:
            step, margin z (the logit of class 1, for two outputs z1 - z0), target t (0 or 1),
            dL/dz of that example's loss. Two classes only; None unless asked for.
        seconds: of training, evaluations excluded, and the turns of runs side by side.
    """

    trial: RunConfig
    points: tuple[Point, ...]
    moved: float
    parameters: int
    counts: tuple[int, ...]
    validation: Predictions | None
    test: Predictions | None
    pairs: NDArray[np.float32] | None
    seconds: float
    test_loss: float = math.nan
