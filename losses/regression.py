"""Errors of a single number: squared, absolute, and squared behind a sigmoid."""

import torch
from torch import Tensor, nn

from . import checks
from .arguments import ELEMENTS, apply_reduction, elements, elementwise, upcast
from .base import TorchReduced, Weighted
from .closed_form import ClosedForms, Differentiable, differentiable
from .entries import Entry
from .kernels import compute
from .numerics import sign, zero_hvp
from .overrides import is_overridden, overridden
from .sigmoid import error, slope

# --- sigmoid-mse: L = (f - t)^2 / 2, f = sigma(z) ------------------------------------------------


def sigmoid_mse_value(z: Tensor, t: Tensor) -> Tensor:
    return error(z, t).square() / 2


def sigmoid_mse_gradient(z: Tensor, t: Tensor) -> Tensor:
    # The factor f (1 - f) goes to 0 at both ends, also at the one where the error f - t is largest.
    return error(z, t) * slope(z)


def sigmoid_mse_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    # (f')^2 + (f - t) f'', f'' = f' (1 - 2 f) = -f' tanh(z / 2).
    return v * slope(z) * (slope(z) - error(z, t) * torch.tanh(z / 2))


sigmoid_mse_formula = differentiable(
    ClosedForms(
        *("sigmoid_mse", sigmoid_mse_value, sigmoid_mse_gradient),
        sigmoid_mse_hvp,
        float64_hvp=True,
    )
)


def sigmoid_mse(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Half the squared error of a sigmoid.

    L = (f - t)^2 / 2 with f = sigma(z), in [0, 1/2];
    dL/dz = (f - t) f (1 - f), at most 4/27 and gone where the model is confidently wrong;
    d2L/dz2 = f (1 - f) [f (1 - f) + (f - t) (1 - 2 f)], which can be negative.

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    """
    if is_overridden(input, target, weight):
        return overridden(sigmoid_mse, locals())
    return elementwise(sigmoid_mse_formula, "sigmoid_mse", input, target, weight, reduction)


class SigmoidMSELoss(Weighted):
    """Half the squared error of a sigmoid, (f - t)^2 / 2, whose gradient (f - t) f (1 - f)
    vanishes when the model is confidently wrong. See `losses.functional.sigmoid_mse`; takes logits.
    """

    function = staticmethod(sigmoid_mse)


def sigmoid_mse_textbook(z: Tensor, t: Tensor) -> Tensor:
    return (torch.sigmoid(z) - t) ** 2 / 2


# --- mse: L = (z - t)^2 --------------------------------------------------------------------------


def mse_value(z: Tensor, t: Tensor) -> Tensor:
    return (z - t).square()


def mse_gradient(z: Tensor, t: Tensor) -> Tensor:
    return 2 * (z - t)


def mse_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return 2 * v + torch.zeros_like(z - t)


mse_formula = differentiable(ClosedForms("mse", mse_value, mse_gradient, mse_hvp))


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared error of the raw output.

    L = (x - t)^2; dL/dx = 2 (x - t); d2L/dx2 = 2.

    Args:
        input: any shape.
        target: broadcastable with input; another shape than input's gives a warning.
        reduction: 'mean' over the elements, 'sum' or 'none'.
        weight: a factor for each element, of input's shape; 'mean' then divides by its sum.
    Raises:
        ValueError: weight has another shape than input; unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        NotImplementedError: neither input nor target is floating point.
    Source: torch.nn.functional.mse_loss.
    """
    if is_overridden(input, target, weight):
        return overridden(mse_loss, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    return _of_difference(mse_formula, "mse_loss", input, target, reduction, weight)


class MSELoss(TorchReduced, nn.MSELoss):
    """Squared error of the raw output; drop-in for `torch.nn.MSELoss`.

    See `losses.functional.mse_loss`.
    """

    function = staticmethod(mse_loss)


def mse_textbook(x: Tensor, t: Tensor) -> Tensor:
    return (x - t) ** 2


# --- l1: L = |z - t| -----------------------------------------------------------------------------


def l1_value(z: Tensor, t: Tensor) -> Tensor:
    return (z - t).abs()


def l1_gradient(z: Tensor, t: Tensor) -> Tensor:
    return sign(z - t)


l1_formula = differentiable(ClosedForms("l1", l1_value, l1_gradient, zero_hvp))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute error of the raw output.

    L = |x - t|; dL/dx = sign(x - t), 0 where x = t; d2L/dx2 = 0.

    Args:
        input: any shape.
        target: broadcastable with input; another shape than input's gives a warning.
        reduction: 'mean' over the elements, 'sum' or 'none'.
        weight: a factor for each element, of input's shape; 'mean' then divides by its sum.
    Raises:
        ValueError: weight has another shape than input; unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        NotImplementedError: neither input nor target is floating point.
    Source: torch.nn.functional.l1_loss, which also takes integers for 'sum' and 'none', and complex
        numbers.
    """
    if is_overridden(input, target, weight):
        return overridden(l1_loss, locals())
    reduction = checks.of_deprecated(size_average, reduce, reduction)
    return _of_difference(l1_formula, "l1_loss", input, target, reduction, weight)


class L1Loss(TorchReduced, nn.L1Loss):
    """Absolute error of the raw output; drop-in for `torch.nn.L1Loss`.

    See `losses.functional.l1_loss`.
    """

    function = staticmethod(l1_loss)


def l1_textbook(x: Tensor, t: Tensor) -> Tensor:
    return (x - t).abs()


def _of_difference(
    loss: Differentiable,
    name: str,
    input: Tensor,
    target: Tensor,
    reduction: str,
    weight: Tensor | None,
) -> Tensor:
    """Check, compute and reduce a loss of input - target; warnings point at the public caller."""
    # 'mean' divides by the sum of the weights; kernels do not.
    rest = (None, None, -100, reduction, ())
    found = None if weight is not None else compute(loss, ELEMENTS, input, target, *rest)
    if found is not None:
        return found
    checks.basics(input, target, weight, reduction)
    if target.shape != input.shape:
        checks.warn(
            f"target size {tuple(target.shape)} is not the input size {tuple(input.shape)}: the "
            "two are broadcast, which is rarely what is meant",
            stacklevel=4,
        )
    if weight is not None and weight.shape != input.shape:
        raise ValueError(
            f"weight of size {tuple(weight.shape)} and input of size {tuple(input.shape)} must "
            "have the same size"
        )
    dtype = torch.promote_types(input.dtype, target.dtype)
    if weight is not None:
        dtype = torch.promote_types(dtype, weight.dtype)
    checks.floating(name, input=torch.empty((), dtype=dtype, device="meta"))
    size = checks.broadcast_size(input=input, target=target)
    x, t = input.expand(size), target.expand(size)
    if weight is None:
        return elements(loss, x, t, *rest, dtype)
    each, w = loss(upcast(x, dtype), upcast(t, dtype)), upcast(weight, dtype)
    return apply_reduction(w * each, reduction, dtype, w.sum())


ENTRIES = (
    Entry(
        "sigmoid-mse",
        SigmoidMSELoss,
        "binary",
        "logits",
        ("probability",),
        sigmoid_mse_textbook,
        "half the squared error of a sigmoid",
        formula="(f - t)² / 2, f = σ(z)",
        gradient="(f - t) f (1 - f)",
        range="[0, 1/2]",
        use="to see a gradient vanish where the model is confidently wrong",
        source="the squared error of a probability",
    ),
    Entry(
        "mse",
        MSELoss,
        "binary",
        "outputs",
        ("probability",),
        mse_textbook,
        "squared error of the raw output",
        formula="(x - t)²",
        gradient="2 (x - t)",
        range="[0, ∞)",
        use="regression; with a tuned learning rate a fair classifier too",
        source="torch.nn.MSELoss",
    ),
    Entry(
        "l1",
        L1Loss,
        "binary",
        "outputs",
        ("probability",),
        l1_textbook,
        "absolute error of the raw output",
        formula="|x - t|",
        gradient="sign(x - t)",
        range="[0, ∞)",
        use="regression where some targets are far off",
        source="torch.nn.L1Loss",
    ),
)
