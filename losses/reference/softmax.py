"""References of `losses.functional.softmax`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shared import classes, reduce


def cross_entropy(
    input: Tensor, target: Tensor, reduction: str = "mean", *, label_smoothing: float = 0.0
) -> Tensor:
    return F.cross_entropy(input, target, reduction=reduction, label_smoothing=label_smoothing)


def z_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", *, z_loss: float = 1e-4
) -> Tensor:
    size = torch.logsumexp(input, classes(input))
    if target.shape == input.shape:
        size = size * target.sum(classes(input)).sqrt()
    return F.cross_entropy(input, target, reduction=reduction) + reduce(
        z_loss * size.square(), reduction
    )


def soft_capped(
    input: Tensor, target: Tensor, reduction: str = "mean", *, softcap: float = 30.0
) -> Tensor:
    return F.cross_entropy(softcap * torch.tanh(input / softcap), target, reduction=reduction)
