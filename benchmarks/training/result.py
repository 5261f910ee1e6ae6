"""The result of a run: its evaluations and predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.results import Evaluation

from .curvature import Curvature


@dataclass(frozen=True)
class Predictions:
    """Predictions for the images of a split, in its order.

    Attributes:
        outputs: outputs of the last layer, float32 (N, num_outputs).
        probabilities: probabilities as the loss defines them, float32 (N, classes); rows sum to 1.
        predicted: predicted classes, int64 (N,).
        labels: true classes, int64 (N,).
    """

    outputs: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Correctness of each prediction, bool (N,)."""
        correct: NDArray[np.bool_] = self.predicted == self.labels
        return correct

    @property
    def accuracy(self) -> float:
        """Fraction of correct predictions; NaN if the network has diverged."""
        return float(self.correct.mean()) if np.isfinite(self.outputs).all() else float("nan")


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        config: the run.
        evaluations: by rising step, the start first and the end last.
        parameter_distance: Euclidean distance of all parameters from their initial values.
        parameters: number of parameters of the model.
        counts: training images per class, by true label.
        validation, test: predictions of the trained network, or None.
        examples: some training examples of every logging interval, float32 (M, 4): step, logit z,
            target t (0 or 1), and dL/dz of that example's loss. Two classes only; None unless asked
            for.
        seconds: training time, without evaluations and the turns of runs side by side.
        test_loss: mean loss over the test images, or NaN.
        curvature: of the training loss at the start; None unless asked for.
    """

    config: RunConfig
    evaluations: tuple[Evaluation, ...]
    parameter_distance: float
    parameters: int
    counts: tuple[int, ...]
    validation: Predictions | None
    test: Predictions | None
    examples: NDArray[np.float32] | None
    seconds: float
    test_loss: float = math.nan
    curvature: Curvature | None = None
