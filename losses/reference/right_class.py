"""References of `losses.functional.right_class`."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

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


def multiclass_zero_one(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    dim = classes(input)
    right = one_hot(input, target).gather(dim, input.argmax(dim, keepdim=True)).squeeze(dim)
    return reduce(one_hot(input, target).sum(dim) - right + 0 * input.sum(dim), reduction)


def softmax_probability_sum(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    each = one_hot(input, target) * (1 - torch.softmax(input, classes(input)))
    return reduce(each.sum(classes(input)), reduction)


def sigmoid_focal(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> Tensor:
    # torchvision.ops.sigmoid_focal_loss, line by line; this library wants torch alone.
    p = torch.sigmoid(input)
    each = binary_cross_entropy_with_logits(input, target, reduction="none")
    each = each * (1 - (p * target + (1 - p) * (1 - target))) ** gamma
    if alpha >= 0:
        each = (alpha * target + (1 - alpha) * (1 - target)) * each
    return reduce(each, reduction)


def asymmetric(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 4.0,
    clip: float = 0.05,
) -> Tensor:
    p = torch.sigmoid(input)
    shifted = torch.relu(p - clip)
    positive = -((1 - p) ** gamma_pos) * torch.log(p)
    negative = -(shifted**gamma_neg) * torch.log1p(-shifted)
    return reduce(target * positive + (1 - target) * negative, reduction)


def poly1(
    input: Tensor, target: Tensor, reduction: str = "mean", *, epsilon: float = 1.0
) -> Tensor:
    log_p = torch.log_softmax(input, classes(input))
    each = one_hot(input, target) * (epsilon * (1 - log_p.exp()) - log_p)
    return reduce(each.sum(classes(input)), reduction)


def sigmoid_poly1(
    input: Tensor, target: Tensor, reduction: str = "mean", *, epsilon: float = 1.0
) -> Tensor:
    p = torch.sigmoid(input)
    wrong = 1 - (p * target + (1 - p) * (1 - target))
    cross_entropy = binary_cross_entropy_with_logits(input, target, reduction="none")
    return reduce(cross_entropy + epsilon * wrong, reduction)


def squared_log(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    dim = classes(input)
    each = (one_hot(input, target) * torch.log_softmax(input, dim)) ** 2
    return reduce(each.sum(dim), reduction)


def sigmoid_squared_log(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    one, zero = target * logsigmoid(input), (1 - target) * logsigmoid(-input)
    return reduce(one**2 + zero**2, reduction)
