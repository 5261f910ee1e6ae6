"""Symmetric cross-entropy: that of the target and the model, plus that of the model and the target.

The second part, reverse cross-entropy, is the one that resists noise. It is L = sum_c p_c b_c with
b_c = -max(ln t_c, A): the logarithm of the target, with A < 0 for ln 0. The logarithm is taken of
max(t_c, exp A), so that its derivative by t is never 0 * inf.
"""

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import checks
from .arguments import elementwise, rows
from .base import Loss
from .bce import bce_with_logits_formula
from .closed_form import ClosedForms, Formula, differentiable
from .cross_entropies import cross_entropy_forms
from .entries import Entry
from .numerics import times
from .overrides import is_overridden, overridden
from .probabilities import ProbabilityLoss, of_probabilities
from .sigmoid import slope


def minus_log(t: Tensor, log_zero: float) -> Tensor:
    """Return -max(ln t, A), at most -A."""
    return -torch.log(t.clamp_min(math.exp(log_zero)))


def _slope(_r: object, t: Tensor, log_zero: float) -> Tensor:
    # A constant added to b does not change the gradient. With the largest b subtracted, a one-hot
    # target gives A e_y, so that equal terms of the wrong classes need not cancel.
    b = minus_log(t, log_zero)
    return b - b.detach().amax(-1, keepdim=True)


softmax_reverse_cross_entropy_formula = of_probabilities(
    "softmax_reverse_cross_entropy",
    ProbabilityLoss(
        # No term is negative; that of a one-hot target's right class is 0.
        lambda r, t, log_zero: (r.p * minus_log(t, log_zero)).sum(-1),
        _slope,
        lambda _r, dp, _t, _log_zero: torch.zeros_like(dp),
    ),
)


def _symmetric(name: str, forward: ClosedForms, reverse: ClosedForms, *given: float) -> ClosedForms:
    """Return the forms of alpha times cross-entropy plus beta times reverse cross-entropy.

    Args:
        forward: cross-entropy, with the settings `given`.
        reverse: reverse cross-entropy, with the setting log_zero.
    """

    def added(first: Formula, second: Formula, *arguments: Any) -> Tensor:
        *tensors, alpha, beta, log_zero = arguments
        loss: Tensor = beta * second(*tensors, log_zero)
        # 0 times the infinite cross-entropy of an infinite logit would be NaN.
        return alpha * first(*tensors, *given) + loss if alpha > 0 else loss

    return ClosedForms(
        name,
        partial(added, forward.value, reverse.value),
        partial(added, forward.gradient, reverse.gradient),
        partial(added, forward.hvp, reverse.hvp),
        forward.rows,
        float64_hvp=True,
    )


symmetric_cross_entropy_formula = differentiable(
    _symmetric(
        "symmetric_cross_entropy",
        cross_entropy_forms,
        softmax_reverse_cross_entropy_formula.forms,
        *(0.0, 0.0),
    )
)


def symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of the target and the model, plus that of the model and the target.

    L = alpha C - beta sum_c p_c max(ln t_c, A), at least 0, with C the cross-entropy and A =
    log_zero, which stands for ln 0. For a class index y it is alpha (-ln p_y) - A beta (1 - p_y),
    and dL/dz = (alpha - A beta p_y) (p - e_y).

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        alpha, beta: the weights of the two, at least 0; beta = 0 gives cross-entropy.
        log_zero: A, from -87 (exp A is a float32) to below 0. Entries of a target of at most exp A
            have no derivative in the second part.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; setting out of
            range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Wang et al. 2019, arXiv 1908.06112. 0.1 and 1 are what the authors' code takes for
        CIFAR-10; there t is no less than 1e-4, A = -9.2, while -4 is the paper's, from memory.
    """
    if is_overridden(input, target, weight):
        return overridden(symmetric_cross_entropy, locals())
    name = "symmetric_cross_entropy"
    _check_symmetric(name, alpha, beta, log_zero)
    settings = (float(alpha), float(beta), float(log_zero))
    formula = symmetric_cross_entropy_formula
    return rows(formula, name, input, target, weight, ignore_index, reduction, *settings)


class SymmetricCrossEntropyLoss(Loss):
    """Cross-entropy of target and model, plus that of model and target.

    See `losses.functional.symmetric_cross_entropy`.
    """

    function = staticmethod(symmetric_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        alpha: float = 0.1,
        beta: float = 1.0,
        log_zero: float = -4.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight},
            alpha=alpha,
            beta=beta,
            log_zero=log_zero,
            ignore_index=ignore_index,
            reduction=reduction,
        )


def symmetric_cross_entropy_textbook(
    z: Tensor, t: Tensor, alpha: float, beta: float, log_zero: float
) -> Tensor:
    p, log_p = torch.softmax(z, -1), torch.log_softmax(z, -1)
    return -(alpha * t * log_p + beta * p * torch.log(t).clamp_min(log_zero)).sum(-1)


# --- of one logit: L = p b_1 + (1 - p) b_0, p = sigma(z) -----------------------------------------


def _both_classes(t: Tensor, log_zero: float) -> tuple[Tensor, Tensor]:
    """Return b of class 1 and of class 0; 1 - t is exact for t >= 1/2 only."""
    near_one = minus_log(1 - t, log_zero)
    near_zero = -torch.log1p(-t.clamp_max(min(0.5, -math.expm1(log_zero))))
    return minus_log(t, log_zero), torch.where(t < 0.5, near_zero, near_one)


def reverse_cross_entropy_value(z: Tensor, t: Tensor, log_zero: float) -> Tensor:
    one, zero = _both_classes(t, log_zero)
    return torch.sigmoid(z) * one + torch.sigmoid(-z) * zero


def reverse_cross_entropy_gradient(z: Tensor, t: Tensor, log_zero: float) -> Tensor:
    one, zero = _both_classes(t, log_zero)
    return slope(z) * (one - zero)


def reverse_cross_entropy_hvp(z: Tensor, v: Tensor, t: Tensor, log_zero: float) -> Tensor:
    one, zero = _both_classes(t, log_zero)
    return -v * slope(z) * torch.tanh(z / 2) * (one - zero)


reverse_cross_entropy_formula = differentiable(
    ClosedForms(
        "reverse_cross_entropy",
        reverse_cross_entropy_value,
        reverse_cross_entropy_gradient,
        reverse_cross_entropy_hvp,
    )
)


def _of_both_classes(z: Tensor, t: Tensor) -> Tensor:
    # The same of (z, 1) and (-z, 0), which kernels find in the text of a formula.
    return times(t, -F.logsigmoid(z)) + times(1 - t, -F.logsigmoid(-z))


sigmoid_symmetric_cross_entropy_formula = differentiable(
    _symmetric(
        "sigmoid_symmetric_cross_entropy",
        bce_with_logits_formula.forms._replace(value=_of_both_classes),
        reverse_cross_entropy_formula.forms,
    )
)


def sigmoid_symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    reduction: str = "mean",
) -> Tensor:
    """Symmetric cross-entropy of a sigmoid.

    L = alpha B + beta [f b_1 + (1 - f) b_0], at least 0, with f = sigma(z), B the binary
    cross-entropy, b_1 = -max(ln t, A), b_0 = -max(ln(1 - t), A) and A = log_zero;
    dL/dz = alpha (f - t) + beta f (1 - f) (b_1 - b_0).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        alpha, beta: weights of the two terms, at least 0; beta = 0 gives binary cross-entropy.
        log_zero: A, the value of ln 0, from -87 (exp A is a float32) to below 0.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; setting out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `symmetric_cross_entropy`, for two classes.
    """
    if is_overridden(input, target, weight):
        return overridden(sigmoid_symmetric_cross_entropy, locals())
    name = "sigmoid_symmetric_cross_entropy"
    _check_symmetric(name, alpha, beta, log_zero)
    settings = (float(alpha), float(beta), float(log_zero))
    formula = sigmoid_symmetric_cross_entropy_formula
    return elementwise(formula, name, input, target, weight, reduction, *settings)


class SigmoidSymmetricCrossEntropyLoss(Loss):
    """Symmetric cross-entropy of a sigmoid.

    See `losses.functional.sigmoid_symmetric_cross_entropy`.
    """

    function = staticmethod(sigmoid_symmetric_cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        alpha: float = 0.1,
        beta: float = 1.0,
        log_zero: float = -4.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, alpha=alpha, beta=beta, log_zero=log_zero, reduction=reduction
        )


def sigmoid_symmetric_cross_entropy_textbook(
    z: Tensor, t: Tensor, alpha: float, beta: float, log_zero: float
) -> Tensor:
    p = torch.sigmoid(z)
    cross_entropy = -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z))
    log_t, log_rest = (torch.log(x).clamp_min(log_zero) for x in (t, 1 - t))
    return alpha * cross_entropy - beta * (p * log_t + (1 - p) * log_rest)


def _check_symmetric(name: str, alpha: float, beta: float, log_zero: float) -> None:
    checks.setting(name, "alpha", alpha, least=0.0)
    checks.setting(name, "beta", beta, least=0.0)
    checks.setting(name, "log_zero", log_zero, least=-87.0, below=0.0)


ENTRIES = (
    Entry(
        "symmetric-cross-entropy",
        SymmetricCrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        symmetric_cross_entropy_textbook,
        "cross-entropy in both directions",
        formula="-α ln p_y - A β (1 - p_y), A for ln 0",
        gradient="(α - A β p_y) (p - e_y)",
        range="[0, ∞)",
        use="where labels are noisy",
        source="Wang et al. 2019, arXiv 1908.06112",
    ),
    Entry(
        "sigmoid-symmetric-cross-entropy",
        SigmoidSymmetricCrossEntropyLoss,
        "binary",
        "logits",
        ("probability",),
        sigmoid_symmetric_cross_entropy_textbook,
        "binary cross-entropy in both directions",
        formula="α BCE + β [f b₁ + (1 - f) b₀], b = -max(ln t, A), f = σ(z)",
        gradient="α (f - t) + β f (1 - f) (b₁ - b₀)",
        range="[0, ∞)",
        use="where labels are noisy",
        source="Wang et al. 2019, arXiv 1908.06112",
    ),
)
