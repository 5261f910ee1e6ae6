"""Losses that are a distance between the target and what the model gives, or its probabilities."""

import warnings

import torch
from torch import Tensor

from .. import checks
from ..arguments import elementwise, reduced, rows, wide
from ..forms import binary, probabilities


def mse_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """Squared error of the raw output.

    L = (x - t)^2; dL/dx = 2 (x - t); d2L/dx2 = 2.

    Args:
        input: any shape.
        target: broadcastable with input; a shape other than input's is warned of.
        reduction: 'mean' over the elements, 'sum' or 'none'.
        weight: a factor for each element, of input's shape; 'mean' then divides by its sum.
    Raises:
        ValueError: weight has another shape than input; unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        NotImplementedError: neither input nor target is floating point.
    Source: torch.nn.functional.mse_loss.
    """
    checks.reduction(reduction)
    if target.shape != input.shape:
        warnings.warn(
            f"target size {tuple(target.shape)} is not the input size {tuple(input.shape)}: the "
            "two are broadcast, which is rarely what is meant",
            stacklevel=2,
        )
    if weight is not None and weight.shape != input.shape:
        raise ValueError(
            f"weight of size {tuple(weight.shape)} and input of size {tuple(input.shape)} must "
            "have the same size"
        )
    dtype = torch.promote_types(input.dtype, target.dtype)
    if weight is not None:
        dtype = torch.promote_types(dtype, weight.dtype)
    checks.floating("mse_loss", input=torch.empty((), dtype=dtype, device="meta"))
    size = torch.broadcast_shapes(input.shape, target.shape)  # type: ignore[no-untyped-call]
    loss = binary.mse(wide(input, dtype).expand(size), wide(target, dtype).expand(size))
    if weight is None:
        return reduced(loss, reduction, dtype)
    w = wide(weight, dtype)
    return reduced(w * loss, reduction, dtype, w.sum())


def sigmoid_mse(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Half the squared error of a sigmoid.

    L = (f - t)^2 / 2 with f = sigma(z), in [0, 1/2];
    dL/dz = (f - t) f (1 - f), at most 4/27 and gone where the model is confidently wrong;
    d2L/dz2 = f (1 - f) [f (1 - f) + (f - t) (1 - 2 f)], which can be negative.

    Args and Raises: as `probability_sum`.
    """
    return elementwise(binary.sigmoid_mse, "sigmoid_mse", input, target, weight, reduction)


def softmax_mse(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Squared error of a softmax, the Brier score.

    L = sum_c (p_c - t_c)^2, in [0, 2]; with e = p - t and J = diag(p) - p p^T, dL/dz = 2 J e;
    the Hessian along v is 2 (dJ e + J J v), dJ the change of J along v.
    With two classes it is four times `sigmoid_mse` of the difference of the logits.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises: as `cross_entropy`.
    Source: Brier 1950, Monthly Weather Review 78(1), in its original form, summed over classes.
    """
    loss = probabilities.softmax_mse
    return rows(loss, "softmax_mse", input, target, weight, ignore_index, reduction)
