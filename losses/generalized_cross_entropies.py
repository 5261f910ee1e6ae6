"""Generalized cross-entropy: between cross-entropy and 1 - p of the right class.

phi, s, p and q are those of `right_class.py`; the setting q of the functions is k in its formulas.
"""

import math

import torch
from torch import Tensor

from . import checks
from .arguments import elementwise, rows
from .base import Loss
from .entries import Entry
from .overrides import is_overridden, overridden
from .right_class import RightClass, of_one_logit, of_rows

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
    # The rest is above -2 as long as the first factor is above 0. The clamp avoids 0 * inf.
    return torch.exp(-leading_k * leading) * torch.exp(-rest.clamp_min(-2.0))


_generalized = RightClass(
    lambda s, _p, _q, k: -torch.expm1(-k * s) / k,
    lambda s, _p, _q, k: _power(s, 0.0, k),
    lambda s, _p, _q, k: -k * _power(s, 0.0, k),
)
# For rows s is a sum, gap + rest. Both parts are passed on, so that the sum is not rounded.
_generalized_of_parts = RightClass(
    lambda gap, rest, k: -torch.expm1(-k * (gap + rest)) / k,
    lambda gap, rest, k: _power(gap, rest, k),
    lambda gap, rest, k: -k * _power(gap, rest, k),
)
generalized_cross_entropy_formula = of_one_logit("generalized_cross_entropy", _generalized)
softmax_generalized_cross_entropy_formula = of_rows(
    "softmax_generalized_cross_entropy",
    _generalized_of_parts,
    lambda r: (r.gap, torch.log1p(r.others)),
)


def generalized_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    q: float = 0.7,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Generalized cross-entropy: between cross-entropy (q -> 0) and 1 - p_y (q = 1).

    L = sum_c t_c (1 - p_c^q) / q, in [0, 1 / q]; for a class index y dL/dz = p_y^q (p - e_y): the
    gradient of cross-entropy, less where the model disagrees with the label.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        q: how much less, in (0, 1].
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; q out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Zhang and Sabuncu 2018, arXiv 1805.07836, as quoted by others.
    """
    if is_overridden(input, target, weight):
        return overridden(generalized_cross_entropy, locals())
    name = "generalized_cross_entropy"
    checks.setting(name, "q", q, least=1e-30, most=1.0)
    loss = softmax_generalized_cross_entropy_formula
    return rows(loss, name, input, target, weight, ignore_index, reduction, float(q))


class GeneralizedCrossEntropyLoss(Loss):
    """Generalized cross-entropy of a softmax, (1 - p_y^q) / q.

    See `losses.functional.generalized_cross_entropy`.
    """

    function = staticmethod(generalized_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        q: float = 0.7,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, q=q, ignore_index=ignore_index, reduction=reduction)


def generalized_cross_entropy_textbook(z: Tensor, t: Tensor, q: float) -> Tensor:
    return (t * (1 - torch.softmax(z, -1) ** q) / q).sum(-1)


# --- sigmoid-generalized-cross-entropy: the same of one logit ------------------------------------


def sigmoid_generalized_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    q: float = 0.7,
    reduction: str = "mean",
) -> Tensor:
    """Generalized cross-entropy of a sigmoid.

    L = [t (1 - f^q) + (1 - t) (1 - (1 - f)^q)] / q, in [0, 1 / q], with f = sigma(z);
    dL/dz = (1 - t) f (1 - f)^q - t (1 - f) f^q.

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        q: 0 excluded, the limit there is binary cross-entropy; at most 1, which is
            `probability_sum`.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; q out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `generalized_cross_entropy`, for two classes.
    """
    if is_overridden(input, target, weight):
        return overridden(sigmoid_generalized_cross_entropy, locals())
    name = "sigmoid_generalized_cross_entropy"
    checks.setting(name, "q", q, least=1e-30, most=1.0)
    loss = generalized_cross_entropy_formula
    return elementwise(loss, name, input, target, weight, reduction, float(q))


class SigmoidGeneralizedCrossEntropyLoss(Loss):
    """Generalized cross-entropy of a sigmoid.

    See `losses.functional.sigmoid_generalized_cross_entropy`.
    """

    function = staticmethod(sigmoid_generalized_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        q: float = 0.7,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, q=q, reduction=reduction)


def sigmoid_generalized_cross_entropy_textbook(z: Tensor, t: Tensor, q: float) -> Tensor:
    p = torch.sigmoid(z)
    return (t * (1 - p**q) + (1 - t) * (1 - (1 - p) ** q)) / q


ENTRIES = (
    Entry(
        "generalized-cross-entropy",
        GeneralizedCrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        generalized_cross_entropy_textbook,
        "between cross-entropy and 1 - p_y",
        formula="(1 - p_y^q) / q",
        gradient="p_y^q (p - e_y)",
        range="[0, 1/q]",
        use="where labels are noisy",
        source="Zhang and Sabuncu 2018, arXiv 1805.07836",
    ),
    Entry(
        "sigmoid-generalized-cross-entropy",
        SigmoidGeneralizedCrossEntropyLoss,
        "binary",
        "logits",
        ("probability",),
        sigmoid_generalized_cross_entropy_textbook,
        "between binary cross-entropy and probability-sum",
        formula="[t (1 - f^q) + (1 - t) (1 - (1 - f)^q)] / q, f = σ(z)",
        gradient="(1 - t) f (1 - f)^q - t (1 - f) f^q",
        range="[0, 1/q]",
        use="where labels are noisy",
        source="Zhang and Sabuncu 2018, arXiv 1805.07836",
    ),
)
