"""Plain expressions of losses of one logit z per example, and a target t of 0 or 1."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .tempered import bi_tempered

bce = F.binary_cross_entropy_with_logits


def right_probability(z: Tensor, t: Tensor) -> Tensor:
    """Return the probability of the right class."""
    p = torch.sigmoid(z)
    return p * t + (1 - p) * (1 - t)


def signed(z: Tensor, t: Tensor) -> Tensor:
    """Return the logit of the right class: z or -z."""
    return (2 * t - 1) * z


# --- the count of errors -------------------------------------------------------------------------


def zero_one(z: Tensor, t: Tensor) -> Tensor:
    # The last term is in the graph, with the gradient of 0 that the step has.
    return ((z > 0) != t).to(z.dtype).mean() + 0 * z[0]


def zero_one_of_sum(z: Tensor, t: Tensor) -> Tensor:
    return ((z > 0) != t).to(z.dtype).mean() + 0 * z.sum()


def probability_sum(z: Tensor, t: Tensor) -> Tensor:
    return 1 - right_probability(z, t).mean()


def probability_sum_of_sigmoid(z: Tensor, t: Tensor) -> Tensor:
    return torch.sigmoid(-signed(z, t)).mean()


def probability_sum_of_difference(z: Tensor, t: Tensor) -> Tensor:
    return (torch.sigmoid(z) - t).abs().mean()


# --- weighted cross-entropies --------------------------------------------------------------------


def asymmetric(z: Tensor, t: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    other = (1 - p + 0.05).clamp(max=1)
    return -(t * torch.log(p) + (1 - t) * (1 - other) ** 4 * torch.log(other)).mean()


def asymmetric_of_relu(z: Tensor, t: Tensor) -> Tensor:
    shifted = torch.relu(torch.sigmoid(z) - 0.05)
    return -torch.where(t > 0, F.logsigmoid(z), shifted**4 * torch.log1p(-shifted)).mean()


def poly_1(z: Tensor, t: Tensor) -> Tensor:
    return bce(z, t) + 1 - right_probability(z, t).mean()


def poly_1_of_exp(z: Tensor, t: Tensor) -> Tensor:
    each = bce(z, t, reduction="none")
    return (each + 1 - torch.exp(-each)).mean()


def poly_1_of_sigmoid(z: Tensor, t: Tensor) -> Tensor:
    return bce(z, t) + torch.sigmoid(-signed(z, t)).mean()


def squared_log(z: Tensor, t: Tensor) -> Tensor:
    return bce(z, t, reduction="none").square().mean()


def squared_log_of_softplus(z: Tensor, t: Tensor) -> Tensor:
    return F.softplus(-signed(z, t)).square().mean()


# --- squared errors and hinges -------------------------------------------------------------------


def sigmoid_mse(z: Tensor, t: Tensor) -> Tensor:
    return F.mse_loss(torch.sigmoid(z), t) / 2


def hinge(z: Tensor, t: Tensor) -> Tensor:
    return torch.relu(1 - signed(z, t)).mean()


def hinge_of_clamp(z: Tensor, t: Tensor) -> Tensor:
    return (1 - signed(z, t)).clamp_min(0).mean()


def squared_hinge(z: Tensor, t: Tensor) -> Tensor:
    return torch.relu(1 - signed(z, t)).square().mean()


def cubed_hinge(z: Tensor, t: Tensor) -> Tensor:
    return torch.relu(1 - signed(z, t)).pow(3).mean()


def cubed_hinge_of_product(z: Tensor, t: Tensor) -> Tensor:
    beyond = torch.relu(1 - signed(z, t))
    return (beyond * beyond * beyond).mean()


# --- noisy labels --------------------------------------------------------------------------------


def generalized(z: Tensor, t: Tensor) -> Tensor:
    return ((1 - right_probability(z, t) ** 0.7) / 0.7).mean()


def generalized_of_exp(z: Tensor, t: Tensor) -> Tensor:
    return (1 - torch.exp(-0.7 * bce(z, t, reduction="none")).mean()) / 0.7


def generalized_of_sigmoid(z: Tensor, t: Tensor) -> Tensor:
    return (1 - torch.sigmoid(signed(z, t)).pow(0.7).mean()) / 0.7


LOG_ZERO = -4.0


def symmetric(z: Tensor, t: Tensor) -> Tensor:
    p, least = torch.sigmoid(z), math.exp(LOG_ZERO)
    reverse = p * t.clamp_min(least).log() + (1 - p) * (1 - t).clamp_min(least).log()
    return 0.1 * bce(z, t) - reverse.mean()


def symmetric_of_probability(z: Tensor, t: Tensor) -> Tensor:
    return 0.1 * bce(z, t) - LOG_ZERO * (1 - right_probability(z, t).mean())


def symmetric_of_sigmoid(z: Tensor, t: Tensor) -> Tensor:
    return 0.1 * bce(z, t) - LOG_ZERO * torch.sigmoid(-signed(z, t)).mean()


def sigmoid_bi_tempered(z: Tensor, t: Tensor) -> Tensor:
    rows = torch.stack([torch.zeros_like(z), z], 1)
    return bi_tempered(rows, torch.stack([1 - t, t], 1))


OF_ELEMENTS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], ...]] = {
    "zero-one": (zero_one, zero_one_of_sum),
    "probability-sum": (
        *(probability_sum, probability_sum_of_sigmoid, probability_sum_of_difference),
    ),
    "asymmetric": (asymmetric, asymmetric_of_relu),
    "sigmoid-poly-1": (poly_1, poly_1_of_exp, poly_1_of_sigmoid),
    "sigmoid-squared-log": (squared_log, squared_log_of_softplus),
    "sigmoid-mse": (sigmoid_mse,),
    "hinge": (hinge, hinge_of_clamp),
    "squared-hinge": (squared_hinge,),
    "cubed-hinge": (cubed_hinge, cubed_hinge_of_product),
    "sigmoid-generalized-cross-entropy": (
        *(generalized, generalized_of_exp, generalized_of_sigmoid),
    ),
    "sigmoid-symmetric-cross-entropy": (
        *(symmetric, symmetric_of_probability, symmetric_of_sigmoid),
    ),
    "sigmoid-bi-tempered-logistic": (sigmoid_bi_tempered,),
}
