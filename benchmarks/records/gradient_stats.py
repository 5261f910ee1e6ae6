"""Gradient statistics of some consecutive training steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FLOOR = 1e-12
"""Lower bound of a gradient before its log10, since zero has none."""


@dataclass(frozen=True)
class GradientStats:
    """Means over consecutive steps and their examples; NaN if there is nothing to average.

    Attributes:
        steps, examples: number of steps and of examples.
        wrong: number of misclassified examples.
        loss, accuracy: of the training batches, before their step.
        logit_mean_abs: mean |dL/dz|.
        logit_when_wrong: mean |dL/dz| over misclassified examples.
        vanished_fraction: fraction of the misclassified examples with |dL/dz| below 1e-6.
        parameter_norm: mean Euclidean norm of the gradient over all parameters.
        layers: mean norm of each parameter's gradient, by parameter name.
        logit_log10: log10 |dL/dz| of every example, at least log10 of `FLOOR`.
    """

    steps: int
    examples: int
    wrong: int
    loss: float
    accuracy: float
    logit_mean_abs: float
    logit_when_wrong: float
    vanished_fraction: float
    parameter_norm: float
    layers: dict[str, float]
    logit_log10: Tensor


def merge_stats(intervals: Sequence[GradientStats]) -> GradientStats:
    """Combine the statistics of consecutive intervals. Raises ValueError for an empty sequence."""

    def mean(values: Iterable[float], weights: Iterable[int]) -> float:
        pairs = [(value, weight) for value, weight in zip(values, weights, strict=True) if weight]
        total = sum(weight for _, weight in pairs)
        return sum(value * weight for value, weight in pairs) / total if total else math.nan

    if not intervals:
        raise ValueError("there are no statistics to merge")
    steps, examples, wrong = (
        [getattr(w, n) for w in intervals] for n in ("steps", "examples", "wrong")
    )
    return GradientStats(
        steps=sum(steps),
        examples=sum(examples),
        wrong=sum(wrong),
        loss=mean((w.loss for w in intervals), steps),
        accuracy=mean((w.accuracy for w in intervals), examples),
        logit_mean_abs=mean((w.logit_mean_abs for w in intervals), examples),
        logit_when_wrong=mean((w.logit_when_wrong for w in intervals), wrong),
        vanished_fraction=mean((w.vanished_fraction for w in intervals), wrong),
        parameter_norm=mean((w.parameter_norm for w in intervals), steps),
        layers={n: mean((w.layers[n] for w in intervals), steps) for n in intervals[0].layers},
        logit_log10=torch.cat([w.logit_log10 for w in intervals]),
    )
