"""Losses from the similarity of softmax and target: Tanimoto similarity, and cosine.

In the formulas r is `softmax_parts(z)`, t the target and dp a change of p.
"""

import torch
from torch import Tensor

from .arguments import rows
from .base import RowLoss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import times
from .overrides import is_overridden, overridden
from .probabilities import error
from .softmax import SoftmaxParts, centred, distance, dot, softmax_parts, sum_over_pairs, without

# --- tanimoto: l = -N / D, N = p.t, D = |p|^2 + |t|^2 - N ----------------------------------------

# With E = |p - t|^2, which keeps its digits where p is near t, D = E + N. From dN/dp = t and
# dD/dp = 2 p - t the slope is [N (2 p - t) - D t] / D^2 = U / D^2, U = 2 N (p - t) - E t.


def _tanimoto_parts(r: SoftmaxParts, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return p - t, E, N and D."""
    off = error(r, t)
    e, n = dot(off, off), dot(r.p, t)
    return off, e, n, e + n


def tanimoto_value(z: Tensor, t: Tensor) -> Tensor:
    _, _, n, d = _tanimoto_parts(softmax_parts(z), t)
    return -(n / d).squeeze(-1)


def tanimoto_gradient(z: Tensor, t: Tensor) -> Tensor:
    r = softmax_parts(z)
    off, e, n, d = _tanimoto_parts(r, t)
    return r.p * centred(r, (2 * n * off - e * t) / d.square())


# The gradient is p f / D^2 with f = 2 N p - (|p|^2 + |t|^2) t - N (|p|^2 - |t|^2), which is
# D^2 (e - p.e) for the slope e. |p|^2 and |t|^2 are near 1 where both are certain: their difference
# is what the targets lack of 1, plus sum_c t_c (1 - t_c) - sum_c p_c q_c. At the class of the
# largest p terms of f cancel. The Hessian there is minus the sum of the other classes, because a
# number added to all logits changes nothing.


def tanimoto_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    r = softmax_parts(z)
    _, _, n, d = _tanimoto_parts(r, t)
    less = (1 - t.sum(-1, keepdim=True)) + dot(t, 1 - t) - dot(r.p, r.q)
    both = dot(r.p, r.p) + dot(t, t)
    dp = r.p * centred(r, v)
    dn, squares = dot(dp, t), 2 * dot(r.p, dp)
    f = 2 * n * r.p - both * t - n * less
    df = 2 * dn * r.p + 2 * n * dp - squares * t - dn * less - n * squares
    change = without(r.top, (dp * f + r.p * (df - 2 * f * (squares - dn) / d)) / d.square())
    return change.scatter(-1, r.top, -change.sum(-1, keepdim=True))


tanimoto_formula = differentiable(
    ClosedForms(
        *("tanimoto", tanimoto_value, tanimoto_gradient, tanimoto_hvp),
        rows=True,
        float64_hvp=True,
    )
)


def tanimoto(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the Tanimoto similarity (the Jaccard index of two rows of weights) of p and t.

    L = -N / D with N = sum_c p_c t_c and D = |p|^2 + |t|^2 - N, in [-1, 0], -1 where p = t; with
    E = |p - t|^2 = D - N and U = 2 N (p - t) - E t, dL/dz = J U / D^2. A row of targets that are
    all 0 has loss 0.

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, Tanimoto loss; from memory, not checked
        against the paper's own text.
    """
    if is_overridden(input, target, weight):
        return overridden(tanimoto, locals())
    loss = tanimoto_formula
    return rows(loss, "tanimoto", input, target, weight, ignore_index, reduction)


class TanimotoLoss(RowLoss):
    """Minus the Tanimoto similarity of softmax and target. See `losses.functional.tanimoto`."""

    function = staticmethod(tanimoto)


def tanimoto_textbook(z: Tensor, t: Tensor) -> Tensor:
    p = torch.softmax(z, -1)
    both = (p * t).sum(-1)
    return -both / ((p * p).sum(-1) + (t * t).sum(-1) - both)


# --- cauchy-schwarz: L = -ln [p.t / (|p| |t|)] ---------------------------------------------------

# As p = exp(z) / sum exp(z), it is ln(sum exp(2 z)) / 2 - ln sum t exp(z) + ln(|t|^2) / 2, with the
# gradient w - s, w = softmax(2 z) and s_c = t_c exp(z_c) / sum_j t_j exp(z_j), and the Hessian
# 2 J_w - J_s. A row of targets that are all 0 has no direction: its loss is 0.


class _TargetSoftmax:
    """s and 1 - s of logits z and targets t, ln sum t exp(z - m), and m, the largest logit whose
    target is not 0. Only products of t occur, because ln t has no derivative at 0."""

    def __init__(self, z: Tensor, t: Tensor) -> None:
        self.largest = torch.where(t > 0, z, -torch.inf).amax(-1, keepdim=True)
        same = z.isinf() & (z == self.largest)
        # A class with target 0 may be far above m.
        part = times(t, torch.where(same, 0.0, z - self.largest).exp())
        top = part.argmax(-1, keepdim=True)
        rest = without(top, part)
        others = rest.sum(-1, keepdim=True)
        total = part.gather(-1, top) + others
        self.none = total == 0
        total = torch.where(self.none, 1.0, total)
        self.log_total = total.log()
        self.s = part / total
        self.complement = (total - rest).scatter(-1, top, others) / total


def cauchy_schwarz_value(z: Tensor, t: Tensor) -> Tensor:
    shares, r, squares = _TargetSoftmax(z, t), softmax_parts(2 * z), dot(t, t)
    squares = torch.where(shares.none, 1.0, squares)
    apart = distance(z.amax(-1, keepdim=True), shares.largest)
    far = apart + torch.log1p(r.others) / 2 - shares.log_total + squares.log() / 2
    # Where p points along t these terms cancel. There |p|^2 |t|^2 = N^2 + |u|^2 |t|^2, N = p.t,
    # where u = p - N t / |t|^2 is the part of p across t.
    p = softmax_parts(z).p
    along = dot(p, t)
    across = squares * (p - along / squares * t).square().sum(-1, keepdim=True)
    near = across < along.square()
    ratio = across / torch.where(near, along, 1.0).square()
    value = torch.where(near, torch.log1p(ratio) / 2, far)
    return torch.where(shares.none, 0.0, value).squeeze(-1)


def cauchy_schwarz_gradient(z: Tensor, t: Tensor) -> Tensor:
    # w - s without the difference where either is one-hot.
    shares, r = _TargetSoftmax(z, t), softmax_parts(2 * z)
    return torch.where(shares.none, 0.0, r.p * shares.complement - shares.s * r.q)


def cauchy_schwarz_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    shares, r = _TargetSoftmax(z, t), softmax_parts(2 * z)
    change = 2 * r.p * centred(r, v) - shares.s * sum_over_pairs(shares.s, v)
    return torch.where(shares.none, 0.0, change)


cauchy_schwarz_formula = differentiable(
    ClosedForms(
        "cauchy_schwarz",
        cauchy_schwarz_value,
        cauchy_schwarz_gradient,
        cauchy_schwarz_hvp,
        rows=True,
        float64_hvp=True,
    )
)


def cauchy_schwarz(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cauchy-Schwarz divergence of p and t: minus the logarithm of the cosine between them.

    L = -ln [sum_c p_c t_c / (|p| |t|)], at least 0; with w = softmax(2 z) and s_c proportional to
    t_c exp z_c, dL/dz = w - s; the Hessian is 2 J_w - J_s, J of w and of s in place of p.
    For a class index y it is half the cross-entropy of 2 z: dL/dz = w - e_y. The size of t does not
    count, only its direction; a row of targets that are all 0 has none, and loss 0.

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, Cauchy-Schwarz divergence; from memory,
        not checked against the paper's own text.
    """
    if is_overridden(input, target, weight):
        return overridden(cauchy_schwarz, locals())
    loss = cauchy_schwarz_formula
    return rows(loss, "cauchy_schwarz", input, target, weight, ignore_index, reduction)


class CauchySchwarzLoss(RowLoss):
    """Minus the logarithm of the cosine between softmax and target.

    See `losses.functional.cauchy_schwarz`.
    """

    function = staticmethod(cauchy_schwarz)


def cauchy_schwarz_textbook(z: Tensor, t: Tensor) -> Tensor:
    p = torch.softmax(z, -1)
    # Targets that are all 0 have no direction: they are given p's, which is a loss of 0.
    t = torch.where((t * t).sum(-1, keepdim=True) == 0, p, t)
    return -torch.log((p * t).sum(-1) / torch.sqrt((p * p).sum(-1) * (t * t).sum(-1)))


ENTRIES = (
    Entry(
        "tanimoto",
        TanimotoLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        tanimoto_textbook,
        "minus the Tanimoto similarity of softmax and target",
        formula="-N / D, N = p·t, D = |p|² + |t|² - N",
        gradient="J (2 N (p - t) - |p - t|² t) / D²",
        range="[-1, 0]",
        use="a bounded loss that asks for overlap",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
    Entry(
        "cauchy-schwarz",
        CauchySchwarzLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        cauchy_schwarz_textbook,
        "minus ln of the cosine between softmax and target",
        formula="-ln [p·t / (|p| |t|)]",
        gradient="softmax(2z) - s, s_c ∝ t_c exp z_c",
        range="[0, ∞)",
        use="cross-entropy at half the temperature; soft targets by direction alone",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
)
