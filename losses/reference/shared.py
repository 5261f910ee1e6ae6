"""What the references share."""

import torch.nn.functional as F
from torch import Tensor


def reduce(loss: Tensor, reduction: str) -> Tensor:
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def classes(input: Tensor) -> int:
    """The dimension of the classes: 1 of (N, C, ...), 0 of (C,)."""
    return min(1, input.dim() - 1)


def one_hot(input: Tensor, target: Tensor) -> Tensor:
    """A row of target weights for every row of logits, the classes in dimension 1 (0 if alone)."""
    if target.shape == input.shape:
        return target
    rows = F.one_hot(target.long(), input.shape[classes(input)]).to(input.dtype)
    return rows.movedim(-1, classes(input))
