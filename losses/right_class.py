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

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from .closed_form import ClosedForms, Differentiable, differentiable
from .numerics import times
from .sigmoid import class_terms
from .softmax import Row, centred, row, sum_of_others

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
) -> Differentiable:
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
    name: str,
    phi: RightClass,
    given: Callable[[Row], tuple[Tensor, ...]] = _of_row,
    weights: Callable[[Tensor], Tensor] = lambda t: t,
) -> Differentiable:
    """Return the loss sum_c t_c phi(s_c) of a row of logits and a row t of targets.

    Args:
        given: selects the arguments of phi from a `Row`.
        weights: maps t to the factors of phi(s_c), by default t itself.
    """

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        return times(weights(t), phi.value(*given(row(z)), *settings)).sum(-1)

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        a = times(weights(t), phi.first(*given(r), *settings))
        return times(r.p, sum_of_others(a)) - times(r.q, a)

    def hvp(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        a = times(weights(t), phi.first(*given(r), *settings))
        along = centred(r, v)
        b = -times(along, times(weights(t), phi.second(*given(r), *settings)))
        change = times(r.p * along, a.sum(-1, keepdim=True))
        return change + times(r.p, sum_of_others(b)) - times(r.q, b)

    return differentiable(ClosedForms(name, value, gradient, hvp, rows=True))
