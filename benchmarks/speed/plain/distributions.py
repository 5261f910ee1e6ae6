"""Plain expressions of losses of rows of logits z and rows of probabilities t.

Those that are not faster than the textbook formula are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .tempered import bi_tempered

Plain = Callable[[Tensor, Tensor], Tensor]


def of_log_probabilities(each: Callable[[Tensor], Tensor]) -> tuple[Plain, ...]:
    """Spell the mean of a function of the log-probabilities, weighted by the target."""
    return (lambda z, t: (t * each(z.log_softmax(1))).sum(1).mean(),)


def zero_one(z: Tensor, t: Tensor) -> Tensor:
    right = t.gather(1, z.argmax(1, keepdim=True)).squeeze(1)
    # The last term is in the graph, with the gradient of 0 that the step has.
    return (t.sum(1) - right).mean() + 0 * z.flatten()[0]


def bernoulli_sum_of_bce(z: Tensor, t: Tensor) -> Tensor:
    return F.binary_cross_entropy(z.softmax(1), t, reduction="none").sum(1).mean()


def bernoulli_sum_of_logs(z: Tensor, t: Tensor) -> Tensor:
    p = z.softmax(1)
    return -(t * p.log() + (1 - t) * torch.log1p(-p)).sum(1).mean()


def z_loss(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(z, t) + 1e-4 * z.logsumexp(1).square().mean()


def ldam(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(30 * (z - 0.5 * t), t)


def distillation(z: Tensor, a: Tensor) -> Tensor:
    p, t = (z / 2).log_softmax(1), (a / 2).softmax(1)
    return 4 * F.kl_div(p, t, reduction="sum") * z.shape[1] / z.numel()


def distillation_of_logs(z: Tensor, a: Tensor) -> Tensor:
    p, t = (z / 2).log_softmax(1), (a / 2).log_softmax(1)
    return 4 * F.kl_div(p, t, reduction="sum", log_target=True) * z.shape[1] / z.numel()


def soft_capped(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(30 * torch.tanh(z / 30), t)


def one_vs_rest_l1(z: Tensor, t: Tensor) -> Tensor:
    return F.l1_loss(z, t) * z.shape[1]


def squentropy(z: Tensor, t: Tensor) -> Tensor:
    squares = ((1 - t) * z.square()).sum(1) / (z.shape[1] - 1)
    return F.cross_entropy(z, t) + squares.mean()


def cauchy_schwarz(z: Tensor, t: Tensor) -> Tensor:
    return -F.cosine_similarity(z.softmax(1), t, 1).log().mean()


def symmetric(z: Tensor, t: Tensor) -> Tensor:
    log_p = z.log_softmax(1)
    reverse = log_p.exp() * t.clamp_min(math.exp(-4.0)).log()
    return -(0.1 * t * log_p + reverse).sum(1).mean()


OF_DISTRIBUTIONS: dict[str, tuple[Plain, ...]] = {
    "multiclass-zero-one": (zero_one,),
    "softmax-focal": of_log_probabilities(lambda log_p: -((1 - log_p.exp()) ** 2) * log_p),
    "poly-1": of_log_probabilities(lambda log_p: 1 - log_p.exp() - log_p),
    "bernoulli-sum": (bernoulli_sum_of_bce, bernoulli_sum_of_logs),
    "ldam": (ldam,),
    "distillation": (distillation, distillation_of_logs),
    "z-loss": (z_loss,),
    "soft-capped": (soft_capped,),
    "one-vs-rest-l1": (one_vs_rest_l1,),
    "rescaled-square": (F.mse_loss,),
    "squentropy": (squentropy,),
    "cauchy-schwarz": (cauchy_schwarz,),
    "symmetric-cross-entropy": (symmetric,),
    "bi-tempered-logistic": (bi_tempered,),
}
