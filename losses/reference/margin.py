"""References of `losses.functional.margin`.

`multi_margin` and `multilabel_margin` are plain formulas, because torch's have no second
derivative; the tests compare them with torch's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shared import classes, one_hot, reduce


def hinge(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    margin: float = 1.0,
    power: int = 1,
) -> Tensor:
    right, wrong = torch.relu(margin - input) ** power, torch.relu(margin + input) ** power
    return reduce(target * right + (1 - target) * wrong, reduction)


def one_vs_rest_hinge(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    *,
    margin: float = 0.5,
    power: int = 1,
) -> Tensor:
    each = hinge(input, one_hot(input, target), "none", margin=margin, power=power)
    return reduce(each.sum(classes(input)), reduction)


def multi_margin(
    input: Tensor, target: Tensor, reduction: str = "mean", *, p: int = 1, margin: float = 1.0
) -> Tensor:
    y = target.long().unsqueeze(-1)
    each = torch.relu(margin - input.gather(-1, y) + input) ** p
    return reduce(each.scatter(-1, y, 0.0).sum(-1) / input.shape[-1], reduction)


def multilabel_margin(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    read = (target == -1).cumsum(-1) == 0
    lists = F.one_hot(target.long().clamp_min(0), input.shape[-1]) * read.unsqueeze(-1)
    count = lists.sum(-2)
    each = torch.relu(1 - input.unsqueeze(-1) + input.unsqueeze(-2))
    pairs = count.unsqueeze(-1) * (count == 0).unsqueeze(-2)
    return reduce((pairs * each).sum((-2, -1)) / input.shape[-1], reduction)


def hinge_embedding(
    input: Tensor, target: Tensor, reduction: str = "mean", *, margin: float = 1.0
) -> Tensor:
    return F.hinge_embedding_loss(input, target, margin=margin, reduction=reduction)


def soft_margin(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.soft_margin_loss(input, target, reduction=reduction)


def multilabel_soft_margin(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.multilabel_soft_margin_loss(input, target, reduction=reduction)
