"""Helpers of the references."""

import torch.nn.functional as F
from torch import Tensor


def reduce(loss: Tensor, reduction: str) -> Tensor:
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def classes(input: Tensor) -> int:
    """Return the class dimension: 1 for (N, C, ...), 0 for (C,)."""
    return min(1, input.dim() - 1)


def one_hot(input: Tensor, target: Tensor) -> Tensor:
    """Return target rows of input's shape: the target itself, or one-hot rows of indices."""
    if target.shape == input.shape:
        return target
    rows = F.one_hot(target.long(), input.shape[classes(input)]).to(input.dtype)
    return rows.movedim(-1, classes(input))
