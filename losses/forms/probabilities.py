"""Losses of a row of logits that compare the probabilities p = softmax(z) with a row t of targets.

Such a loss is l(p, t). With e = dl/dp its gradient is J e = p (e - p.e), J = diag(p) - p p^T, and
with dp = J v and de the change of e along dp the Hessian along v is

    dp (e - p.e) + p (de - p.de - dp.e).

Because J 1 = 0, a constant may be added to e in a row: whoever writes e chooses it so that no two
nearly equal numbers are subtracted.
"""

from typing import Any, NamedTuple

from torch import Tensor

from ..closed_form import ClosedForms, Formula, differentiable
from .softmax import Row, centred, dot, row


class OfProbabilities(NamedTuple):
    """l(r, t, *settings), its derivative e(r, t, *settings) with respect to p, and the change
    de(r, dp, t, *settings) of e when p changes along dp; r is `softmax.row(z)`."""

    value: Formula
    slope: Formula
    change: Formula


def of_probabilities(name: str, loss: OfProbabilities) -> Formula:
    """The differentiable loss of a row of logits and a row of targets."""

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        return loss.value(row(z), t, *settings)

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        return r.p * centred(r, loss.slope(r, t, *settings))

    def curvature(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        e, dp = loss.slope(r, t, *settings), r.p * centred(r, v)
        de = loss.change(r, dp, t, *settings)
        return dp * centred(r, e) + r.p * (centred(r, de) - dot(dp, e))

    return differentiable(ClosedForms(name, value, gradient, curvature, rows=True))


def error(r: Row, t: Tensor) -> Tensor:
    """p - t, which keeps its digits where t is 0 or 1."""
    return r.p * (1 - t) - t * r.q


# --- softmax-mse: l = sum_c (p_c - t_c)^2 --------------------------------------------------------

softmax_mse = of_probabilities(
    "softmax_mse",
    OfProbabilities(
        lambda r, t: error(r, t).square().sum(-1),
        lambda r, t: 2 * error(r, t),
        lambda _r, dp, _t: 2 * dp,
    ),
)
