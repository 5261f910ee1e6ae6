"""Logistic loss of a target of 1 or -1, and binary cross-entropy averaged over many labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from . import checks
from .arguments import ELEMENTS, ELEMENTS_OF_ONE_DTYPE, apply_reduction, elements, upcast
from .base import TorchReduced, TorchWeighted
from .bce import bce_with_logits_formula
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .kernels import compute
from .numerics import times
from .overrides import is_overridden, overridden

# --- soft-margin: L = ln(1 + exp(-y x)) ----------------------------------------------------------


def soft_margin_value(x: Tensor, y: Tensor) -> Tensor:
    return -logsigmoid(times(y, x))


def soft_margin_gradient(x: Tensor, y: Tensor) -> Tensor:
    return -y * torch.sigmoid(-times(y, x))


def soft_margin_hvp(x: Tensor, v: Tensor, y: Tensor) -> Tensor:
    u = times(y, x)
    return v * y.square() * torch.sigmoid(u) * torch.sigmoid(-u)


soft_margin_formula = differentiable(
    ClosedForms("soft_margin", soft_margin_value, soft_margin_gradient, soft_margin_hvp)
)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Logistic loss of a target of 1 or -1; cross-entropy of the sigmoid.

    L = ln(1 + exp(-y x)), at least 0; dL/dx = -y sigma(-y x); d2L/dx2 = y^2 sigma(y x) sigma(-y x).

    Args:
        input: logits, any shape, floating point.
        target: y, 1 or -1, broadcastable to input's shape, of any real dtype. Any number is taken
            by the same formula: 0 costs ln 2 and has no gradient.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: unknown reduction.
        RuntimeError: target cannot be broadcast to input's shape.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.soft_margin_loss, which overflows where y x is below -88 in float32;
        here the loss is -y x there.
    """
    if is_overridden(input, target):
        return overridden(soft_margin_loss, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    rest = (None, None, -100, reduction, ())
    found = compute(soft_margin_formula, ELEMENTS_OF_ONE_DTYPE, input, target, *rest)
    if found is not None:
        return found
    checks.basics(input, target, None, reduction)
    checks.floating("soft_margin_loss", input=input)
    checks.broadcasts_to_input(input, target=target)
    target = target.expand(input.shape)
    return elements(soft_margin_formula, input, target, *rest, input.dtype)


class SoftMarginLoss(TorchReduced, nn.SoftMarginLoss):
    """Logistic loss of a target of 1 or -1; drop-in for `torch.nn.SoftMarginLoss`.

    See `losses.functional.soft_margin_loss`.
    """

    function = staticmethod(soft_margin_loss)


def soft_margin_textbook(z: Tensor, t: Tensor) -> Tensor:
    return torch.log(1 + torch.exp(-t * z))


# --- multilabel-soft-margin: the mean over the classes of bce-with-logits ------------------------


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy from logits, averaged over the classes, which are the last dimension.

    L = -1/C sum_c w_c [t_c ln sigma(x_c) + (1 - t_c) ln(1 - sigma(x_c))], at least 0;
    dL/dx_c = w_c / C (sigma(x_c) - t_c); the Hessian is diagonal, w_c / C sigma(x_c) sigma(-x_c).

    Args:
        input: logits, (..., C), floating point.
        target: the probability that class c is right, in [0, 1], broadcastable with input, of any
            real dtype.
        weight: a factor w for each class, (C,), or for whatever else broadcasts to the elements.
        reduction: 'mean' over the rows (the weights are not divided by), 'sum' or 'none'.
    Raises:
        ValueError: unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        IndexError: input has no dimension.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.multilabel_soft_margin_loss.
    """
    if is_overridden(input, target, weight):
        return overridden(multilabel_soft_margin_loss, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    # The mean over rows of means over classes is that over all elements. A wider weight widens it.
    same = weight is None or getattr(weight, "dtype", None) == getattr(input, "dtype", None)
    if reduction == "mean" and isinstance(input, Tensor) and input.dim() > 0 and same:
        arguments = (input, target, weight, None, -100, reduction, ())
        found = compute(bce_with_logits_formula, ELEMENTS, *arguments)
        if found is not None:
            return found
    checks.basics(input, target, weight, reduction)
    if input.dim() == 0:
        raise IndexError("input has no class dimension: expected (..., C), got ()")
    checks.floating("multilabel_soft_margin_loss", input=input)
    checks.real(target=target)
    dtype = torch.promote_types(input.dtype, target.dtype)
    size = checks.broadcast_size(input=input, target=target)
    x, t = upcast(input, dtype).expand(size), upcast(target, dtype).expand(size)
    arguments = (x, t, None, None, -100, "none", ())
    each = compute(bce_with_logits_formula, ELEMENTS, *arguments)
    if each is None:
        each = elements(bce_with_logits_formula, *arguments)
    if weight is not None:
        checks.real(weight=weight)
        checks.broadcast_size(weight=weight, loss=each)
        dtype = torch.promote_types(dtype, weight.dtype)
        each = upcast(each, dtype) * upcast(weight, dtype)
    # torch counts the classes before it broadcasts.
    return apply_reduction(each.sum(input.dim() - 1) / input.shape[-1], reduction, dtype)


class MultiLabelSoftMarginLoss(TorchWeighted, nn.MultiLabelSoftMarginLoss):
    """Binary cross-entropy from logits, averaged over the classes in the last dimension; drop-in
    for `torch.nn.MultiLabelSoftMarginLoss`. See `losses.functional.multilabel_soft_margin_loss`.
    """

    function = staticmethod(multilabel_soft_margin_loss)


def multilabel_soft_margin_textbook(z: Tensor, t: Tensor) -> Tensor:
    return -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z)).mean(-1)


ENTRIES = (
    Entry(
        "soft-margin",
        SoftMarginLoss,
        "binary",
        "logits",
        ("sign",),
        soft_margin_textbook,
        "logistic loss of a target of 1 or -1",
        formula="ln(1 + exp(-y z))",
        gradient="-y σ(-y z)",
        range="[0, ∞)",
        use="bce-with-logits, where targets are signs",
        source="torch.nn.SoftMarginLoss",
    ),
    Entry(
        "multilabel-soft-margin",
        MultiLabelSoftMarginLoss,
        "multilabel",
        "logits",
        ("probability",),
        multilabel_soft_margin_textbook,
        "binary cross-entropy averaged over the classes",
        images=False,
        formula="-Σ_c [t_c ln σ(z_c) + (1 - t_c) ln(1 - σ(z_c))] / C",
        gradient="(σ(z) - t) / C",
        range="[0, ∞)",
        use="several labels, one number per example",
        source="torch.nn.MultiLabelSoftMarginLoss",
    ),
)
