"""Complaints about numbers: tails, infinities, half precision and long sums."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..exact import truth
from .case import Losses, TorchIssue, gradient

SMALL = 37.42994775023705
"""The logit of the issue, whose sigma(-z) is 2^-54."""


def _values(name: str, inputs: list[float], targets: list[float]) -> list[float]:
    return [float(truth(name, [x], [t]).value) for x, t in zip(inputs, targets, strict=True)]


def _gradients(name: str, inputs: list[float], targets: list[float]) -> list[float]:
    return [float(truth(name, [x], [t]).gradient[0]) for x, t in zip(inputs, targets, strict=True)]


# --- tails ----------------------------------------------------------------------------------------


def _tail_of_cross_entropy(losses: Losses) -> Tensor:
    z = torch.tensor([[SMALL, 0.0]], dtype=torch.float64)
    return gradient(lambda z: losses.cross_entropy(z, torch.tensor([0])), z)


def _tails_of_bce(losses: Losses) -> Tensor:
    z = torch.tensor([40.0, -40.0], dtype=torch.float64)
    t = torch.tensor([1.0, 0.0], dtype=torch.float64)

    def loss(z: Tensor) -> Tensor:
        return losses.binary_cross_entropy_with_logits(z, t, reduction="none")

    return torch.cat([loss(z), gradient(loss, z)])


def _soft_margin(losses: Losses) -> Tensor:
    z = torch.tensor([30.0, -100.0])
    return losses.soft_margin_loss(z, torch.ones(2), reduction="none")


def _multilabel_soft_margin(losses: Losses) -> Tensor:
    t = torch.tensor([[1.0, 0.0]])
    return gradient(
        lambda z: losses.multilabel_soft_margin_loss(z, t), torch.tensor([[-50.0, 50.0]])
    )


def _large_logits(losses: Losses) -> Tensor:
    return losses.cross_entropy(torch.full((1, 2), 1e8), torch.tensor([1]))


def _pos_weight_of_one(losses: Losses) -> Tensor:
    z, t = torch.tensor([0.0, -120.0]), torch.tensor([0.0, 1.0])
    return losses.binary_cross_entropy_with_logits(z, t, pos_weight=torch.ones(2))


# --- infinities -----------------------------------------------------------------------------------


def _certain_and_right(losses: Losses) -> Tensor:
    z, t = torch.tensor([math.inf, -math.inf]), torch.tensor([1.0, 0.0])
    return losses.binary_cross_entropy_with_logits(z, t, reduction="none")


def _certain_and_soft(losses: Losses) -> Tensor:
    return losses.binary_cross_entropy_with_logits(torch.tensor(-math.inf), torch.tensor(0.9))


def _beyond_float32(losses: Losses) -> Tensor:
    z = torch.tensor([-2.3135e307, 6.6756e307])
    return losses.binary_cross_entropy_with_logits(z, torch.ones(2), reduction="none")


# --- sums -----------------------------------------------------------------------------------------


def _mean_in_half_precision(losses: Losses) -> Tensor:
    logs = torch.full((2**18, 2), -0.5, dtype=torch.float16)
    return losses.nll_loss(logs, torch.zeros(len(logs), dtype=torch.long))


def _mean_of_many(losses: Losses) -> Tensor:
    target = torch.zeros(1, 1024, 1024, dtype=torch.long)
    return losses.cross_entropy(torch.zeros(1, 2, 1024, 1024), target)


def _negative_terms(losses: Losses) -> Tensor:
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([8.0, 10.0, 6.0])
    logs = a.log_softmax(0), b.log_softmax(0)
    return losses.kl_div(*logs, reduction="none", log_target=True)


def _true_terms() -> list[float]:
    a, b = ([x - math.log(sum(map(math.exp, z))) for x in z] for z in ([1, 2, 3], [8, 10, 6]))
    return [math.exp(t) * (t - x) for x, t in zip(a, b, strict=True)]


def _negative_target(losses: Losses) -> Tensor:
    return losses.kl_div(torch.tensor([-0.5]), torch.tensor([-1.0]), reduction="sum")


VALUES = (
    TorchIssue(
        (195678,),
        "`cross_entropy` in float64 of two logits, 37.4 and 0: the gradient by the first is 0",
        _tail_of_cross_entropy,
        lambda: [float(g) for g in truth("cross-entropy", [SMALL, 0], [1, 0]).gradient],
    ),
    TorchIssue(
        (195529, 195677),
        "`binary_cross_entropy_with_logits` in float64 of 40 and 1, and of -40 and 0: "
        "one of two equal losses is 0, and one of two gradients",
        _tails_of_bce,
        lambda: [
            *_values("bce-with-logits", [40, -40], [1, 0]),
            *_gradients("bce-with-logits", [40, -40], [1, 0]),
        ],
    ),
    TorchIssue(
        (77529,),
        "`soft_margin_loss` is written as log(1 + exp(-z)), without log1p: at 30, and at -100",
        _soft_margin,
        lambda: _values("soft-margin", [30, -100], [1, 1]),
    ),
    TorchIssue(
        (1516,),
        "`multilabel_soft_margin_loss` has no gradient at large logits that are wrong",
        _multilabel_soft_margin,
        lambda: [float(g) for g in truth("multilabel-soft-margin", [-50, 50], [1, 0]).gradient],
    ),
    TorchIssue(
        (11752,),
        "`cross_entropy` of two logits of 1e8 is 0",
        _large_logits,
        lambda: [math.log(2)],
    ),
    TorchIssue(
        (13773,),
        "`binary_cross_entropy_with_logits` with a `pos_weight` of 1 is not finite at -120",
        _pos_weight_of_one,
        lambda: [sum(_values("bce-with-logits", [0, -120], [0, 1])) / 2],
    ),
    TorchIssue(
        (49844, 102894),
        "`binary_cross_entropy_with_logits` of an infinite logit that is right is NaN",
        _certain_and_right,
        lambda: _values("bce-with-logits", [math.inf, -math.inf], [1, 0]),
    ),
    TorchIssue(
        (135359,),
        "`binary_cross_entropy_with_logits` of -inf and 0.9 is NaN",
        _certain_and_soft,
        lambda: _values("bce-with-logits", [-math.inf], [0.9]),
    ),
    TorchIssue(
        (51906,),
        "`binary_cross_entropy_with_logits` of ∓1e307, infinite in float32, and 1 is NaN",
        _beyond_float32,
        lambda: _values("bce-with-logits", [-math.inf, math.inf], [1, 1]),
    ),
    TorchIssue(
        (29429, 61523),
        "the mean of `nll_loss` over 262,144 rows in float16 is NaN",
        _mean_in_half_precision,
        lambda: [0.5],
    ),
    TorchIssue(
        (55657,),
        "the mean of `cross_entropy` over a million pixels has lost digits",
        _mean_of_many,
        lambda: [math.log(2)],
    ),
    TorchIssue(
        (80488,),
        "terms of `kl_div` are negative",
        _negative_terms,
        _true_terms,
        as_defined=True,
    ),
    TorchIssue(
        (69230,),
        "`kl_div` of a negative target is 0, not NaN",
        _negative_target,
        lambda: [math.nan],
    ),
)
