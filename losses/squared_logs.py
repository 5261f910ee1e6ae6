"""The squared log-probability of the right class.

phi, s, p and q are those of `right_class.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import elementwise, rows
from .base import RowLoss, Weighted
from .entries import Entry
from .numerics import times
from .overrides import is_overridden, overridden
from .right_class import RightClass, of_one_logit, of_rows

# --- squared log: phi = s^2, and t^2 in the place of t -------------------------------------------

_squared_log = RightClass(
    lambda s, _p, _q: s.square(),
    lambda s, _p, _q: 2 * s,
    lambda s, _p, _q: torch.full_like(s, 2.0),
)


def _twice(t: Tensor, x: Tensor) -> Tensor:
    """Return t^2 x, whose derivative by t is 0 at t = 0, for an infinite x too."""
    return times(t, times(t, x))


squared_log_formula = of_one_logit("squared_log", _squared_log, _twice)
softmax_squared_log_formula = of_rows("softmax_squared_log", _squared_log, weighed=_twice)


def squared_log(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Squared logarithm of the probability that a softmax gives to the right class.

    L = sum_c (t_c ln p_c)^2, at least 0; for a class index y dL/dz = -2 ln p_y (p - e_y): outliers
    weigh more than in cross-entropy, and easy examples less.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, table 1; from memory, with the sign that
        makes it a loss.
    """
    if is_overridden(input, target, weight):
        return overridden(squared_log, locals())
    loss = softmax_squared_log_formula
    return rows(loss, "squared_log", input, target, weight, ignore_index, reduction)


class SquaredLogLoss(RowLoss):
    """Squared logarithm of the probability of the right class, (ln p_y)^2.

    See `losses.functional.squared_log`.
    """

    function = staticmethod(squared_log)


def squared_log_textbook(z: Tensor, t: Tensor) -> Tensor:
    return ((t * torch.log_softmax(z, -1)) ** 2).sum(-1)


# --- sigmoid-squared-log: the same of one logit --------------------------------------------------


def sigmoid_squared_log(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Squared logarithm of the probability that a sigmoid gives to the right class.

    L = (t ln f)^2 + ((1 - t) ln(1 - f))^2, at least 0, with f = sigma(z);
    dL/dz = 2 t^2 (1 - f) ln f - 2 (1 - t)^2 f ln(1 - f).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `squared_log`, for two classes.
    """
    if is_overridden(input, target, weight):
        return overridden(sigmoid_squared_log, locals())
    loss = squared_log_formula
    return elementwise(loss, "sigmoid_squared_log", input, target, weight, reduction)


class SigmoidSquaredLogLoss(Weighted):
    """Squared logarithm of a sigmoid's probability of the right class.

    See `losses.functional.sigmoid_squared_log`.
    """

    function = staticmethod(sigmoid_squared_log)


def sigmoid_squared_log_textbook(z: Tensor, t: Tensor) -> Tensor:
    return (t * F.logsigmoid(z)) ** 2 + ((1 - t) * F.logsigmoid(-z)) ** 2


ENTRIES = (
    Entry(
        "squared-log",
        SquaredLogLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        squared_log_textbook,
        "squared log-probability of the right class",
        formula="Σ_c (t_c ln p_c)²",
        gradient="-2 ln p_y (p - e_y)",
        range="[0, ∞)",
        use="where outliers should weigh more than in cross-entropy",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
    Entry(
        "sigmoid-squared-log",
        SigmoidSquaredLogLoss,
        "binary",
        "logits",
        ("probability",),
        sigmoid_squared_log_textbook,
        "squared log-probability of a sigmoid",
        formula="(t ln f)² + ((1 - t) ln(1 - f))², f = σ(z)",
        gradient="2t² (1 - f) ln f - 2 (1 - t)² f ln(1 - f)",
        range="[0, ∞)",
        use="where outliers should weigh more than in cross-entropy",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
)
