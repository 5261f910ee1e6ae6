"""Complaints about derivatives, vmap and compilers."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, hessian, jvp, vmap

from ..exact import truth
from .case import Losses, TorchIssue, gradient, second_derivative

LOGITS = ((2.0, 0.0, -1.0), (0.0, 1.0, 3.0))
P, T = (0.3, 0.9), (0.2, 0.7)
Z = (1.0, -2.0)


def _float64(*numbers: Any) -> list[Tensor]:
    return [torch.tensor(each, dtype=torch.float64) for each in numbers]


@contextmanager
def _silent_compiler() -> Iterator[None]:
    """Hide what torch logs of a failure that is also raised."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _compiled(loss: Callable[..., Tensor], *arguments: Tensor, dynamic: bool = False) -> Tensor:
    """Call a loss under torch.compile; what fails in these issues is tracing, not inductor."""
    compiled: Callable[..., Tensor] = torch.compile(loss, backend="aot_eager", dynamic=dynamic)
    with _silent_compiler():
        return compiled(*arguments)


# --- vmap -----------------------------------------------------------------------------------------


def _gradients_of_single_rows(losses: Losses) -> Tensor:
    def loss(z: Tensor, y: Tensor) -> Tensor:
        return losses.cross_entropy(z[None], y[None])

    gradients: Tensor = vmap(grad(loss))(torch.tensor(LOGITS), torch.tensor([0, -100]))
    return gradients


def _true_gradients_of_single_rows() -> list[float]:
    return [*map(float, truth("cross-entropy", LOGITS[0], (1, 0, 0)).gradient), 0, 0, 0]


def _keyword_under_vmap(losses: Losses) -> Tensor:
    each, y = vmap(losses.cross_entropy), torch.tensor([-1, 2])
    return each(torch.tensor(LOGITS), y, ignore_index=-1, reduction="sum")


def _warnings_under_vmap(losses: Losses) -> Tensor:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vmap(losses.multi_margin_loss)(torch.tensor(LOGITS)[:, None], torch.tensor([[0], [1]]))
    return torch.tensor(float(len(caught)))


# --- derivatives ----------------------------------------------------------------------------------


def _twice_by_a_probability(losses: Losses) -> Tensor:
    p, t = _float64(P, T)
    return second_derivative(lambda p: losses.binary_cross_entropy(p, t, reduction="sum"), p)


def _by_a_target(losses: Losses) -> Tensor:
    return gradient(
        lambda p, t: losses.binary_cross_entropy(p, t, reduction="sum"), *_float64(P, T), by=1
    )


def _by_a_weight(losses: Losses) -> Tensor:
    z, t, weight = _float64(Z, T, [0.5, 2.0])

    def loss(weight: Tensor) -> Tensor:
        return losses.binary_cross_entropy_with_logits(z, t, weight, reduction="sum")

    return gradient(loss, weight)


def _twice_by_a_distribution(losses: Losses) -> Tensor:
    log_p, t = _float64([-1.0, -0.5], T)
    return second_derivative(lambda t: losses.kl_div(log_p, t, reduction="sum"), t)


def _forward_over_reverse(losses: Losses) -> Tensor:
    z, t = _float64(Z, T)

    def loss(z: Tensor) -> Tensor:
        return losses.binary_cross_entropy_with_logits(z, t, reduction="sum")

    curvatures: Tensor = jvp(grad(loss), (z,), (torch.ones_like(z),))[1]
    return curvatures


def _true_curvatures() -> list[float]:
    return [1 / (2 + 2 * math.cosh(z)) for z in Z]


def _hessian_with_a_negative_weight(losses: Losses) -> Tensor:
    (z, weight), y = _float64([0.5, -0.2], [1.0, -1.0]), torch.tensor([1])
    curvature: Tensor = hessian(lambda z: losses.cross_entropy(z[None], y, weight))(z)
    return curvature


def _true_hessian() -> list[float]:
    curvature = 1 / (2 + 2 * math.cosh(0.7))
    return [curvature, -curvature, -curvature, curvature]


# --- compiled -------------------------------------------------------------------------------------


def _one_row_compiled(losses: Losses) -> Tensor:
    return _compiled(losses.nll_loss, torch.tensor([-0.5, -1.0, -2.0]), torch.tensor([2]))


def _weighted_distribution_compiled(losses: Losses) -> Tensor:
    def loss(z: Tensor, t: Tensor, weight: Tensor) -> Tensor:
        return losses.cross_entropy(z, t, weight, reduction="none")

    arguments = torch.tensor(LOGITS), torch.full((2, 3), 1 / 3), torch.tensor([1.0, 2.0, 3.0])
    return _compiled(loss, *arguments, dynamic=True)


DERIVATIVES = (
    TorchIssue(
        (90916,),
        "`vmap(grad)` of `cross_entropy` with an ignored label is an IndexError",
        _gradients_of_single_rows,
        _true_gradients_of_single_rows,
    ),
    TorchIssue(
        (105736,),
        "`vmap(cross_entropy)` passes no `ignore_index` on",
        _keyword_under_vmap,
        lambda: [0, float(truth("cross-entropy", LOGITS[1], (0, 0, 1)).value)],
    ),
    TorchIssue(
        (139241,),
        "`vmap` runs `multi_margin_loss` row by row and warns of it: the number of warnings",
        _warnings_under_vmap,
        lambda: [0],
    ),
    TorchIssue(
        (18945, 59477),
        "`binary_cross_entropy` cannot be differentiated twice",
        _twice_by_a_probability,
        lambda: [t / p**2 + (1 - t) / (1 - p) ** 2 for p, t in zip(P, T, strict=True)],
    ),
    TorchIssue(
        (56683,),
        "`binary_cross_entropy` has no derivative by its target",
        _by_a_target,
        lambda: [math.log(1 - p) - math.log(p) for p in P],
    ),
    TorchIssue(
        (19254,),
        "`binary_cross_entropy_with_logits` has no derivative by its weight",
        _by_a_weight,
        lambda: [
            float(truth("bce-with-logits", [z], [t]).value) for z, t in zip(Z, T, strict=True)
        ],
    ),
    TorchIssue(
        (65466,),
        "the second derivative of `kl_div` by its target is 0",
        _twice_by_a_distribution,
        lambda: [1 / t for t in T],
    ),
    TorchIssue(
        (79609,),
        "forward over reverse mode is wrong in `binary_cross_entropy_with_logits`",
        _forward_over_reverse,
        _true_curvatures,
    ),
    TorchIssue(
        (64256,),
        "the Hessian of `cross_entropy` is wrong with a negative class weight",
        _hessian_with_a_negative_weight,
        _true_hessian,
    ),
)

# Seconds each, because they are compiled.
COMPILED = (
    TorchIssue(
        (155247,),
        "`nll_loss` of one row without a batch works, but not under `torch.compile`",
        _one_row_compiled,
        lambda: [2],
    ),
    TorchIssue(
        (182399,),
        "`cross_entropy` of probabilities with class weights fails under "
        "`torch.compile(dynamic=True)`",
        _weighted_distribution_compiled,
        lambda: [
            float(truth("cross-entropy", row, [w / 3 for w in (1, 2, 3)]).value) for row in LOGITS
        ],
    ),
)
