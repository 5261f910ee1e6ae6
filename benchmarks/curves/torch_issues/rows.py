"""Complaints about rows: ignored ones, none at all, weights, smoothing and shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .case import Losses, TorchIssue, gradient

PAIR = ((1.0, 2.0), (3.0, 0.4))
THREE = ((0.2, 0.3, 0.5), (0.5, 0.2, 0.3))


def _log_softmax(z: Sequence[float]) -> list[float]:
    total = math.log(math.fsum(map(math.exp, z)))
    return [x - total for x in z]


def _smoothed(z: Sequence[float], y: int, smoothing: float, weight: Sequence[float]) -> float:
    """Return -sum_c w_c q_c ln p_c, where q is 1 at y and smoothed."""
    return -math.fsum(
        w * (smoothing / len(z) + (1 - smoothing) * (c == y)) * log
        for c, (w, log) in enumerate(zip(weight, _log_softmax(z), strict=True))
    )


# --- ignored rows ---------------------------------------------------------------------------------


def _infinite_and_ignored(losses: Losses) -> Tensor:
    z = torch.tensor([[0.0, 0.0], [-math.inf, -math.inf]])
    return gradient(lambda z: losses.cross_entropy(z, torch.tensor([0, -100])), z)


def _ignored_among_others(losses: Losses) -> Tensor:
    target = torch.tensor([1, -1, -1, 0])
    return losses.nll_loss(-torch.ones(4, 2), target, ignore_index=-1, reduction="none")


def _all_ignored(losses: Losses) -> Tensor:
    return losses.cross_entropy(torch.ones(2, 5), torch.tensor([-100, -100]))


def _ignored_class(losses: Losses) -> Tensor:
    z, y = torch.tensor([[5.0, 1.0, 1.0]]), torch.tensor([1])
    return losses.cross_entropy(z, y, ignore_index=0)


# --- smoothing and weights ------------------------------------------------------------------------


def _smoothed_weighted_and_ignored(losses: Losses) -> Tensor:
    weight, target = torch.tensor([0.2, 0.3]), torch.tensor([-100, 1])
    return losses.cross_entropy(torch.tensor(PAIR), target, weight, label_smoothing=0.1)


def _smoothed_and_ignored(losses: Losses) -> Tensor:
    target = torch.tensor([-100, 1])
    return losses.cross_entropy(torch.tensor(PAIR), target, label_smoothing=0.2, reduction="sum")


def _smoothed_and_weighted(losses: Losses) -> Tensor:
    z, t, weight = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([0.1, 0.9])
    return gradient(lambda z: losses.cross_entropy(z, t, weight, label_smoothing=0.1), z)


def _true_smoothed_and_weighted() -> list[float]:
    # Of weights u on the classes: u_c (p_c - 1) + u_other p_c, at p = 1/2.
    right, wrong = 0.1 * 0.95, 0.9 * 0.05
    return [(wrong - right) / 2, (right - wrong) / 2]


def _least_smoothed(losses: Losses) -> Tensor:
    z = torch.tensor([[math.log(0.95 / 0.05), 0.0]], dtype=torch.float64)
    return losses.cross_entropy(z, torch.tensor([0]), label_smoothing=0.1)


def _weighted_mean(losses: Losses) -> Tensor:
    weight = torch.tensor([2.0, 4.0, 6.0])
    return losses.cross_entropy(torch.tensor(THREE), torch.tensor([2, 1]), weight)


def _true_weighted_mean() -> list[float]:
    first, second = map(_log_softmax, THREE)
    return [-(6 * first[2] + 4 * second[1]) / (6 + 4)]


# --- shapes ---------------------------------------------------------------------------------------


def _no_rows(losses: Losses) -> Tensor:
    return losses.cross_entropy(torch.ones(0, 10), torch.ones(0, dtype=torch.long))


def _sum_of_no_rows(losses: Losses) -> Tensor:
    return losses.nll_loss(torch.ones(0, 3), torch.ones(0, dtype=torch.long), reduction="sum")


def _no_classes(losses: Losses) -> Tensor:
    return losses.cross_entropy(torch.ones(5, 0), torch.ones(5, 0))


def _no_batch(losses: Losses) -> Tensor:
    return losses.cross_entropy(torch.zeros(3), torch.full((3,), 1 / 3))


def _focal(losses: Losses) -> Tensor:
    z, t = torch.tensor([0.0]), torch.tensor([1.0])
    return losses.sigmoid_focal_loss(z, t, alpha=0.25, gamma=2)


ROWS = (
    TorchIssue(
        (11551,),
        "an ignored row of -inf makes the gradient of `cross_entropy` NaN",
        _infinite_and_ignored,
        lambda: [-0.5, 0.5, 0, 0],
    ),
    TorchIssue(
        (20406,),
        "`nll_loss` with reduction 'none' has NaN where rows are ignored",
        _ignored_among_others,
        lambda: [1, 0, 0, 1],
    ),
    TorchIssue(
        (70348, 75181, 116349),
        "the mean of `cross_entropy` is NaN where all rows are ignored",
        _all_ignored,
        lambda: [math.nan],
        as_defined=True,
    ),
    TorchIssue(
        (63004,),
        "the class of `ignore_index` stays in the softmax of `cross_entropy`",
        _ignored_class,
        lambda: [-_log_softmax([5, 1, 1])[1]],
        as_defined=True,
    ),
    TorchIssue(
        (69339, 72056, 91383),
        "`cross_entropy` with weights, smoothing and an ignored row is an IndexError",
        _smoothed_weighted_and_ignored,
        lambda: [_smoothed(PAIR[1], 1, 0.1, [0.2, 0.3]) / 0.3],
    ),
    TorchIssue(
        (73205,),
        "smoothing in `cross_entropy` adds the loss of ignored rows",
        _smoothed_and_ignored,
        lambda: [_smoothed(PAIR[1], 1, 0.2, [1, 1])],
    ),
    TorchIssue(
        (104776,),
        "class weights of `cross_entropy` change how much is smoothed: "
        "the gradient at equal logits, weights of 0.1 and 0.9",
        _smoothed_and_weighted,
        _true_smoothed_and_weighted,
        as_defined=True,
    ),
    TorchIssue(
        (148884,),
        "smoothing of 0.1 in `cross_entropy` has its minimum at probabilities of 0.95, not 0.9",
        _least_smoothed,
        lambda: [-0.95 * math.log(0.95) - 0.05 * math.log(0.05)],
        as_defined=True,
    ),
    TorchIssue(
        (8062, 25571, 65329),
        "the mean of `cross_entropy` with class weights is not the mean of its losses",
        _weighted_mean,
        _true_weighted_mean,
        as_defined=True,
    ),
    TorchIssue(
        (50224,),
        "the mean of `cross_entropy` over no rows is NaN",
        _no_rows,
        lambda: [math.nan],
        as_defined=True,
    ),
    TorchIssue(
        (15870,),
        "the sum of `nll_loss` over no rows is an error",
        _sum_of_no_rows,
        lambda: [0],
    ),
    TorchIssue(
        (73165,),
        "`cross_entropy` of five rows without classes ends the process",
        _no_classes,
        lambda: [math.nan],  # 0 over a number of rows that a target without classes hides
    ),
    TorchIssue(
        (76939,),
        "`cross_entropy` of probabilities without a batch dimension is an error",
        _no_batch,
        lambda: [math.log(3)],
    ),
    TorchIssue(
        (8519,),
        "`sigmoid_focal_loss` of torchvision lacks a minus sign",
        _focal,
        lambda: [0.25 * 0.25 * math.log(2)],
        as_defined=True,
        repository="pytorch/vision",
    ),
)
