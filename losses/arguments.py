"""Preparation of a loss's arguments and reduction of its result.

Before the formula: checks, class dimension moved last, upcast. After it: weights, reduction.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import checks, kernels
from .closed_form import Differentiable


def elementwise(
    loss: Differentiable,
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    *rest: Any,
) -> Tensor:
    """Check, compute and reduce a loss of single logits; `rest` is passed to its formula."""
    if isinstance(target, Tensor) and target.dtype == torch.bool and isinstance(input, Tensor):
        target = target.to(input.dtype)
    extra, settings = (rest[0], rest[1:]) if rest and isinstance(rest[0], Tensor) else (None, rest)
    fused = fused_elements(loss, input, target, weight, reduction, extra, *settings)
    if fused is not None:
        return fused
    checks.reduction(reduction)
    checks.same_shape(input, target)
    checks.floating(name, input=input)
    if not target.is_floating_point():
        raise RuntimeError(
            f"target of dtype {target.dtype} holds no probabilities: convert it with "
            "target.to(input.dtype)"
        )
    dtype = torch.promote_types(input.dtype, target.dtype)
    return weighted(loss, input, (target, *rest), weight, reduction, dtype)


def fused_elements(
    loss: Differentiable,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    extra: Tensor | None = None,
    *settings: float,
) -> Tensor | None:
    """Compute a loss of single logits by its kernel; None if no kernel supports the call.

    `extra` is a tensor argument of the formula besides input and target, broadcastable to them.
    """
    arguments = (input, target, weight, extra, -100, reduction, settings)
    return kernels.compute(loss, _elements_fallback, *arguments)


def _elements_fallback(
    loss: Differentiable,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    _ignore_index: int,
    reduction: str,
    settings: tuple[float, ...],
) -> Tensor:
    rest = (target, *settings) if extra is None else (target, extra, *settings)
    dtype = torch.promote_types(input.dtype, target.dtype)
    return weighted(loss, input, rest, weight, reduction, dtype)


def weighted(
    loss: Differentiable,
    input: Tensor,
    rest: tuple[object, ...],
    weight: Tensor | None,
    reduction: str,
    dtype: torch.dtype,
) -> Tensor:
    """Compute a loss of single logits in `dtype`, weight its elements and reduce it."""
    each = loss(
        upcast(input, dtype), *(upcast(x, dtype) if isinstance(x, Tensor) else x for x in rest)
    )
    if weight is not None:
        checks.broadcasts(input, weight=weight)
        each = each * upcast(weight, dtype)
    return apply_reduction(each, reduction, dtype)


def rows(
    loss: Differentiable,
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    *settings: float,
    weighs: bool = False,
    extra: Tensor | None = None,
) -> Tensor:
    """Check, compute and reduce a loss of rows of logits.

    The weight of a row is w_y for a class index y, sum_c w_c t_c for a distribution t. As in
    `cross_entropy`, 'mean' divides by the sum of the weights for indices, by the number of rows for
    distributions.

    Args:
        loss: formula of rows of logits and of rows of targets or class indices.
        settings: further arguments of the formula.
        weighs: whether the formula takes the weights of the classes, after its target.
        extra: another number for each class, (C,), that the formula takes after its target.
    """
    if type(ignore_index) is not int:
        ignore_index = checks.index("ignore_index", ignore_index)
    arguments = (input, target, weight, extra, ignore_index, reduction, settings)
    fused = fused_rows(loss, *arguments, weighs=weighs)
    if fused is not None:
        return fused
    checks.reduction(reduction)
    if is_distribution(input, target):
        no_ignored_class(ignore_index)
        tensors = (input, target, weight, extra)
        return _of_distribution(loss, name, *tensors, reduction, settings, weighs)
    z, index = index_arguments(name, input, target, weight, ignore_index)
    each_loss = loss if z.shape[-1] else _of_no_classes
    if weighs and index.weight is not None:
        each = each_loss(z, index.y, index.weight, *settings)
    else:
        rest = settings if extra is None else (upcast(extra, z.dtype), *settings)
        each = index.weighted(each_loss(z, index.y, *rest))
    return index.reduce(each, reduction, input.dtype, loss.forms.weighted_mean)


def fused_rows(
    loss: Differentiable,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[float, ...],
    *,
    weighs: bool = False,
) -> Tensor | None:
    """Compute a loss of rows by its kernel; None if no kernel supports the call."""
    arguments = (input, target, weight, extra, ignore_index, reduction, settings)
    fallback = _rows_fallback if not weighs else _weighing_rows_fallback
    return kernels.compute(loss, fallback, *arguments, weighs=weighs)


def _rows_fallback(
    loss: Differentiable,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[float, ...],
    weighs: bool = False,
) -> Tensor:
    arguments = (loss, loss.forms.name, input, target, weight, ignore_index, reduction)
    return rows(*arguments, *settings, weighs=weighs, extra=extra)


_weighing_rows_fallback = partial(_rows_fallback, weighs=True)


def _of_distribution(
    loss: Differentiable,
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    reduction: str,
    settings: tuple[float, ...],
    weighs: bool,
) -> Tensor:
    z, t = distribution_arguments(name, input, target)
    each_loss = loss if z.shape[-1] else _of_no_classes
    # As torch has it, the mean of rows without classes is NaN.
    divisor = None if z.shape[-1] else z.new_zeros(())
    dtype = torch.promote_types(input.dtype, target.dtype)
    if weight is not None:
        checks.class_weight(input, weight)
        dtype = torch.promote_types(dtype, weight.dtype)
    z, t = upcast(z, dtype), upcast(t, dtype)
    w, extra = (None if x is None else upcast(x, dtype) for x in (weight, extra))
    rest = [x for x in (w if weighs else None, extra) if x is not None]
    each = each_loss(z, t, *rest, *settings)
    if w is not None and not weighs:
        each = each * (t * w).sum(-1)
    return apply_reduction(each, reduction, dtype, divisor)


def _of_no_classes(z: Tensor, *_: object) -> Tensor:
    """Return the loss of rows without classes, 0."""
    return z.sum(-1)


def is_distribution(input: Tensor, target: Tensor) -> bool:
    """Return whether target holds probabilities of input's shape, not class indices."""
    checks.tensors(input=input, target=target)
    return input.dim() > 0 and target.shape == input.shape


def no_ignored_class(ignore_index: int) -> None:
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index={ignore_index} is not supported for floating point target: give those "
            "rows a target of zeros"
        )


def distribution_arguments(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits and probabilities, upcast, with the classes in the last dimension."""
    check_distribution(name, input, target)
    dtype = torch.promote_types(input.dtype, target.dtype)
    return upcast(classes_last(input), dtype), upcast(classes_last(target), dtype)


def check_distribution(name: str, input: Tensor, target: Tensor) -> None:
    """Check logits and a target of their shape."""
    if not target.is_floating_point():
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got "
            f"{target.dtype}; class indices have the input's shape without the class dimension"
        )
    checks.floating(name, input=input)


class Indices(NamedTuple):
    """Class indices and the weights of their rows.

    Attributes:
        y: class indices, 0 where ignored.
        kept: False where ignored.
        weight: the classes' weights w, or None.
        scale: the rows' weights: w_y, or 1 without weights; 0 where ignored.
    """

    y: Tensor
    kept: Tensor
    weight: Tensor | None
    scale: Tensor

    def weighted(self, each: Tensor) -> Tensor:
        if self.weight is None:
            return each
        # Mask before weighting, so that derivatives by the weights stay finite.
        return self.scale * torch.where(self.kept, each, 0.0)

    def reduce(
        self, each: Tensor, reduction: str, dtype: torch.dtype, weighted_mean: bool = True
    ) -> Tensor:
        """Reduce `each` without ignored rows.

        'mean' divides by the sum of the rows' weights, or by their number.
        """
        divisor = self.scale.sum() if weighted_mean else self.kept.sum()
        return apply_reduction(torch.where(self.kept, each, 0.0), reduction, dtype, divisor)


def index_arguments(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
) -> tuple[Tensor, Indices]:
    """Return the logits, upcast, with the classes last, and the class indices.

    Logits of ignored rows become 0, so that a NaN in them does not reach a derivative.
    """
    y, inside = checked_indices(name, input, target, weight, ignore_index)
    classes = checks.class_count(input)
    if weight is not None:
        weight = upcast(weight, input.dtype)
    z = upcast(classes_last(input), input.dtype)
    kept = y != ignore_index
    if not inside or 0 <= ignore_index < classes:
        z, y = torch.where(kept.unsqueeze(-1), z, 0.0), torch.where(kept, y, 0)
    scale = kept if weight is None else weight[y] * kept
    return z, Indices(y, kept, weight, scale)


def checked_indices(
    name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, bool]:
    """Check logits, class indices and weights of the classes.

    Returns the indices as int64, and whether all are known to be in the range. Of the logits it
    reads shape and dtype alone.
    """
    checks.tensors(input=input, target=target)
    if input.dim() == 0:
        # torch's types: it takes an index beside a 0-d input for probabilities of a wrong dtype.
        probabilities = target.dim() > 0 or target.is_floating_point()
        error = IndexError if probabilities else RuntimeError
        raise error("input has no class dimension: expected (C,) or (N, C, ...), got ()")
    checks.index_shapes(input, target)
    checks.index_dtype(target)
    checks.floating(name, input=input)
    # As int64 before it is compared: a narrower type may not hold the number of classes.
    y = (target.reshape(()) if input.dim() == 1 else target).long()
    inside = checks.class_indices(checks.class_count(input), y, ignore_index)
    if weight is not None:
        checks.class_weight(input, weight)
        checks.same_dtype(input, weight=weight)
    return y, inside


def classes_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1) if x.dim() > 2 else x


def upcast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return x in `dtype`, or in float32 where `dtype` is narrower."""
    return x.to(torch.float32 if dtype.itemsize < 4 else dtype)


def apply_reduction(
    loss: Tensor, reduction: str, dtype: torch.dtype, divisor: Tensor | None = None
) -> Tensor:
    """Reduce `loss` and return it in `dtype`.

    'mean' divides the sum by `divisor`, by default the number of elements. Under autocast a dtype
    narrower than float32 becomes float32, as in torch: a gradient scaler would overflow float16.
    """
    checks.reduction(reduction)
    if dtype.itemsize < 4 and checks.under_autocast(loss):
        dtype = torch.float32
    if reduction == "mean":
        loss = loss.mean() if divisor is None else loss.sum() / divisor
    elif reduction == "sum":
        loss = loss.sum()
    return loss.to(dtype)
