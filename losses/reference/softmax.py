"""References of `losses.functional.softmax`."""

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    return F.cross_entropy(input, target, reduction=reduction)
