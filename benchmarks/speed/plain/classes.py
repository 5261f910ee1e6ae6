"""Plain expressions of losses of rows of logits z and the index y of the right class."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .tempered import bi_tempered_of_classes

Plain = Callable[[Tensor, Tensor], Tensor]


def at(rows: Tensor, y: Tensor) -> Tensor:
    """Return the number of the right class of every row."""
    return rows.gather(1, y.unsqueeze(1)).squeeze(1)


def one_hot(z: Tensor, y: Tensor) -> Tensor:
    return torch.zeros_like(z).scatter_(1, y.unsqueeze(1), 1)


def of_log_probability(each: Callable[[Tensor], Tensor]) -> tuple[Plain, ...]:
    """Spell the mean of a function of the right class's log-probability."""
    return (
        lambda z, y: each(-F.cross_entropy(z, y, reduction="none")).mean(),
        lambda z, y: each(at(z.log_softmax(1), y)).mean(),
    )


def of_probability(each: Callable[[Tensor], Tensor]) -> tuple[Plain, ...]:
    """Spell the mean of a function of the right class's probability."""
    return (
        lambda z, y: each(torch.exp(-F.cross_entropy(z, y, reduction="none"))).mean(),
        lambda z, y: each(at(z.log_softmax(1), y).exp()).mean(),
        lambda z, y: each(at(z.softmax(1), y)).mean(),
    )


# --- the count of errors -------------------------------------------------------------------------


def zero_one(z: Tensor, y: Tensor) -> Tensor:
    # The last term is in the graph, with the gradient of 0 that the step has.
    return (z.argmax(1) != y).to(z.dtype).mean() + 0 * z.flatten()[0]


def zero_one_of_sum(z: Tensor, y: Tensor) -> Tensor:
    return (z.argmax(1) != y).to(z.dtype).mean() + 0 * z.sum()


# --- cross-entropies -----------------------------------------------------------------------------


def bernoulli_sum(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1)
    others = torch.log1p(-p)
    return -(at(p, y).log() + others.sum(1) - at(others, y)).mean()


def bernoulli_sum_of_bce(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy(z.softmax(1), one_hot(z, y), reduction="none").sum(1).mean()


def z_loss(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y) + 1e-4 * z.logsumexp(1).square().mean()


def z_loss_of_size(z: Tensor, y: Tensor) -> Tensor:
    size = z.logsumexp(1)
    return (size - at(z, y) + 1e-4 * size.square()).mean()


def ldam(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(30 * (z - 0.5 * one_hot(z, y)), y)


def ldam_of_copy(z: Tensor, y: Tensor) -> Tensor:
    index = y.unsqueeze(1)
    return F.cross_entropy(30 * z.scatter_add(1, index, z.new_full(index.shape, -0.5)), y)


def soft_capped(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(30 * torch.tanh(z / 30), y)


# --- errors of all classes -----------------------------------------------------------------------


def softmax_mse(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1)
    return (p.square().sum(1) - 2 * at(p, y) + 1).mean()


def softmax_mse_of_error(z: Tensor, y: Tensor) -> Tensor:
    return (z.softmax(1) - one_hot(z, y)).square().sum(1).mean()


def one_vs_rest_l1(z: Tensor, y: Tensor) -> Tensor:
    size, right = z.abs(), at(z, y)
    return (size.sum(1) - right.abs() + (right - 1).abs()).mean()


def one_vs_rest_l1_of_error(z: Tensor, y: Tensor) -> Tensor:
    return F.l1_loss(z, one_hot(z, y)) * z.shape[1]


def rescaled_square(z: Tensor, y: Tensor) -> Tensor:
    return ((z.square().sum(1) - 2 * at(z, y) + 1) / z.shape[1]).mean()


def rescaled_square_of_error(z: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(z, one_hot(z, y))


def squentropy(z: Tensor, y: Tensor) -> Tensor:
    others = z.square().sum(1) - at(z, y).square()
    return F.cross_entropy(z, y) + (others / (z.shape[1] - 1)).mean()


# --- similarity ----------------------------------------------------------------------------------


def tanimoto(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1)
    right = at(p, y)
    return -(right / (p.square().sum(1) + 1 - right)).mean()


def cauchy_schwarz(z: Tensor, y: Tensor) -> Tensor:
    p = z.softmax(1)
    size = p.square().sum(1).sqrt()
    return (size.log() - at(p, y).log()).mean()


def cauchy_schwarz_of_square(z: Tensor, y: Tensor) -> Tensor:
    square = z.softmax(1).square().sum(1)
    return F.cross_entropy(z, y) + square.log().mean() / 2


# --- hinges --------------------------------------------------------------------------------------


def one_vs_rest_hinge(power: float) -> tuple[Plain, ...]:
    """Spell the sum of the hinges of all classes, each against the rest."""

    def of_right_class(z: Tensor, y: Tensor) -> Tensor:
        wrong = torch.relu(0.5 + z) ** power
        right = torch.relu(0.5 - at(z, y)) ** power
        return (wrong.sum(1) - at(wrong, y) + right).mean()

    def of_signs(z: Tensor, y: Tensor) -> Tensor:
        return (torch.relu(0.5 + (1 - 2 * one_hot(z, y)) * z) ** power).sum(1).mean()

    return of_right_class, of_signs


OF_CLASSES: dict[str, tuple[Plain, ...]] = {
    "multiclass-zero-one": (zero_one, zero_one_of_sum),
    "softmax-probability-sum": of_probability(lambda p: 1 - p),
    "softmax-focal": of_log_probability(lambda log_p: -((1 - log_p.exp()) ** 2) * log_p),
    "poly-1": of_log_probability(lambda log_p: 1 - log_p.exp() - log_p),
    "squared-log": of_log_probability(torch.square),
    "bernoulli-sum": (bernoulli_sum, bernoulli_sum_of_bce),
    "ldam": (ldam, ldam_of_copy),
    "z-loss": (z_loss, z_loss_of_size),
    "soft-capped": (soft_capped,),
    "softmax-mse": (softmax_mse, softmax_mse_of_error),
    "one-vs-rest-l1": (one_vs_rest_l1, one_vs_rest_l1_of_error),
    "rescaled-square": (rescaled_square, rescaled_square_of_error),
    "squentropy": (squentropy,),
    # The distances |p_c - [c = y]| of the other classes add up to that of the right one.
    "expectation": of_probability(lambda p: 2 * (1 - p)),
    "chebyshev": of_probability(lambda p: 1 - p),
    "tanimoto": (tanimoto,),
    "cauchy-schwarz": (cauchy_schwarz, cauchy_schwarz_of_square),
    "one-vs-rest-hinge": one_vs_rest_hinge(1),
    "one-vs-rest-squared-hinge": one_vs_rest_hinge(2),
    "one-vs-rest-cubed-hinge": one_vs_rest_hinge(3),
    "generalized-cross-entropy": of_probability(lambda p: (1 - p**0.7) / 0.7),
    "symmetric-cross-entropy": of_log_probability(
        lambda log_p: 4 * (1 - log_p.exp()) - 0.1 * log_p
    ),
    "bi-tempered-logistic": (bi_tempered_of_classes,),
}
