"""The softmax read as a sum of Bernoulli distributions, one for each class."""

import torch
from torch import Tensor

from .arguments import rows
from .base import RowLoss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import times
from .overrides import is_overridden, overridden
from .softmax import (
    centred,
    distance,
    finite,
    softmax_parts,
    sum_over_pairs,
    sum_over_triples,
    without,
)
from .textbook import others

# --- bernoulli-sum: L = -sum_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)] ------------------------------


def bernoulli_sum_value(z: Tensor, t: Tensor) -> Tensor:
    r = softmax_parts(z)
    log_total = torch.log1p(r.others)
    # 1 - p of the largest is a sum that underflows long before its logarithm does.
    others = z.scatter(-1, r.top, -torch.inf).logsumexp(-1, keepdim=True)
    of_top = log_total + distance(z.gather(-1, r.top), others)
    minus_log_q = (-torch.log1p(-without(r.top, r.p))).scatter(-1, r.top, of_top)
    return (times(t, r.gap + log_total) + times(1 - t, minus_log_q)).sum(-1)


def _without_top(z: Tensor, top: Tensor) -> Tensor:
    """Return w, the softmax over the classes without `top`; 0 there."""
    others = finite(z).scatter(-1, top, -torch.inf)
    # Where every other logit is -inf they share what a softmax over them would give.
    alone = others.amax(-1, keepdim=True) == -torch.inf
    shared = without(top, torch.ones_like(z))
    shared = shared / shared.sum(-1, keepdim=True).clamp_min(1)
    return torch.where(alone, shared, torch.softmax(others, -1))


# With h_c = p_c dL/dp_c = -t_c + (1 - t_c) p_c / q_c the gradient is g_c = h_c - p_c sum_j h_j. The
# odds p / q of the largest class k overflow when the model is certain, but they only occur as
# q_k p_k / q_k = p_k and, for c != k, as p_c p_k / q_k = p_k w_c, where w is the softmax over the
# classes without k. So k's terms are written apart: with R_c = sum of h_j over j not in {c, k},
#
#   g_c = (1 - t_c) p_c - t_c q_c - p_c R_c - [c != k] ((1 - t_k) p_k w_c - t_k p_c).


def bernoulli_sum_gradient(z: Tensor, t: Tensor) -> Tensor:
    r = softmax_parts(z)
    t_top, p_top = t.gather(-1, r.top), r.p.gather(-1, r.top)
    h = without(r.top, (1 - t) * (r.p / r.q) - t)
    rest = h.sum(-1, keepdim=True) - h
    of_top = (1 - t_top) * p_top * _without_top(z, r.top) - t_top * r.p
    return (1 - t) * r.p - t * r.q - r.p * rest - without(r.top, of_top)


# The Hessian is that of `right_class.py` for phi = s, weighed by t, plus that of phi = -ln q,
# weighed by 1 - t, whose phi' = -p / q and phi'' = p / q^2. For both k is p, and the sum of both j
# is t - (1 - t) p (1 + q) / q^2. That of the largest class meets p_c p_d = q^2 w_c w_d.


def bernoulli_sum_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    r, w = softmax_parts(z), _without_top(z, softmax_parts(z).top)
    j = t - without(r.top, (1 - t) * r.p * (1 + r.q) / r.q.square())
    j_top = (t * r.q.square() - (1 - t) * r.p * (1 + r.q)).gather(-1, r.top)
    of_top = without(r.top, j_top * w * sum_over_pairs(w, v))
    return r.p * (2 * centred(r, v) + sum_over_triples(without(r.top, j), r.p, v)) + of_top


bernoulli_sum_formula = differentiable(
    ClosedForms(
        "bernoulli_sum",
        bernoulli_sum_value,
        bernoulli_sum_gradient,
        bernoulli_sum_hvp,
        rows=True,
        float64_hvp=True,
    )
)


def bernoulli_sum(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Sum over the classes of the Bernoulli cross-entropy of a softmax output.

    L = -sum_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)], at least 0; with
    h_c = -t_c + (1 - t_c) p_c / (1 - p_c), dL/dz_c = h_c - p_c sum_j h_j.
    With two classes it is twice the cross-entropy.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: the softmax read as a sum of Bernoulli distributions, one per class.
    """
    if is_overridden(input, target, weight):
        return overridden(bernoulli_sum, locals())
    return rows(
        bernoulli_sum_formula, "bernoulli_sum", input, target, weight, ignore_index, reduction
    )


class BernoulliSumLoss(RowLoss):
    """Sum over the classes of the Bernoulli cross-entropy of a softmax output.

    See `losses.functional.bernoulli_sum`.
    """

    function = staticmethod(bernoulli_sum)


def bernoulli_sum_textbook(z: Tensor, t: Tensor) -> Tensor:
    p = torch.softmax(z, -1)
    return -(torch.xlogy(t, p) + torch.xlogy(1 - t, others(p))).sum(-1)


ENTRIES = (
    Entry(
        "bernoulli-sum",
        BernoulliSumLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        bernoulli_sum_textbook,
        "sum of Bernoulli cross-entropies of a softmax",
        formula="-Σ_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)]",
        gradient="h - p Σ_j h_j, h = -t + (1 - t) p / (1 - p)",
        range="[0, ∞)",
        use="to compare with cross-entropy",
        source="the softmax read as a sum of Bernoulli distributions",
    ),
)
