"""References of `losses.functional.distance`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shared import classes, one_hot, reduce


def mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.mse_loss(input, target, reduction=reduction)


def sigmoid_mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.mse_loss(torch.sigmoid(input), target, reduction=reduction) / 2


def softmax_mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return reduce(softmax_error(input, target).square().sum(classes(input)), reduction)


def softmax_error(input: Tensor, target: Tensor) -> Tensor:
    return torch.softmax(input, classes(input)) - one_hot(input, target)


def l1(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.l1_loss(input, target, reduction=reduction)


def one_vs_rest_l1(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    each = (input - one_hot(input, target)).abs()
    return reduce(each.sum(classes(input)), reduction)


def rescaled_square(
    input: Tensor, target: Tensor, reduction: str = "mean", *, k: float = 1.0, m: float = 1.0
) -> Tensor:
    t = one_hot(input, target)
    each = (1 + (k - 1) * t) * (input - m * t).square()
    return reduce(each.mean(classes(input)), reduction)


def squentropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    t, count = one_hot(input, target), input.shape[classes(input)]
    squares = ((1 - t) * input.square()).sum(classes(input)) / (count - 1)
    cross_entropy = -(t * torch.log_softmax(input, classes(input))).sum(classes(input))
    return reduce(cross_entropy + squares, reduction)


def expectation(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return reduce(softmax_error(input, target).abs().sum(classes(input)), reduction)


def chebyshev(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return reduce(softmax_error(input, target).abs().amax(classes(input)), reduction)


def tanimoto(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    p, t = torch.softmax(input, classes(input)), one_hot(input, target)
    both = (p * t).sum(classes(input))
    each = -both / (p.square().sum(classes(input)) + t.square().sum(classes(input)) - both)
    return reduce(each, reduction)


def cauchy_schwarz(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    p, t = torch.softmax(input, classes(input)), one_hot(input, target)
    # Targets that are all 0 have no direction: they are given p's, which is a loss of 0.
    t = torch.where((t == 0).all(classes(input), keepdim=True), p, t)
    cosine = torch.cosine_similarity(p, t, classes(input))
    return reduce(-cosine.log(), reduction)
