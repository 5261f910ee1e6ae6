"""Binary cross-entropy of a probability x, and of a logit z, with a target t in [0, 1].

It is minus the log-likelihood of a Bernoulli distribution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import checks
from .arguments import elements, elementwise
from .base import Loss, TorchWeighted
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .kernels import Signature, compute
from .numerics import times
from .overrides import is_overridden, overridden
from .sigmoid import error, slope

# --- bce: L = -[t ln x + (1 - t) ln(1 - x)], each ln no less than -100, as torch has it ----------


def bce_value(x: Tensor, t: Tensor) -> Tensor:
    return -(t * torch.log(x).clamp_min(-100) + (1 - t) * torch.log1p(-x).clamp_min(-100))


def bce_gradient(x: Tensor, t: Tensor) -> Tensor:
    # torch keeps the gradient finite at 0 and 1 by the same bound on x (1 - x).
    return (x - t) / (x * (1 - x)).clamp_min(1e-12)


def bce_hvp(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    # t / x^2 + (1 - t) / (1 - x)^2 over one denominator. Squared last: x^2 may underflow.
    spread = (x * (1 - x)).clamp_min(1e-12)
    return v * (t * ((1 - x) / spread).square() + (1 - t) * (x / spread).square())


bce_formula = differentiable(ClosedForms("bce", bce_value, bce_gradient, bce_hvp))
_PROBABILITIES = Signature(elements, one_dtype=True, unit_interval=True)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of probabilities.

    L = -[t ln x + (1 - t) ln(1 - x)], each logarithm no less than -100, so L is in [0, 100];
    dL/dx = (x - t) / (x (1 - x)), the denominator no less than 1e-12;
    d2L/dx2 = t / x^2 + (1 - t) / (1 - x)^2, bounded likewise.

    Args:
        input: probabilities in [0, 1], any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape and dtype.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: target has another dtype than input; weight cannot be broadcast; an element
            outside [0, 1] (seen on the CPU; elsewhere it gives NaN).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.binary_cross_entropy, its bounds included.

    >>> import torch
    >>> binary_cross_entropy(torch.tensor([0.9, 0.0]), torch.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.1054, 100.0000])
    """
    if is_overridden(input, target, weight):
        return overridden(binary_cross_entropy, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    arguments = (input, target, weight, None, -100, reduction, ())
    found = compute(bce_formula, _PROBABILITIES, *arguments)
    if found is not None:
        return found
    checks.basics(input, target, weight, reduction)
    checks.same_shape(input, target)
    checks.same_dtype(input, target=target)
    checks.floating("binary_cross_entropy", input=input)
    _check_unit_interval("input", input)
    _check_unit_interval("target", target)
    if weight is not None:
        checks.broadcasts_to_input(input, weight=weight)
    return elements(bce_formula, *arguments, input.dtype)


def _check_unit_interval(name: str, x: Tensor) -> None:
    """Raise RuntimeError for an element outside [0, 1] (NaN included)."""
    if checks.all_within(x, 1):
        return
    if (at := checks.first(x, lambda x: ~((x >= 0) & (x <= 1)))) is not None:
        raise RuntimeError(
            f"all elements of {name} should be between 0 and 1 but {x[at].item()} is at "
            f"position {at}; for logits use the loss 'with logits'"
        )


class BCELoss(TorchWeighted, nn.BCELoss):
    """Binary cross-entropy of probabilities; drop-in for `torch.nn.BCELoss`.

    See `losses.functional.binary_cross_entropy`.
    """

    function = staticmethod(binary_cross_entropy)


def bce_textbook(x: Tensor, t: Tensor) -> Tensor:
    one, zero = torch.log(x).clamp_min(-100), torch.log(1 - x).clamp_min(-100)
    return -(t * one + (1 - t) * zero)


# --- bce-with-logits: L = t softplus(-z) + (1 - t) softplus(z) -----------------------------------


def bce_with_logits_value(z: Tensor, t: Tensor) -> Tensor:
    # softplus(z) = max(z, 0) + ln(1 + exp(-|z|)): the logarithm is the same on both sides, and of
    # the two linear parts one is 0.
    return times(torch.where(z < 0, -t, 1 - t), z) + torch.log1p(torch.exp(-z.abs()))


def bce_with_logits_gradient(z: Tensor, t: Tensor) -> Tensor:
    return error(z, t)


def bce_with_logits_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    # Independent of t. Zeros of t's shape give the result the batch dimension of a vmap over t.
    return v * slope(z) + torch.zeros_like(t)


bce_with_logits_formula = differentiable(
    ClosedForms(
        "bce_with_logits",
        bce_with_logits_value,
        bce_with_logits_gradient,
        bce_with_logits_hvp,
    )
)


# --- the same with a weight w of the positives: L = w t softplus(-z) + (1 - t) softplus(z) -------


def weighted_bce_value(z: Tensor, t: Tensor, w: Tensor) -> Tensor:
    positive, negative = w * t, 1 - t
    linear = times(torch.where(z < 0, -positive, negative), z)
    return linear + (positive + negative) * torch.log1p(torch.exp(-z.abs()))


def weighted_bce_gradient(z: Tensor, t: Tensor, w: Tensor) -> Tensor:
    return (1 - t) * torch.sigmoid(z) - w * t * torch.sigmoid(-z)


def weighted_bce_hvp(z: Tensor, v: Tensor, t: Tensor, w: Tensor) -> Tensor:
    return v * (w * t + (1 - t)) * slope(z)


weighted_bce_formula = differentiable(
    ClosedForms("weighted_bce", weighted_bce_value, weighted_bce_gradient, weighted_bce_hvp)
)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy from logits.

    L = -[w t ln sigma(z) + (1 - t) ln(1 - sigma(z))] with w = pos_weight;
    dL/dz = (1 - t) sigma(z) - w t sigma(-z), which for w = 1 is sigma(z) - t;
    d2L/dz2 = (w t + 1 - t) sigma(z) sigma(-z).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements (NaN where there are none), 'sum' or 'none'.
        pos_weight: the weight of class 1, broadcastable to input's shape.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: weight or pos_weight cannot be broadcast; integer target.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.binary_cross_entropy_with_logits. An infinite logit on the right
        side is a loss of 0 here, and NaN there.

    >>> import torch
    >>> z = torch.tensor([40.0, -3.0, float("inf")])
    >>> binary_cross_entropy_with_logits(z, torch.tensor([1.0, 1.0, 1.0]), reduction="none")
    tensor([4.2484e-18, 3.0486e+00, 0.0000e+00])
    """
    if is_overridden(input, target, weight, pos_weight):
        return overridden(binary_cross_entropy_with_logits, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    name = "binary_cross_entropy_with_logits"
    if pos_weight is None:
        return elementwise(bce_with_logits_formula, name, input, target, weight, reduction)
    arguments = (input, target, weight, reduction)
    return elementwise(weighted_bce_formula, name, *arguments, pos_weight=pos_weight)


class BCEWithLogitsLoss(Loss, nn.BCEWithLogitsLoss):
    """Binary cross-entropy from logits; drop-in for `torch.nn.BCEWithLogitsLoss`.

    See `losses.functional.binary_cross_entropy_with_logits`.
    """

    function = staticmethod(binary_cross_entropy_with_logits)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        buffers = {"weight": weight, "pos_weight": pos_weight}
        super().__init__(buffers, size_average, reduce, reduction=reduction)


def bce_with_logits_textbook(z: Tensor, t: Tensor) -> Tensor:
    return -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z))


ENTRIES = (
    Entry(
        "bce",
        BCELoss,
        "binary",
        "probabilities",
        ("probability",),
        bce_textbook,
        "binary cross-entropy of probabilities",
        formula="-[t ln x + (1 - t) ln(1 - x)], each ln ≥ -100",
        gradient="(x - t) / (x (1 - x))",
        range="[0, 100]",
        use="where only probabilities are at hand; from logits bce-with-logits keeps its gradient",
        source="torch.nn.BCELoss",
    ),
    Entry(
        "bce-with-logits",
        BCEWithLogitsLoss,
        "binary",
        "logits",
        ("probability",),
        bce_with_logits_textbook,
        "binary cross-entropy from logits",
        formula="t ln(1 + exp(-z)) + (1 - t) ln(1 + exp z)",
        gradient="σ(z) - t",
        range="[0, ∞)",
        use="the default for two classes and for several labels",
        source="torch.nn.BCEWithLogitsLoss",
    ),
)
