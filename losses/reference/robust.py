"""References of `losses.functional.robust`."""

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from .shared import classes, one_hot, reduce


def generalized_cross_entropy(
    input: Tensor, target: Tensor, reduction: str = "mean", *, q: float = 0.7
) -> Tensor:
    p = torch.softmax(input, classes(input))
    return reduce((one_hot(input, target) * (1 - p**q) / q).sum(classes(input)), reduction)


def sigmoid_generalized_cross_entropy(
    input: Tensor, target: Tensor, reduction: str = "mean", *, q: float = 0.7
) -> Tensor:
    p = torch.sigmoid(input)
    return reduce((target * (1 - p**q) + (1 - target) * (1 - (1 - p) ** q)) / q, reduction)


def symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
) -> Tensor:
    dim = classes(input)
    t, log_p = one_hot(input, target), torch.log_softmax(input, dim)
    log_t = torch.log(t.clamp_min(math.exp(log_zero)))
    return reduce(-(alpha * t * log_p + beta * log_p.exp() * log_t).sum(dim), reduction)


def sigmoid_symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
) -> Tensor:
    p, least = torch.sigmoid(input), math.exp(log_zero)
    log_one, log_zero_class = (
        torch.log(target.clamp_min(least)),
        torch.log((1 - target).clamp_min(least)),
    )
    cross_entropy = binary_cross_entropy_with_logits(input, target, reduction="none")
    each = alpha * cross_entropy - beta * (p * log_one + (1 - p) * log_zero_class)
    return reduce(each, reduction)


# The paper's fixed point needs 20 steps for a float64 with ten classes and t2 = 1.2.
STEPS = 30


def bi_tempered_logistic(
    input: Tensor, target: Tensor, reduction: str = "mean", *, t1: float = 0.8, t2: float = 1.2
) -> Tensor:
    dim = classes(input)
    t, p = one_hot(input, target), _tempered_softmax(input, t2, dim)
    each = t * (_log(t, t1) - _log(p, t1)) - (t ** (2 - t1) - p ** (2 - t1)) / (2 - t1)
    return reduce(each.sum(dim), reduction)


def sigmoid_bi_tempered_logistic(
    input: Tensor, target: Tensor, reduction: str = "mean", *, t1: float = 0.8, t2: float = 1.2
) -> Tensor:
    rows = torch.stack([torch.zeros_like(input), input], -1).reshape(-1, 2)
    targets = torch.stack([1 - target, target], -1).reshape(-1, 2)
    each = bi_tempered_logistic(rows, targets, "none", t1=t1, t2=t2)
    return reduce(each.reshape(input.shape), reduction)


def _log(x: Tensor, t: float) -> Tensor:
    return torch.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def _tempered_softmax(z: Tensor, t: float, dim: int) -> Tensor:
    if t == 1:
        return torch.softmax(z, dim)
    below = z - z.amax(dim, keepdim=True)
    total = torch.ones_like(below).sum(dim, keepdim=True)
    for _ in range(STEPS):
        scaled = total ** (1 - t) * below
        total = ((1 + (1 - t) * scaled) ** (1 / (1 - t))).sum(dim, keepdim=True)
    # lambda = max(z) - log_t(1 / total).
    return (1 + (1 - t) * (below + _log(1 / total, t))) ** (1 / (1 - t))
