"""Losses that are a function of the probability of the right class, and the count of errors."""

from torch import Tensor

from .. import checks
from ..arguments import elementwise, rows
from ..forms import binary, right_class


def zero_one(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Count of wrong predictions, class 1 being predicted where the logit is positive.

    L = [z > 0] (1 - t) + [z <= 0] t, dL/dz = 0: nothing for a model to follow.

    Args: as `probability_sum`. 'mean' gives the error rate, 'sum' the count. A NaN logit gives NaN.
    """
    return elementwise(binary.zero_one, "zero_one", input, target, weight, reduction)


def probability_sum(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """1 minus the probability that a sigmoid gives to the right class.

    L = 1 - [t f + (1 - t) (1 - f)] with f = sigma(z), in [0, 1];
    dL/dz = (1 - 2 t) f (1 - f), which dies where the model is certain, right or wrong;
    d2L/dz2 = (1 - 2 t) f (1 - f) (1 - 2 f).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises: as `binary_cross_entropy_with_logits`.
    Source: the sum of probabilities of maximum-probability training; for hard targets half the
        mean absolute error of (f, 1 - f), Ghosh et al. 2017, arXiv 1712.09482.
    """
    return elementwise(
        right_class.probability_sum, "probability_sum", input, target, weight, reduction
    )


def softmax_focal_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss of a softmax: cross-entropy in which easy examples count less.

    L = sum_c t_c (1 - p_c)^gamma (-ln p_c), at least 0; for a class index y, with s = -ln p_y and
    q = 1 - p_y, dL/dz = q^gamma (1 + gamma p_y s / q) (p - e_y), finite for every gamma and logit;
    d2L/ds2 = gamma q^(gamma - 1) p_y [2 + (gamma - 1) p_y s / q - s], and with it the Hessian.

    Args:
        gamma: how much less, at least 0; 0 gives cross-entropy.
        The others as `softmax_mse`.
    Raises: as `softmax_mse`, and ValueError for a gamma out of range.
    Source: Lin et al. 2017, arXiv 1708.02002, whose focal loss is of one logit and called
        straightforward to extend to many classes.
    """
    name = "softmax_focal_loss"
    checks.setting(name, "gamma", gamma, least=0.0)
    loss = right_class.softmax_focal
    return rows(loss, name, input, target, weight, ignore_index, reduction, gamma)
