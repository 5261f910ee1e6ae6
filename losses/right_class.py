"""Losses that are a function of the probability of the right class, of one logit and of rows.

With s = -ln p, a class's own cross-entropy, such a loss is phi(s), and for a soft target its
expectation, L = sum_c t_c phi(s_c). For one logit z the classes are 1, with p = sigma(z), and 0,
with p = sigma(-z), and the targets are (t, 1 - t). Three functions
of s define the loss: phi and its first two derivatives. They are given s, p and q = 1 - p of a
class, because each is accurate where the other two are not, and ds/dp = -1/p, dp/ds = -p,
dq/ds = p.

One logit, class 1: ds/dz = -q, so dL/dz = -phi' q and d2L/dz2 = phi'' q^2 + phi' p q.
Rows: ds_c/dz = p - e_c. With a = t phi' the gradient is p sum(a) - a, as that of cross-entropy with
a in place of t. In its change along v the terms of one class y, the derivatives of phi' (p - e_y),
are with k = q phi'' + p phi' and j = phi' - phi''

    k sum_d p_d (v_y - v_d)                                          at y,
    p_c [k (v_c - v_y) + j sum_{d != y} p_d (v_c - v_d)]             at any other class c.

k is a function of its own, because for some phi it is a small difference.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from .closed_form import ClosedForms, Differentiable, differentiable
from .numerics import times
from .sigmoid import class_terms
from .softmax import (
    SoftmaxParts,
    centred,
    softmax_parts,
    sum_of_others,
    sum_over_pairs,
    sum_over_triples,
)

ClassFunction = Callable[..., Tensor]
Weighing = Callable[[Tensor, Tensor], Tensor]


class RightClass(NamedTuple):
    """phi(s, p, q, *settings), phi' and phi'', derivatives with respect to s = -ln p, and
    k = q phi'' + p phi', if it is not computed from them."""

    value: ClassFunction
    first: ClassFunction
    second: ClassFunction
    hvp_factor: ClassFunction | None = None


def of_one_logit(name: str, phi: RightClass, weighed: Weighing = times) -> Differentiable:
    """Return the loss t phi(s_1) + (1 - t) phi(s_0) of a logit z and a target t in [0, 1].

    `weighed(t, x)` is the product of the weight of a class and x, by default t x.
    """

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        one, zero = class_terms(z)
        positive = weighed(t, phi.value(*one, *settings))
        return positive + weighed(1 - t, phi.value(*zero, *settings))

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        one, zero = class_terms(z)
        up = times(one[2], phi.first(*one, *settings))
        down = times(zero[2], phi.first(*zero, *settings))
        return weighed(1 - t, down) - weighed(t, up)

    def hvp(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        one, zero = class_terms(z)
        return v * (
            weighed(t, second_derivative(phi, one, *settings))
            + weighed(1 - t, second_derivative(phi, zero, *settings))
        )

    return differentiable(ClosedForms(name, value, gradient, hvp, float64_hvp=True))


def second_derivative(
    phi: RightClass, terms: tuple[Tensor, Tensor, Tensor], *settings: Any
) -> Tensor:
    """Return d2 phi / dz2 for a class with the given (s, p, q)."""
    return times(terms[2], _hvp_factor(phi, terms, terms, *settings))


def _hvp_factor(phi: RightClass, r: Any, given: tuple[Tensor, ...], *settings: Any) -> Tensor:
    """Return k = q phi'' + p phi' of classes with (s, p, q) = r."""
    if phi.hvp_factor is not None:
        return phi.hvp_factor(*given, *settings)
    _, p, q = r
    return times(q, phi.second(*given, *settings)) + times(p, phi.first(*given, *settings))


def _of_row(r: SoftmaxParts) -> tuple[Tensor, ...]:
    return r.s, r.p, r.q


def of_rows(
    name: str,
    phi: RightClass,
    given: Callable[[SoftmaxParts], tuple[Tensor, ...]] = _of_row,
    weighed: Weighing = times,
) -> Differentiable:
    """Return the loss sum_c t_c phi(s_c) of a row of logits and a row t of targets.

    Args:
        given: selects the arguments of phi from a `SoftmaxParts`.
        weighed: `weighed(t, x)`, the product of the weight of a class and x, by default t x.
    """

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        return weighed(t, phi.value(*given(softmax_parts(z)), *settings)).sum(-1)

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = softmax_parts(z)
        a = weighed(t, phi.first(*given(r), *settings))
        return times(r.p, sum_of_others(a)) - times(r.q, a)

    def hvp(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = softmax_parts(z)
        x = given(r)
        k = weighed(t, _hvp_factor(phi, _of_row(r), x, *settings))
        j = weighed(t, phi.first(*x, *settings) - phi.second(*x, *settings))
        return times(centred(r, v), k) + times(
            r.p, sum_over_pairs(k, v) + sum_over_triples(j, r.p, v)
        )

    return differentiable(ClosedForms(name, value, gradient, hvp, rows=True, float64_hvp=True))
