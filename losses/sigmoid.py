"""The parts of a sigmoid: probabilities, error and slope of one logit z.

sigma(z) = 1 / (1 + exp(-z)) is the probability of class 1, and sigma' = sigma(z) sigma(-z). Every
formula writes 1 - sigma(z) as sigma(-z) and the error sigma(z) - t as
(1 - t) sigma(z) - t sigma(-z), which is the same number without the cancellation in the tail.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def error(z: Tensor, t: Tensor) -> Tensor:
    """Return sigma(z) - t."""
    return (1 - t) * torch.sigmoid(z) - t * torch.sigmoid(-z)


def slope(z: Tensor) -> Tensor:
    """Return sigma'(z) = sigma(z) (1 - sigma(z))."""
    return torch.sigmoid(z) * torch.sigmoid(-z)


def class_terms(z: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Return (s, p, q) of class 1 and of class 0: s = -ln p, its probability p, and q = 1 - p."""
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    return (-logsigmoid(z), p, q), (-logsigmoid(-z), q, p)
