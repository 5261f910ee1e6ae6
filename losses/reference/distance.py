"""References of `losses.functional.distance`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shared import one_hot, reduce


def mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.mse_loss(input, target, reduction=reduction)


def sigmoid_mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.mse_loss(torch.sigmoid(input), target, reduction=reduction) / 2


def softmax_mse(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    classes = min(1, input.dim() - 1)
    error = torch.softmax(input, classes) - one_hot(input, target)
    return reduce(error.square().sum(classes), reduction)
