"""Each loss as one writes it with torch today: the truth of the tests, the yardstick of the
benchmarks. Where torch.nn.functional has the loss it is that function, elsewhere the plain
formula with torch's autograd. All take (input, target, reduction).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def reduce(loss: Tensor, reduction: str) -> Tensor:
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def zero_one(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    # The product with 0 keeps it in the graph, with the gradient of zero that the step has.
    wrong = target + (input > 0) * (1 - 2 * target)
    return reduce(wrong + 0 * input, reduction)


def probability_sum(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    f = torch.sigmoid(input)
    return reduce(1 - (target * f + (1 - target) * (1 - f)), reduction)


def sigmoid_mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.mse_loss(torch.sigmoid(input), target, reduction=reduction) / 2


def bce(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.binary_cross_entropy(input, target, reduction=reduction)


def bce_with_logits(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.binary_cross_entropy_with_logits(input, target, reduction=reduction)


def mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.mse_loss(input, target, reduction=reduction)


def cross_entropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.cross_entropy(input, target, reduction=reduction)


def nll(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.nll_loss(input, target, reduction=reduction)


def one_hot(input: Tensor, target: Tensor) -> Tensor:
    """A row of target weights for every row of logits, the classes in dimension 1 (0 if alone)."""
    if target.shape == input.shape:
        return target
    rows = F.one_hot(target, input.shape[min(1, input.dim() - 1)]).to(input.dtype)
    return rows.movedim(-1, min(1, input.dim() - 1))


def softmax_mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    classes = min(1, input.dim() - 1)
    error = torch.softmax(input, classes) - one_hot(input, target)
    return reduce(error.square().sum(classes), reduction)


def bernoulli_sum(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    classes = min(1, input.dim() - 1)
    p, t = torch.softmax(input, classes), one_hot(input, target)
    each = -(torch.xlogy(t, p) + torch.special.xlog1py(1 - t, -p))
    return reduce(each.sum(classes), reduction)
