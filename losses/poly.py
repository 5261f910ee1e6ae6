"""Poly-1: cross-entropy with another coefficient of its first-order term.

phi, s, p and q are those of `right_class.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from . import checks
from .arguments import elementwise, rows
from .base import Loss
from .entries import Entry
from .overrides import is_overridden, overridden
from .right_class import RightClass, of_one_logit, of_rows

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


def _poly1_bend(_s: Tensor, p: Tensor, q: Tensor, epsilon: float) -> Tensor:
    # p (1 + epsilon (p - q)), of terms that have one sign for epsilon in [-1, 1].
    if epsilon >= 0:
        return p * ((1 - epsilon) + 2 * epsilon * p)
    return p * ((1 + epsilon) - 2 * epsilon * q)


_poly1 = RightClass(
    _poly1_value, _poly1_first, lambda _s, p, _q, epsilon: -epsilon * p, _poly1_bend
)
poly1_formula = of_one_logit("poly1", _poly1)
softmax_poly1_formula = of_rows("softmax_poly1", _poly1)


def poly1(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    epsilon: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy with another coefficient of its first-order term (Poly-1).

    L = sum_c t_c [-ln p_c + epsilon (1 - p_c)], at least 0; for a class index y
    dL/dz = (1 + epsilon p_y) (p - e_y). As -ln p = (1 - p) + (1 - p)^2 / 2 + ..., -1 takes the
    first term away.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        epsilon: what is added to the first coefficient, at least -1; 0 gives cross-entropy.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; epsilon out of
            range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Leng et al. 2022, arXiv 2204.12511, as quoted by others; it names no default.
    """
    if is_overridden(input, target, weight):
        return overridden(poly1, locals())
    checks.setting("poly1", "epsilon", epsilon, least=-1.0)
    loss = softmax_poly1_formula
    return rows(loss, "poly1", input, target, weight, ignore_index, reduction, float(epsilon))


class Poly1Loss(Loss):
    """Cross-entropy of a softmax plus epsilon (1 - p_y).

    See `losses.functional.poly1`.
    """

    function = staticmethod(poly1)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        epsilon: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, epsilon=epsilon, ignore_index=ignore_index, reduction=reduction
        )


def poly1_textbook(z: Tensor, t: Tensor, epsilon: float) -> Tensor:
    return (t * (epsilon * (1 - torch.softmax(z, -1)) - torch.log_softmax(z, -1))).sum(-1)


# --- sigmoid-poly-1: the same of one logit -------------------------------------------------------


def sigmoid_poly1(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    epsilon: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy with another coefficient of its first-order term (Poly-1).

    L = B + epsilon [t (1 - f) + (1 - t) f], at least 0, with f = sigma(z) and B the binary
    cross-entropy; dL/dz = (f - t) + epsilon (1 - 2 t) f (1 - f).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        epsilon: what is added to the first coefficient, at least -1; 0 gives cross-entropy.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; epsilon out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `poly1`, for two classes.
    """
    if is_overridden(input, target, weight):
        return overridden(sigmoid_poly1, locals())
    checks.setting("sigmoid_poly1", "epsilon", epsilon, least=-1.0)
    loss = poly1_formula
    return elementwise(loss, "sigmoid_poly1", input, target, weight, reduction, float(epsilon))


class SigmoidPoly1Loss(Loss):
    """Binary cross-entropy plus epsilon times the probability of being wrong.

    See `losses.functional.sigmoid_poly1`.
    """

    function = staticmethod(sigmoid_poly1)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        epsilon: float = 1.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, epsilon=epsilon, reduction=reduction)


def sigmoid_poly1_textbook(z: Tensor, t: Tensor, epsilon: float) -> Tensor:
    p = torch.sigmoid(z)
    right = t * p + (1 - t) * (1 - p)
    cross_entropy = -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z))
    return cross_entropy + epsilon * (1 - right)


ENTRIES = (
    Entry(
        "poly-1",
        Poly1Loss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        poly1_textbook,
        "cross-entropy with a larger first-order term",
        formula="-ln p_y + ε (1 - p_y)",
        gradient="(1 + ε p_y) (p - e_y)",
        range="[0, ∞)",
        use="to tune cross-entropy by one number",
        source="Leng et al. 2022, arXiv 2204.12511",
    ),
    Entry(
        "sigmoid-poly-1",
        SigmoidPoly1Loss,
        "binary",
        "logits",
        ("probability",),
        sigmoid_poly1_textbook,
        "binary cross-entropy with a larger first-order term",
        formula="BCE + ε [t (1 - f) + (1 - t) f], f = σ(z)",
        gradient="f - t + ε (1 - 2t) f (1 - f)",
        range="[0, ∞)",
        use="to tune binary cross-entropy by one number",
        source="Leng et al. 2022, arXiv 2204.12511",
    ),
)
