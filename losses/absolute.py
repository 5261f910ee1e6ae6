"""Absolute errors of a softmax: their sum, and the largest.

In the formulas r is `softmax_parts(z)`, t the target and dp a change of p, as in
`probabilities.py`.
"""

import torch
from torch import Tensor

from .arguments import rows
from .base import RowLoss
from .closed_form import ClosedForms
from .entries import Entry
from .numerics import sign
from .overrides import is_overridden, overridden
from .probabilities import ProbabilityLoss, error, of_probabilities
from .right_class import RightClass, of_rows
from .softmax import SoftmaxParts

# --- of a class index, the errors are p_c and p_y - 1: both losses are a multiple of 1 - p_y ----


def _of_index(name: str, factor: float) -> ClosedForms:
    """Return the closed forms of the loss `factor` (1 - p_y) of a class index y."""
    phi = RightClass(
        lambda _s, _p, q: factor * q, lambda _s, p, _q: factor * p, lambda _s, p, _q: -factor * p
    )
    return of_rows(name, phi).forms


# --- expectation: l = sum_c |p_c - t_c| ----------------------------------------------------------


def _expectation_slope(r: SoftmaxParts, t: Tensor) -> Tensor:
    # The largest sign is subtracted from all. For a right class y only its own entry, -2, is then
    # not 0, so the gradient 2 p_y p_c is computed without a difference.
    signs = sign(error(r, t))
    return signs - signs.amax(-1, keepdim=True)


_expectation = ProbabilityLoss(
    lambda r, t: error(r, t).abs().sum(-1),
    _expectation_slope,
    lambda _r, dp, _t: torch.zeros_like(dp),
)
expectation_formula = of_probabilities(
    "expectation", _expectation, _of_index("expectation_of_index", 2.0)
)


def expectation(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Absolute error of a softmax: the expected number of differing entries of a one-hot row.

    L = sum_c |p_c - t_c|, in [0, 2]; with e = sign(p - t), 0 where p_c = t_c, dL/dz = J e; the
    Hessian along v is dJ e, dJ the change of J along v.
    For a class index y: L = 2 (1 - p_y), dL/dz = 2 p_y (p - e_y).

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, expectation loss; from memory, not checked
        against the paper's own text. Ghosh et al. 2017, arXiv 1712.09482, have it as mean absolute
        error.
    """
    if is_overridden(input, target, weight):
        return overridden(expectation, locals())
    loss = expectation_formula
    return rows(loss, "expectation", input, target, weight, ignore_index, reduction)


class ExpectationLoss(RowLoss):
    """Absolute error of a softmax. See `losses.functional.expectation`."""

    function = staticmethod(expectation)


def expectation_textbook(z: Tensor, t: Tensor) -> Tensor:
    return (torch.softmax(z, -1) - t).abs().sum(-1)


# --- chebyshev: l = max_c |p_c - t_c| ------------------------------------------------------------


def _chebyshev_slope(r: SoftmaxParts, t: Tensor) -> Tensor:
    # The errors of a row add up to 0. If only one class has p < t (the right class of an index),
    # its error is therefore at least as large as any other. Where another one seems equal, rounding
    # hides the difference, so classes with p < t get the gradient. Equal errors share it, as in
    # amax.
    e = error(r, t)
    low, high = (-e).amax(-1, keepdim=True), e.amax(-1, keepdim=True)
    short = low >= high * (1 - 8 * torch.finfo(e.dtype).eps)
    hit = torch.where(short, -e == low, e == high).to(e.dtype)
    return e.sign() * hit / hit.sum(-1, keepdim=True)


_chebyshev = ProbabilityLoss(
    lambda r, t: error(r, t).abs().amax(-1),
    _chebyshev_slope,
    lambda _r, dp, _t: torch.zeros_like(dp),
)
chebyshev_formula = of_probabilities("chebyshev", _chebyshev, _of_index("chebyshev_of_index", 1.0))


def chebyshev(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Largest error of the probabilities of a softmax.

    L = max_c |p_c - t_c|, in [0, 1]; with k the class of the largest error and s its sign,
    dL/dz = s p_k (e_k - p), 0 where L = 0, s times row k of the softmax's Jacobian J = dp/dz; the
    Hessian along v is s times row k of dJ, the change of J along v.
    For a class index y: L = 1 - p_y, half of `expectation`. If several errors are the largest, they
    share the gradient equally, as in torch.amax. If these have different signs, only those with
    p_c < t_c do (with two classes the result is the same).

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, Chebyshev loss; from memory, not checked
        against the paper's own text.
    """
    if is_overridden(input, target, weight):
        return overridden(chebyshev, locals())
    loss = chebyshev_formula
    return rows(loss, "chebyshev", input, target, weight, ignore_index, reduction)


class ChebyshevLoss(RowLoss):
    """Largest error of a softmax. See `losses.functional.chebyshev`."""

    function = staticmethod(chebyshev)


def chebyshev_textbook(z: Tensor, t: Tensor) -> Tensor:
    return (torch.softmax(z, -1) - t).abs().amax(-1)


ENTRIES = (
    Entry(
        "expectation",
        ExpectationLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        expectation_textbook,
        "absolute error of a softmax",
        formula="Σ_c |p_c - t_c|",
        gradient="J sign(p - t)",
        range="[0, 2]",
        use="where labels are wrong more often than the model",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
    Entry(
        "chebyshev",
        ChebyshevLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        chebyshev_textbook,
        "largest error of a softmax",
        formula="max_c |p_c - t_c|",
        gradient="± J e_k, k the class of the largest error",
        range="[0, 1]",
        use="to compare with expectation, whose half it is for a right class",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
)
