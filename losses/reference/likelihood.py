"""References of `losses.functional.likelihood`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shared import classes, one_hot, reduce


def bce(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.binary_cross_entropy(input, target, reduction=reduction)


def bce_with_logits(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.binary_cross_entropy_with_logits(input, target, reduction=reduction)


def nll(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.nll_loss(input, target, reduction=reduction)


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    # Reduced apart, because torch warns of its 'mean'.
    return reduce(F.kl_div(input, target, reduction="none"), reduction)


def bernoulli_sum(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    p, t = torch.softmax(input, classes(input)), one_hot(input, target)
    each = -(torch.xlogy(t, p) + torch.special.xlog1py(1 - t, -p))
    return reduce(each.sum(classes(input)), reduction)
