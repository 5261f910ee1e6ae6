"""Closed forms of a row of logits z over C classes, the classes in the last dimension.

p = softmax(z) and q = 1 - p. A target is a class index y of shape z.shape[:-1], or a row t of
weights over the classes (a distribution, a one-hot row) of z's shape. J = diag(p) - p p^T is the
derivative of p, so J v = p (v - p.v) row by row.

Nothing here subtracts two nearly equal numbers: the largest term of a sum of exponentials is left
out of it and comes back through log1p, and the complement of a probability near 1 is the sum of
the other probabilities.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..closed_form import ClosedForms, differentiable
from .binary import times


def one_hot(z: Tensor, y: Tensor) -> Tensor:
    """Return the rows e_y, of z's shape and dtype."""
    return torch.zeros_like(z).scatter(-1, y.unsqueeze(-1), 1.0)


def target_rows(z: Tensor, t: Tensor) -> Tensor:
    """Return rows of targets for the logits z: t itself, or one-hot rows of class indices."""
    return t if t.is_floating_point() else one_hot(z, t)


def with_class_indices(forms: ClosedForms) -> ClosedForms:
    """Return forms that take rows of targets or class indices.

    Each formula makes the one-hot rows anew: saved for the backward pass they would take as much
    memory as the logits.
    """

    def value(z: Tensor, t: Tensor, *rest: Any) -> Tensor:
        return forms.value(z, target_rows(z, t), *rest)

    def gradient(z: Tensor, t: Tensor, *rest: Any) -> Tensor:
        return forms.gradient(z, target_rows(z, t), *rest)

    def hvp(z: Tensor, v: Tensor, t: Tensor, *rest: Any) -> Tensor:
        return forms.hvp(z, v, target_rows(z, t), *rest)

    return ClosedForms(forms.name, value, gradient, hvp, forms.rows)


def summed(name: str, forms: ClosedForms) -> ClosedForms:
    """Return the forms of the sum over a row of a loss of single logits (a diagonal Hessian)."""

    def value(z: Tensor, t: Tensor, *rest: Any) -> Tensor:
        return forms.value(z, t, *rest).sum(-1)

    return with_class_indices(ClosedForms(name, value, forms.gradient, forms.hvp, rows=True))


def in_float64(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return `tensors` with those of floating point in float64, except on MPS, which lacks it."""
    return tuple(
        x.double() if x.is_floating_point() and x.device.type != "mps" else x for x in tensors
    )


class Row(NamedTuple):
    """Parts of softmax(z), each accurate where the others round to 0 or 1.

    `top` is the index of the largest logit and `gap` = max(z) - z; `others` is the sum of
    exp(-gap) without the largest term, p the probabilities, q = 1 - p and s = -ln p.
    """

    top: Tensor
    gap: Tensor
    others: Tensor
    p: Tensor
    q: Tensor

    @property
    def s(self) -> Tensor:
        return self.gap + torch.log1p(self.others)


def exponentials(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the largest logit, its index, exp(z - largest) with 0 at the index, and their sum."""
    largest, top = z.max(-1, keepdim=True)
    z, bound = finite(z), finite(largest)
    gap = z - bound
    # The rounding error of the difference: in float32 a relative error of 4e-6 in exp(-80).
    back = gap - z
    lost = (z - (gap - back)) - (bound + back)
    rest = torch.exp(gap) * (1 + torch.where(lost.isfinite(), lost, 0.0))
    rest = rest.scatter(-1, top, 0.0)
    return largest, top, rest, rest.sum(-1, keepdim=True)


def finite(z: Tensor) -> Tensor:
    """Return z with infinity clamped to the largest finite number, so that no inf - inf arises."""
    return z.clamp_max(torch.finfo(z.dtype).max)


def distance(largest: Tensor, z: Tensor) -> Tensor:
    """Return largest - z, 0 where they are equal, at infinity too."""
    return torch.where(z == largest, 0.0, largest - z)


def row(z: Tensor) -> Row:
    largest, top, rest, others = exponentials(z)
    total = 1 + others
    p = rest.scatter(-1, top, 1.0) / total
    q = (total - rest).scatter(-1, top, others) / total
    return Row(top, distance(largest, z), others, p, q)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of rows, keeping the dimension."""
    return (a * b).sum(-1, keepdim=True)


def without(top: Tensor, x: Tensor) -> Tensor:
    """x with 0 at the class `top` of every row."""
    return x.scatter(-1, top, 0.0)


def centred(r: Row, x: Tensor) -> Tensor:
    """x - p.x, row by row.

    As x_c q_c - sum_{j != c} p_j x_j, in which the term of the largest p stands apart, so that it
    is never first added and then taken away again.
    """
    term = r.p * x
    small = without(r.top, term)
    of_top = without(r.top, term.gather(-1, r.top).expand_as(term))
    return x * r.q - (small.sum(-1, keepdim=True) - small + of_top)


def softmax_change(p: Tensor, v: Tensor) -> Tensor:
    """Return J v, the change of p when z changes along v."""
    return p * (v - dot(p, v))


# --- cross-entropy with a class index: L = ln sum exp(z) - z_y -----------------------------------


def index_cross_entropy_value(z: Tensor, y: Tensor) -> Tensor:
    # With the gap g = max(z) - z_y and the sum s of exp(z_c - max(z)) over c != y it is
    # g + ln(s + exp(-g)), and g is 0 where the target has the largest logit.
    y = y.unsqueeze(-1)
    largest = z.amax(-1, keepdim=True)
    gap = distance(largest, z.gather(-1, y))
    others = torch.exp(finite(z) - finite(largest)).scatter(-1, y, 0.0).sum(-1, keepdim=True)
    return (gap + torch.log1p(others + torch.expm1(-gap))).squeeze(-1)


def index_cross_entropy_gradient(z: Tensor, y: Tensor) -> Tensor:
    # p - onehot(y); the target's entry p_y - 1 is minus the sum of the other probabilities.
    y = y.unsqueeze(-1)
    wrong = torch.softmax(finite(z), -1).scatter(-1, y, 0.0)
    return wrong.scatter(-1, y, -wrong.sum(-1, keepdim=True))


def index_cross_entropy_hvp(z: Tensor, v: Tensor, y: Tensor) -> Tensor:
    del y  # The Hessian J of ln sum exp(z) does not depend on the target.
    return softmax_change(row(z).p, v)


# --- cross-entropy with a row of target weights: L = sum_c t_c (ln sum exp(z) - z_c) -------------


def cross_entropy_value(z: Tensor, t: Tensor) -> Tensor:
    r = row(z)
    return times(t, r.gap).sum(-1) + t.sum(-1) * torch.log1p(r.others).squeeze(-1)


def cross_entropy_gradient(z: Tensor, t: Tensor) -> Tensor:
    # T p - t, T = sum t, is p (T - t) - t q: both parts keep their digits when t is one-hot.
    r = row(z)
    return r.p * (t.sum(-1, keepdim=True) - t) - t * r.q


def cross_entropy_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return t.sum(-1, keepdim=True) * softmax_change(row(z).p, v)


# --- squared log-partition (z-loss): L = l^2, l = ln sum_c exp(z_c) ------------------------------


def squared_log_partition_value(z: Tensor) -> Tensor:
    return torch.logsumexp(z, -1).square()


def squared_log_partition_gradient(z: Tensor) -> Tensor:
    return 2 * times(row(z).p, torch.logsumexp(z, -1, keepdim=True))


def squared_log_partition_hvp(z: Tensor, v: Tensor) -> Tensor:
    # dl = p.v and dp = J v.
    p = row(z).p
    return 2 * (dot(p, v) * p + torch.logsumexp(z, -1, keepdim=True) * softmax_change(p, v))


# --- nll: L = -x_y of a row x of log-probabilities -----------------------------------------------


def nll_value(x: Tensor, y: Tensor) -> Tensor:
    return -x.gather(-1, y.unsqueeze(-1)).squeeze(-1)


def nll_gradient(x: Tensor, y: Tensor) -> Tensor:
    return torch.zeros_like(x).scatter(-1, y.unsqueeze(-1), -1.0)


def nll_hvp(x: Tensor, v: Tensor, y: Tensor) -> Tensor:
    del y
    return torch.zeros_like(x * v)


# --- bernoulli-sum: L = -sum_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)] ------------------------------


def bernoulli_sum_value(z: Tensor, t: Tensor) -> Tensor:
    r, z = row(z), finite(z)
    log_total = torch.log1p(r.others)
    largest = z.gather(-1, r.top)
    # 1 - p of the largest is a sum that underflows long before its logarithm does.
    log_others = z.scatter(-1, r.top, -torch.inf).logsumexp(-1, keepdim=True) - largest
    minus_log_q = (-torch.log1p(-without(r.top, r.p))).scatter(-1, r.top, log_total - log_others)
    return (times(t, r.gap + log_total) + times(1 - t, minus_log_q)).sum(-1)


def bernoulli_sum_gradient(z: Tensor, t: Tensor) -> Tensor:
    return _BernoulliSum(z, t).gradient


def bernoulli_sum_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return _BernoulliSum(z, t).hvp(v)


class _BernoulliSum:
    """Gradient and Hessian-vector product of the sum of Bernoulli cross-entropies.

    With h_c = p_c dL/dp_c = -t_c + (1 - t_c) p_c / q_c the gradient is g_c = h_c - p_c sum_j h_j.
    The odds p / q of the largest class k overflow when the model is certain, but they only occur
    as q_k p_k / q_k = p_k and, for c != k, as p_c p_k / q_k = p_k w_c, where w is the softmax over
    the classes without k. So k's terms are written apart: with R_c = sum of h_j over j not in
    {c, k},

        g_c = (1 - t_c) p_c - t_c q_c - p_c R_c - [c != k] ((1 - t_k) p_k w_c - t_k p_c).

    The Hessian-vector product is the derivative of this along v, term by term: dp = J v, dq = -dp,
    dw = w (v - w.v), and d(p_c / q_c) = p_c (v_c - p.v) / q_c^2.
    """

    def __init__(self, z: Tensor, t: Tensor) -> None:
        r = row(z)
        self.top, self.p, self.q, self.t = r.top, r.p, r.q, t
        self.t_top, self.p_top = t.gather(-1, r.top), r.p.gather(-1, r.top)
        others = finite(z).scatter(-1, r.top, -torch.inf)
        # Where every other logit is -inf they share what a softmax over them would give.
        alone = others.amax(-1, keepdim=True) == -torch.inf
        share = 1 / max(1, z.shape[-1] - 1)
        shared = without(r.top, torch.full_like(z, share))
        self.w = torch.where(alone, shared, torch.softmax(others, -1))
        self.odds = without(self.top, r.p / r.q)
        h = without(self.top, (1 - t) * self.odds - t)
        self.rest = h.sum(-1, keepdim=True) - h
        of_top = (1 - self.t_top) * self.p_top * self.w - self.t_top * r.p
        self.gradient = (1 - t) * r.p - t * r.q - r.p * self.rest - without(self.top, of_top)

    def hvp(self, v: Tensor) -> Tensor:
        dp = softmax_change(self.p, v)
        dw = softmax_change(self.w, v)
        dh = (1 - self.t) * without(self.top, self.odds * (v - dot(self.p, v)) / self.q)
        d_rest = dh.sum(-1, keepdim=True) - dh
        dp_top = dp.gather(-1, self.top)
        d_top = (1 - self.t_top) * (dp_top * self.w + self.p_top * dw) - self.t_top * dp
        return dp - dp * self.rest - self.p * d_rest - without(self.top, d_top)


INDEX_CROSS_ENTROPY = ClosedForms(
    "index_cross_entropy",
    index_cross_entropy_value,
    index_cross_entropy_gradient,
    index_cross_entropy_hvp,
    rows=True,
)
CROSS_ENTROPY = ClosedForms(
    "cross_entropy",
    cross_entropy_value,
    cross_entropy_gradient,
    cross_entropy_hvp,
    rows=True,
)
SQUARED_LOG_PARTITION = ClosedForms(
    "squared_log_partition",
    squared_log_partition_value,
    squared_log_partition_gradient,
    squared_log_partition_hvp,
    rows=True,
)

index_cross_entropy = differentiable(INDEX_CROSS_ENTROPY)
cross_entropy = differentiable(CROSS_ENTROPY)
squared_log_partition = differentiable(SQUARED_LOG_PARTITION)
nll = differentiable(ClosedForms("nll", nll_value, nll_gradient, nll_hvp, rows=True))
bernoulli_sum = differentiable(
    with_class_indices(
        ClosedForms(
            "bernoulli_sum",
            bernoulli_sum_value,
            bernoulli_sum_gradient,
            bernoulli_sum_hvp,
            rows=True,
        )
    )
)


def of_target(z: Tensor, t: Tensor) -> Tensor:
    """Compute cross-entropy with rows of targets or with class indices."""
    return cross_entropy(z, t) if t.is_floating_point() else index_cross_entropy(z, t)
