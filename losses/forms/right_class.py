"""Losses that are a function of the probability of the right class, of one logit and of rows.

With s = -ln p, a class's own cross-entropy, such a loss is phi(s), and for a soft target its
expectation, L = sum_c t_c phi(s_c). For one logit z the classes are 1, with p = sigma(z), and 0,
with p = sigma(-z), and t is (t, 1 - t). Three functions of s define the loss: phi and its first two
derivatives. They are given s, p and q = 1 - p of a class, each of which keeps its digits where the
other two have none left, and ds/dp = -1/p, dp/ds = -p, dq/ds = p.

One logit, class 1: ds/dz = -q, so dL/dz = -phi' q and d2L/dz2 = phi'' q^2 + phi' p q.
Rows: ds_c/dz = p - e_c. With a = t phi' the gradient is p sum(a) - a, as that of cross-entropy with
a in place of t. Its change along v, where ds_c = p.v - v_c, b = t phi'' ds and dp = p (v - p.v), is
dp sum(a) + p sum(b) - b.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..closed_form import ClosedForms, Formula, differentiable
from .binary import times
from .softmax import centred, row

OfClass = Callable[..., Tensor]


class RightClass(NamedTuple):
    """phi(s, p, q, *settings), phi' and phi'', derivatives with respect to s = -ln p."""

    value: OfClass
    first: OfClass
    second: OfClass


def of_one_logit(name: str, phi: RightClass) -> Formula:
    """The loss of a logit z and a target t in [0, 1]: t phi(s_1) + (1 - t) phi(s_0)."""

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        one, zero = _sides(z)
        return times(t, phi.value(*one, *settings)) + times(1 - t, phi.value(*zero, *settings))

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        one, zero = _sides(z)
        up = times(one[2], phi.first(*one, *settings))
        down = times(zero[2], phi.first(*zero, *settings))
        return times(1 - t, down) - times(t, up)

    def curvature(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        one, zero = _sides(z)
        return v * (times(t, bend(*one, *settings)) + times(1 - t, bend(*zero, *settings)))

    def bend(s: Tensor, p: Tensor, q: Tensor, *settings: Any) -> Tensor:
        first, second = phi.first(s, p, q, *settings), phi.second(s, p, q, *settings)
        return times(q, times(q, second)) + times(p * q, first)

    return differentiable(ClosedForms(name, value, gradient, curvature))


def of_rows(name: str, phi: RightClass) -> Formula:
    """The loss of a row of logits and a row t of targets: sum_c t_c phi(s_c)."""

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        return times(t, phi.value(r.s, r.p, r.q, *settings)).sum(-1)

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        a = times(t, phi.first(r.s, r.p, r.q, *settings))
        return times(r.p, _others(a)) - times(r.q, a)

    def curvature(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        a = times(t, phi.first(r.s, r.p, r.q, *settings))
        along = centred(r, v)
        b = -times(along, times(t, phi.second(r.s, r.p, r.q, *settings)))
        change = times(r.p * along, a.sum(-1, keepdim=True))
        return change + times(r.p, _others(b)) - times(r.q, b)

    return differentiable(ClosedForms(name, value, gradient, curvature, rows=True))


def _sides(z: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """(s, p, q) of class 1 and of class 0."""
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    return (-logsigmoid(z), p, q), (-logsigmoid(-z), q, p)


def _others(a: Tensor) -> Tensor:
    """For every class the sum of a over the other ones; an infinity leaves it none."""
    return torch.where(a.isinf(), 0.0, a.sum(-1, keepdim=True) - a)


def _ratio(s: Tensor, q: Tensor) -> Tensor:
    """s / q = -ln(1 - q) / q, which goes to 1 with q."""
    return torch.where(q == 0, 1.0, s / torch.where(q == 0, 1.0, q))


# --- probability-sum: phi = q --------------------------------------------------------------------

_probability_sum = RightClass(
    lambda _s, _p, q: q,
    lambda _s, p, _q: p,
    lambda _s, p, _q: -p,
)


# --- focal: phi = q^gamma s ----------------------------------------------------------------------


def _focal_value(s: Tensor, _p: Tensor, q: Tensor, gamma: float) -> Tensor:
    return times(q**gamma, s)


def _focal_first(s: Tensor, p: Tensor, q: Tensor, gamma: float) -> Tensor:
    # q^gamma + gamma q^(gamma - 1) p s: finite for gamma < 1 too, because s / q is.
    return q**gamma * (1 + gamma * times(p, _ratio(s, q)))


def _focal_second(s: Tensor, p: Tensor, q: Tensor, gamma: float) -> Tensor:
    # gamma q^(gamma - 1) p [1 + (gamma - 1) p s / q + 1 - s].
    inside = 2 + (gamma - 1) * times(p, _ratio(s, q))
    # For gamma < 1 infinite at q = 0, where it meets a factor that is smaller still.
    return (
        gamma * q.clamp_min(torch.finfo(q.dtype).tiny) ** (gamma - 1) * (p * inside - times(p, s))
    )


_focal = RightClass(_focal_value, _focal_first, _focal_second)


# --- generalized cross-entropy: phi = (1 - p^k) / k ----------------------------------------------

_generalized = RightClass(
    lambda s, _p, _q, k: -torch.expm1(-k * s) / k,
    lambda s, _p, _q, k: torch.exp(-k * s),
    lambda s, _p, _q, k: -k * torch.exp(-k * s),
)


# --- poly-1: phi = s + epsilon q -----------------------------------------------------------------

_poly1 = RightClass(
    lambda s, _p, q, epsilon: s + epsilon * q,
    lambda _s, p, _q, epsilon: 1 + epsilon * p,
    lambda _s, p, _q, epsilon: -epsilon * p,
)


# --- squared log: phi = s^2 ----------------------------------------------------------------------

_squared_log = RightClass(
    lambda s, _p, _q: s.square(),
    lambda s, _p, _q: 2 * s,
    lambda s, _p, _q: torch.full_like(s, 2.0),
)


probability_sum = of_one_logit("probability_sum", _probability_sum)
generalized_cross_entropy = of_one_logit("generalized_cross_entropy", _generalized)
poly1 = of_one_logit("poly1", _poly1)
squared_log = of_one_logit("squared_log", _squared_log)

softmax_probability_sum = of_rows("softmax_probability_sum", _probability_sum)
softmax_focal = of_rows("softmax_focal", _focal)
softmax_generalized_cross_entropy = of_rows("softmax_generalized_cross_entropy", _generalized)
softmax_poly1 = of_rows("softmax_poly1", _poly1)
softmax_squared_log = of_rows("softmax_squared_log", _squared_log)
