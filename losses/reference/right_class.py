"""References of `losses.functional.right_class`."""

import torch
from torch import Tensor

from .shared import classes, one_hot, reduce


def zero_one(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    # The product with 0 keeps it in the graph, with the gradient of zero that the step has.
    wrong = target + (input > 0) * (1 - 2 * target)
    return reduce(wrong + 0 * input, reduction)


def probability_sum(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    f = torch.sigmoid(input)
    return reduce(1 - (target * f + (1 - target) * (1 - f)), reduction)


def softmax_focal(
    input: Tensor, target: Tensor, reduction: str = "mean", *, gamma: float = 2.0
) -> Tensor:
    log_p = torch.log_softmax(input, classes(input))
    each = -one_hot(input, target) * (1 - log_p.exp()) ** gamma * log_p
    return reduce(each.sum(classes(input)), reduction)
