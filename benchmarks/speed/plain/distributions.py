"""Plain expressions of losses of rows of logits z and rows of probabilities t."""

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


def of_probabilities(each: Callable[[Tensor, Tensor], Tensor]) -> tuple[Plain, ...]:
    """Spell the mean of a function of the probabilities and the target, summed over the classes."""
    return (lambda z, t: each(z.softmax(1), t).sum(1).mean(),)


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


def chebyshev(z: Tensor, t: Tensor) -> Tensor:
    return (z.softmax(1) - t).abs().amax(1).mean()


def tanimoto(z: Tensor, t: Tensor) -> Tensor:
    p = z.softmax(1)
    both = (p * t).sum(1)
    return -(both / (p.square().sum(1) + t.square().sum(1) - both)).mean()


def cauchy_schwarz(z: Tensor, t: Tensor) -> Tensor:
    return -F.cosine_similarity(z.softmax(1), t, 1).log().mean()


def one_vs_rest_hinge(power: float) -> tuple[Plain, ...]:
    """Spell the sum of the hinges of all classes, each against the rest."""

    def weighted(z: Tensor, t: Tensor) -> Tensor:
        right, wrong = torch.relu(0.5 - z) ** power, torch.relu(0.5 + z) ** power
        return (t * right + (1 - t) * wrong).sum(1).mean()

    return (weighted,)


def symmetric(z: Tensor, t: Tensor) -> Tensor:
    log_p = z.log_softmax(1)
    reverse = log_p.exp() * t.clamp_min(math.exp(-4.0)).log()
    return -(0.1 * t * log_p + reverse).sum(1).mean()


OF_DISTRIBUTIONS: dict[str, tuple[Plain, ...]] = {
    "multiclass-zero-one": (zero_one,),
    "softmax-probability-sum": of_probabilities(lambda p, t: t * (1 - p)),
    "softmax-focal": of_log_probabilities(lambda log_p: -((1 - log_p.exp()) ** 2) * log_p),
    "poly-1": of_log_probabilities(lambda log_p: 1 - log_p.exp() - log_p),
    "squared-log": (lambda z, t: (t * z.log_softmax(1)).square().sum(1).mean(),),
    "bernoulli-sum": (bernoulli_sum_of_bce, bernoulli_sum_of_logs),
    "ldam": (ldam,),
    "distillation": (distillation, distillation_of_logs),
    "z-loss": (z_loss,),
    "soft-capped": (soft_capped,),
    "softmax-mse": of_probabilities(lambda p, t: (p - t).square()),
    "one-vs-rest-l1": (one_vs_rest_l1,),
    "rescaled-square": (F.mse_loss,),
    "squentropy": (squentropy,),
    "expectation": of_probabilities(lambda p, t: (p - t).abs()),
    "chebyshev": (chebyshev,),
    "tanimoto": (tanimoto,),
    "cauchy-schwarz": (cauchy_schwarz,),
    "one-vs-rest-hinge": one_vs_rest_hinge(1),
    "one-vs-rest-squared-hinge": one_vs_rest_hinge(2),
    "one-vs-rest-cubed-hinge": one_vs_rest_hinge(3),
    "generalized-cross-entropy": of_probabilities(lambda p, t: t * (1 - p**0.7) / 0.7),
    "symmetric-cross-entropy": (symmetric,),
    "bi-tempered-logistic": (bi_tempered,),
}
