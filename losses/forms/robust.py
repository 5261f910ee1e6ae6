"""Closed forms of reverse cross-entropy, the part of symmetric cross-entropy that resists noise.

L = sum_c p_c b_c with b_c = -max(ln t_c, A): the logarithm of the target, with A < 0 for
ln 0. The logarithm is taken of max(t_c, exp A), so that its derivative by t is never 0 * inf.
"""

import math

import torch
from torch import Tensor

from ..closed_form import ClosedForms, differentiable
from .binary import slope
from .probabilities import ProbabilityLoss, of_probabilities


def minus_log(t: Tensor, log_zero: float) -> Tensor:
    """Return -max(ln t, A), at most -A."""
    return -torch.log(t.clamp_min(math.exp(log_zero)))


def _slope(_r: object, t: Tensor, log_zero: float) -> Tensor:
    # A constant may be added: with the largest b taken away a one-hot row is A e_y, and what the
    # wrong classes have in common is not subtracted from itself.
    b = minus_log(t, log_zero)
    return b - b.detach().amax(-1, keepdim=True)


softmax_reverse_cross_entropy = of_probabilities(
    "softmax_reverse_cross_entropy",
    ProbabilityLoss(
        # No term is negative; that of a one-hot target's right class is 0.
        lambda r, t, log_zero: (r.p * minus_log(t, log_zero)).sum(-1),
        _slope,
        lambda _r, dp, _t, _log_zero: torch.zeros_like(dp),
    ),
)


# --- of one logit: L = p b_1 + (1 - p) b_0, p = sigma(z) -----------------------------------------


def _both_classes(t: Tensor, log_zero: float) -> tuple[Tensor, Tensor]:
    """Return b of class 1 and of class 0; 1 - t is exact for t >= 1/2 only."""
    near_one = minus_log(1 - t, log_zero)
    near_zero = -torch.log1p(-t.clamp_max(0.5)).clamp_min(log_zero)
    return minus_log(t, log_zero), torch.where(t < 0.5, near_zero, near_one)


def reverse_cross_entropy_value(z: Tensor, t: Tensor, log_zero: float) -> Tensor:
    one, zero = _both_classes(t, log_zero)
    return torch.sigmoid(z) * one + torch.sigmoid(-z) * zero


def reverse_cross_entropy_gradient(z: Tensor, t: Tensor, log_zero: float) -> Tensor:
    one, zero = _both_classes(t, log_zero)
    return slope(z) * (one - zero)


def reverse_cross_entropy_hvp(z: Tensor, v: Tensor, t: Tensor, log_zero: float) -> Tensor:
    one, zero = _both_classes(t, log_zero)
    return -v * slope(z) * torch.tanh(z / 2) * (one - zero)


reverse_cross_entropy = differentiable(
    ClosedForms(
        "reverse_cross_entropy",
        reverse_cross_entropy_value,
        reverse_cross_entropy_gradient,
        reverse_cross_entropy_hvp,
    )
)
