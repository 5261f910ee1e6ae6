"""Losses that are a function of the probability of the right class, of one logit and of rows.

With s = -ln p, a class's own cross-entropy, such a loss is phi(s), and for a soft target its
expectation, L = sum_c t_c phi(s_c). For one logit z the classes are 1, with p = sigma(z), and 0,
with p = sigma(-z), and the targets are (t, 1 - t), or `shares(t)`. Three functions
of s define the loss: phi and its first two derivatives. They are given s, p and q = 1 - p of a
class, because each is accurate where the other two are not, and ds/dp = -1/p, dp/ds = -p,
dq/ds = p.

One logit, class 1: ds/dz = -q, so dL/dz = -phi' q and d2L/dz2 = phi'' q^2 + phi' p q.
Rows: ds_c/dz = p - e_c. With a = t phi' the gradient is p sum(a) - a, as that of cross-entropy with
a in place of t. Its change along v, where ds_c = p.v - v_c, b = t phi'' ds and dp = p (v - p.v), is
dp sum(a) + p sum(b) - b.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..closed_form import ClosedForms, Formula, differentiable
from .binary import times
from .softmax import Row, centred, row, with_class_indices, without

ClassFunction = Callable[..., Tensor]
ClassPair = tuple[Tensor, Tensor]


class RightClass(NamedTuple):
    """phi(s, p, q, *settings), phi' and phi'', derivatives with respect to s = -ln p."""

    value: ClassFunction
    first: ClassFunction
    second: ClassFunction


def probabilities(t: Tensor) -> ClassPair:
    """Return the weights of class 1 and class 0 in the expectation."""
    return t, 1 - t


def of_one_logit(
    name: str, phi: RightClass, shares: Callable[[Tensor], ClassPair] = probabilities
) -> Formula:
    """Return the loss t phi(s_1) + (1 - t) phi(s_0) of a logit z and a target t in [0, 1]."""

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        (one, zero), (a, b) = class_terms(z), shares(t)
        return times(a, phi.value(*one, *settings)) + times(b, phi.value(*zero, *settings))

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        (one, zero), (a, b) = class_terms(z), shares(t)
        up = times(one[2], phi.first(*one, *settings))
        down = times(zero[2], phi.first(*zero, *settings))
        return times(b, down) - times(a, up)

    def hvp(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        (one, zero), (a, b) = class_terms(z), shares(t)
        return v * (
            times(a, second_derivative(phi, one, *settings))
            + times(b, second_derivative(phi, zero, *settings))
        )

    return differentiable(ClosedForms(name, value, gradient, hvp))


def second_derivative(
    phi: RightClass, terms: tuple[Tensor, Tensor, Tensor], *settings: Any
) -> Tensor:
    """Return d2 phi / dz2 for a class with the given (s, p, q)."""
    _, p, q = terms
    first, second = phi.first(*terms, *settings), phi.second(*terms, *settings)
    return times(q, times(q, second)) + times(p * q, first)


def _of_row(r: Row) -> tuple[Tensor, ...]:
    return r.s, r.p, r.q


def of_rows(
    name: str, phi: RightClass, given: Callable[[Row], tuple[Tensor, ...]] = _of_row
) -> Formula:
    """Return the loss sum_c t_c phi(s_c) of a row of logits and a row t of targets.

    `given` selects the arguments of phi from a `Row`.
    """

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        return times(t, phi.value(*given(row(z)), *settings)).sum(-1)

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        a = times(t, phi.first(*given(r), *settings))
        return times(r.p, sum_of_others(a)) - times(r.q, a)

    def hvp(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        a = times(t, phi.first(*given(r), *settings))
        along = centred(r, v)
        b = -times(along, times(t, phi.second(*given(r), *settings)))
        change = times(r.p * along, a.sum(-1, keepdim=True))
        return change + times(r.p, sum_of_others(b)) - times(r.q, b)

    forms = ClosedForms(name, value, gradient, hvp, rows=True)
    return differentiable(with_class_indices(forms))


def class_terms(z: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Return (s, p, q) of class 1 and of class 0."""
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    return (-logsigmoid(z), p, q), (-logsigmoid(-z), q, p)


def sum_of_others(a: Tensor) -> Tensor:
    """Return for every class the sum of a over the other classes.

    The largest entry is summed apart, so that it is never added and subtracted again.
    """
    top = a.abs().argmax(-1, keepdim=True)
    small = without(top, a)
    of_top = without(top, a.gather(-1, top).expand_as(a))
    rest = torch.where(small.isinf(), 0.0, small.sum(-1, keepdim=True) - small)
    return rest + of_top


# --- zero-one of a row: L = sum_c t_c [c is not the class of the largest logit] -----------------


def zero_one_rows_value(z: Tensor, t: Tensor) -> Tensor:
    wrong = without(z.argmax(-1, keepdim=True), t).sum(-1)
    # A row with a NaN predicts nothing: return NaN instead of counting it.
    return torch.where(z.isnan().any(-1), z.amax(-1), wrong)


def zero_one_rows_gradient(z: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(z * t)


def zero_one_rows_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(z * v * t)


# --- probability-sum: phi = q --------------------------------------------------------------------

_probability_sum = RightClass(
    lambda _s, _p, q: q,
    lambda _s, p, _q: p,
    lambda _s, p, _q: -p,
)


# --- focal: phi = q^gamma s ----------------------------------------------------------------------


def _ratio(s: Tensor, q: Tensor) -> Tensor:
    """Return s / q = -ln(1 - q) / q, which tends to 1 as q tends to 0."""
    return torch.where(q == 0, 1.0, s / torch.where(q == 0, 1.0, q))


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


focal = RightClass(_focal_value, _focal_first, _focal_second)


# --- generalized cross-entropy: phi = (1 - p^k) / k ----------------------------------------------


def _power(s: Tensor, share: Tensor | float, k: float) -> Tensor:
    """Return exp(-k (s + share)) with full precision.

    A rounding error of k s is one of as many ulp as k s is large. So k and s are split: the product
    of their leading digits (14 and 8 of them) is exact, and the rest is small. A power of p itself
    would not do, because p^k is a normal number long after p has ceased to be one.
    """
    mantissa, exponent = math.frexp(k)
    leading_k = math.ldexp(round(mantissa * 2**14), exponent - 14)
    leading = s.detach().to(torch.bfloat16).to(s.dtype)
    leading = torch.where(leading.isinf(), 0.0, leading)
    rest = k * (s - leading) + (k - leading_k) * leading + k * share
    # As long as the first factor is above 0 the rest is above -2; after that it must not matter.
    return torch.exp(-leading_k * leading) * torch.exp(-rest.clamp_min(-2.0))


_generalized = RightClass(
    lambda s, _p, _q, k: -torch.expm1(-k * s) / k,
    lambda s, _p, _q, k: _power(s, 0.0, k),
    lambda s, _p, _q, k: -k * _power(s, 0.0, k),
)
# For rows s is a sum; it stays in two parts, so that it is not rounded.
_generalized_of_parts = RightClass(
    lambda gap, rest, k: -torch.expm1(-k * (gap + rest)) / k,
    lambda gap, rest, k: _power(gap, rest, k),
    lambda gap, rest, k: -k * _power(gap, rest, k),
)


# --- poly-1: phi = s + epsilon q, epsilon >= -1 --------------------------------------------------


def _poly1_value(s: Tensor, _p: Tensor, q: Tensor, epsilon: float) -> Tensor:
    if epsilon >= 0:
        return s + epsilon * q
    # For epsilon = -1 the first part is nothing, also where s is infinite.
    first = (1 + epsilon) * s if epsilon > -1 else torch.zeros_like(s)
    return first - epsilon * _beyond_first_order(s, q)


def _beyond_first_order(s: Tensor, q: Tensor) -> Tensor:
    """s - q = q^2 / 2 + q^3 / 3 + ..., which is all that is left of the loss for epsilon = -1.

    With w = q / (2 - q) it is s = 2 artanh w = 2 (w + w^3 / 3 + ...), and 2 w - q = q w. The series
    is for q < 1/4, where w^2 < 1/49: ten terms of it are more than a float64 holds.
    """
    few = q.clamp_max(0.25)
    w = few / (2 - few)
    square, series = w.square(), torch.zeros_like(w)
    for power in range(21, 1, -2):
        series = series * square + 1 / power
    return torch.where(q < 0.25, few * w + 2 * w * square * series, s - q)


def _poly1_first(_s: Tensor, p: Tensor, q: Tensor, epsilon: float) -> Tensor:
    # 1 + epsilon p, without the cancellation for epsilon near -1.
    return 1 + epsilon * p if epsilon >= 0 else (1 + epsilon) - epsilon * q


_poly1 = RightClass(_poly1_value, _poly1_first, lambda _s, p, _q, epsilon: -epsilon * p)


# --- squared log: phi = s^2, and t^2 in the place of t -------------------------------------------

_squared_log = RightClass(
    lambda s, _p, _q: s.square(),
    lambda s, _p, _q: 2 * s,
    lambda s, _p, _q: torch.full_like(s, 2.0),
)


def _squares(t: Tensor) -> ClassPair:
    return t.square(), (1 - t).square()


zero_one_rows = differentiable(
    with_class_indices(
        ClosedForms(
            "zero_one_rows",
            zero_one_rows_value,
            zero_one_rows_gradient,
            zero_one_rows_hvp,
            rows=True,
        )
    )
)
probability_sum = of_one_logit("probability_sum", _probability_sum)
generalized_cross_entropy = of_one_logit("generalized_cross_entropy", _generalized)
poly1 = of_one_logit("poly1", _poly1)
squared_log = of_one_logit("squared_log", _squared_log, _squares)

softmax_probability_sum = of_rows("softmax_probability_sum", _probability_sum)
softmax_focal = of_rows("softmax_focal", focal)
softmax_generalized_cross_entropy = of_rows(
    "softmax_generalized_cross_entropy",
    _generalized_of_parts,
    lambda r: (r.gap, torch.log1p(r.others)),
)
softmax_poly1 = of_rows("softmax_poly1", _poly1)
_softmax_squared_log = of_rows("softmax_squared_log", _squared_log)


def softmax_squared_log(z: Tensor, t: Tensor) -> Tensor:
    # A row e_y of a class index is its own square.
    return _softmax_squared_log(z, t.square() if t.is_floating_point() else t)
