"""The parts of a softmax: probabilities, complements and gaps of a row z of logits over C classes.

The classes are in the last dimension, p = softmax(z) and q = 1 - p. A target is a class index y of
shape z.shape[:-1], or a row t of weights over the classes (a distribution, a one-hot row) of z's
shape. J = diag(p) - p p^T is the derivative of p, so J v = p (v - p.v) row by row.

Nothing here but `sum_over_pairs` and `sum_over_triples` subtracts two nearly equal numbers: the
largest term of a sum of exponentials is left out of it and comes back through log1p, and the
complement of a probability near 1 is the sum of the other probabilities. These two serve Hessians,
which float32 computes in float64 (`float64_hvp`).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from .numerics import times


class SoftmaxParts(NamedTuple):
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
    rest = exponential(z, largest).scatter(-1, top, 0.0)
    return largest, top, rest, rest.sum(-1, keepdim=True)


def exponential(z: Tensor, largest: Tensor) -> Tensor:
    """Return exp(z - largest), 1 where the two are equal, at infinity too."""
    z, largest = finite(z), finite(largest)
    gap = z - largest
    # The rounding error of the difference: in float32 a relative error of 4e-6 in exp(-80).
    back = gap - z
    lost = (z - (gap - back)) - (largest + back)
    return torch.exp(gap) * (1 + lost.nan_to_num(0.0, 0.0, 0.0))


def finite(z: Tensor) -> Tensor:
    """Return z with infinity clamped to the largest finite number, so that no inf - inf arises."""
    return z.clamp_max(torch.finfo(z.dtype).max)


def distance(largest: Tensor, z: Tensor) -> Tensor:
    """Return largest - z, 0 where they are equal, at infinity too."""
    return torch.where(z == largest, 0.0, largest - z)


def softmax_parts(z: Tensor) -> SoftmaxParts:
    if has_torch_function_unary(z):
        return handle_torch_function(softmax_parts, (z,), z)
    return plain_softmax_parts(z)


def plain_softmax_parts(z: Tensor) -> SoftmaxParts:
    """Compute `softmax_parts` by torch's operations."""
    largest, top, rest, others = exponentials(z)
    total = 1 + others
    p = rest.scatter(-1, top, 1.0) / total
    q = (total - rest).scatter(-1, top, others) / total
    return SoftmaxParts(top, distance(largest, z), others, p, q)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner product of rows, keeping the dimension."""
    return (a * b).sum(-1, keepdim=True)


def without(top: Tensor, x: Tensor) -> Tensor:
    """x with 0 at the class `top` of every row."""
    return x.scatter(-1, top, 0.0)


def centred(r: SoftmaxParts, x: Tensor) -> Tensor:
    """x - p.x, row by row.

    As x_c q_c - sum_{j != c} p_j x_j, in which the term of the largest p stands apart, so that it
    is never first added and then taken away again.
    """
    term = r.p * x
    small = without(r.top, term)
    of_top = without(r.top, term.gather(-1, r.top).expand_as(term))
    return x * r.q - (small.sum(-1, keepdim=True) - small + of_top)


def sum_of_others(a: Tensor) -> Tensor:
    """Return for every class the sum of a over the other classes.

    The largest entry is summed apart, so that it is never added and subtracted again.
    """
    top = a.abs().argmax(-1, keepdim=True)
    small = without(top, a)
    of_top = without(top, a.gather(-1, top).expand_as(a))
    rest = torch.where(small.isinf(), 0.0, small.sum(-1, keepdim=True) - small)
    return rest + of_top


def sum_over_pairs(w: Tensor, v: Tensor) -> Tensor:
    """Return for every class c the sum of w_d (v_c - v_d) over the other classes d."""
    return times(v, sum_of_others(w)) - sum_of_others(w * v)


def sum_over_triples(a: Tensor, p: Tensor, v: Tensor) -> Tensor:
    """Return for every class c the sum of a_y p_d (v_c - v_d) over distinct classes d and y, both
    other than c.

    The largest a is summed apart. If it is the only one, nothing is subtracted.
    """
    top = a.abs().argmax(-1, keepdim=True)
    small = without(top, a)
    of_top = without(top, times(a.gather(-1, top).expand_as(a), sum_over_pairs(without(top, p), v)))
    return of_top + sum_of_others(small) * sum_over_pairs(p, v) - sum_over_pairs(p * small, v)
