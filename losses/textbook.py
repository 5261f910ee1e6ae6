"""Helpers of the textbook formulas: each loss as it is usually written with torch.

Tests and benchmarks compare our losses with them. A textbook formula is the function of
torch.nn.functional if there is one, else the plain formula with torch's autograd. All take (input,
target, reduction), and settings by name.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def reduced(loss: Tensor, reduction: str) -> Tensor:
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def class_dim(input: Tensor) -> int:
    """Return the class dimension: 1 for (N, C, ...), 0 for (C,)."""
    return min(1, input.dim() - 1)


def one_hot_rows(input: Tensor, target: Tensor) -> Tensor:
    """Return target rows of input's shape: the target itself, or one-hot rows of indices."""
    if target.shape == input.shape:
        return target
    rows = F.one_hot(target.long(), input.shape[class_dim(input)]).to(input.dtype)
    return rows.movedim(-1, class_dim(input))


def softmax_error(input: Tensor, target: Tensor) -> Tensor:
    return torch.softmax(input, class_dim(input)) - one_hot_rows(input, target)
