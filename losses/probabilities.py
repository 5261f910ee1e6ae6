"""Losses that compare the probabilities p = softmax(z) of a row with a row t of targets.

Such a loss is l(p, t). With e = dl/dp its gradient is J e = p (e - p.e), J = diag(p) - p p^T, and
with dp = J v and de the change of e along dp the Hessian along v is

    dp (e - p.e) + p (de - p.de - dp.e).

Because J 1 = 0, adding a constant to e in a row changes nothing. It is chosen so that no two
nearly equal numbers are subtracted.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .closed_form import ClosedForms, Differentiable, Formula, differentiable
from .softmax import SoftmaxParts, centred, dot, softmax_parts


class ProbabilityLoss(NamedTuple):
    """l(r, t, *settings), its derivative e(r, t, *settings) with respect to p, and the change
    de(r, dp, t, *settings) of e when p changes along dp; r is `softmax_parts(z)`."""

    value: Formula
    slope: Formula
    change: Formula


def of_probabilities(
    name: str, loss: ProbabilityLoss, of_index: ClosedForms | None = None
) -> Differentiable:
    """Return the differentiable loss of rows of logits and rows of targets.

    `of_index` are simpler forms of a class index, as in `ClosedForms`.
    """

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        return loss.value(softmax_parts(z), t, *settings)

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = softmax_parts(z)
        return r.p * centred(r, loss.slope(r, t, *settings))

    def hvp(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = softmax_parts(z)
        e, dp = loss.slope(r, t, *settings), r.p * centred(r, v)
        de = loss.change(r, dp, t, *settings)
        return dp * centred(r, e) + r.p * (centred(r, de) - dot(dp, e))

    return differentiable(
        ClosedForms(name, value, gradient, hvp, rows=True, float64_hvp=True, of_index=of_index)
    )


def error(r: SoftmaxParts, t: Tensor) -> Tensor:
    """Return p - t, accurate where t is 0 or 1, and 0 where p = t."""
    return torch.where(t < 0.5, r.p - t, (1 - t) - r.q)
