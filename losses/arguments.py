"""Preparation of a loss's arguments and reduction of its result.

A call is tried in this order: `kernels.compute`, which computes plain calls on the CPU and is told
by a `Signature` what these are; the rules in `checks`, which raise; the kernels on CUDA; the
formula, with the class dimension moved last, upcast, weighted and reduced.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import checks
from .closed_form import Differentiable
from .kernels import Signature, compute, compute_on_cuda

# --- single logits -------------------------------------------------------------------------------


def elementwise(
    loss: Differentiable,
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    *settings: Any,
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Check, compute and reduce a loss of single logits.

    Args:
        settings: further arguments of the formula.
        pos_weight: a tensor that the formula takes after its target.
    """
    if isinstance(target, Tensor) and target.dtype == torch.bool and isinstance(input, Tensor):
        target = target.to(input.dtype)
    arguments = (input, target, weight, pos_weight, -100, reduction, settings)
    found = compute(loss, ELEMENTS, *arguments)
    if found is not None:
        return found
    checks.basics(input, target, weight, reduction)
    checks.same_shape(input, target)
    checks.floating(name, input=input)
    if not target.is_floating_point():
        raise RuntimeError(
            f"target of dtype {target.dtype} holds no probabilities: convert it with "
            "target.to(input.dtype)"
        )
    optional = {"weight": weight, "pos_weight": pos_weight}
    checks.broadcasts_to_input(input, **{name: x for name, x in optional.items() if x is not None})
    dtype = torch.promote_types(input.dtype, target.dtype)
    return elements(loss, *arguments, dtype)


def elements(
    loss: Differentiable,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Compute a loss of single logits in `dtype`, weight its elements and reduce it.

    The arguments have passed the checks: input and target have one shape, to which the weight and
    `extra`, a tensor that the formula takes after its target, can be broadcast.
    """
    promoted = torch.promote_types(input.dtype, target.dtype)
    dtype = dtype or promoted
    arguments = (input, target, weight, extra, ignore_index, reduction, settings)
    # To differentiate twice, a kernel calls this function without a dtype.
    found = compute_on_cuda(loss, ELEMENTS, *arguments, dtype) if dtype == promoted else None
    if found is not None:
        return found
    rest = (upcast(x, dtype) for x in (target, extra) if x is not None)
    each = loss(upcast(input, dtype), *rest, *settings)
    if weight is not None:
        each = each * upcast(weight, dtype)
    return apply_reduction(each, reduction, dtype)


ELEMENTS = Signature(elements)
ELEMENTS_OF_ONE_DTYPE = Signature(elements, one_dtype=True)

# --- rows of logits ------------------------------------------------------------------------------


def rows(
    loss: Differentiable,
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    *settings: Any,
    takes_weight: bool = False,
    extra: Tensor | None = None,
) -> Tensor:
    """Check, compute and reduce a loss of rows of logits.

    The weight of a row is w_y for a class index y, sum_c w_c t_c for a distribution t. As in
    `cross_entropy`, 'mean' divides by the sum of the weights for indices, by the number of rows for
    distributions.

    Args:
        loss: formula of rows of logits and of rows of targets or class indices.
        settings: further arguments of the formula.
        takes_weight: whether the formula takes the weights of the classes, after its target.
        extra: another number for each class, (C,), that the formula takes after its target.
    """
    if type(ignore_index) is not int:
        ignore_index = checks.index("ignore_index", ignore_index)
    arguments = (input, target, weight, extra, ignore_index, reduction, settings)
    signature = WEIGHTED_ROWS if takes_weight else ROWS
    # Beside a distribution an ignored class is an error.
    if ignore_index < 0 or not checks.is_distribution(input, target):
        found = compute(loss, signature, *arguments)
        if found is not None:
            return found
    checks.basics(input, target, weight, reduction)
    if checks.is_distribution(input, target):
        checks.distribution(name, input, target, weight, ignore_index)
        return _of_distribution(loss, signature, *arguments)
    return of_indices(loss, name, signature, *arguments)


def of_indices(
    loss: Differentiable,
    name: str,
    signature: Signature,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
) -> Tensor:
    """Check, compute and reduce a loss of rows of logits and class indices."""
    y, weight, inside = checks.indices(name, input, target, weight, ignore_index)
    arguments = (input, y, weight, extra, ignore_index, reduction, settings)
    return indexed(loss, signature, *arguments, inside=inside)


def indexed(
    loss: Differentiable,
    signature: Signature,
    input: Tensor,
    y: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
    *,
    inside: bool,
) -> Tensor:
    """Compute and reduce a loss of rows of logits and class indices that have passed the checks.

    Args:
        inside: whether all indices are known to be classes.
    """
    arguments = (input, y, weight, extra, ignore_index, reduction, settings)
    found = compute_on_cuda(loss, signature, *arguments, input.dtype)
    if found is not None:
        return found
    z, index = index_arguments(input, y, weight, ignore_index, inside=inside)
    each_loss = loss if z.shape[-1] else _of_no_classes
    if signature.takes_weight and index.weight is not None:
        each = each_loss(z, index.y, index.weight, *settings)
    else:
        rest = settings if extra is None else (upcast(extra, z.dtype), *settings)
        each = index.weighted(each_loss(z, index.y, *rest))
    return index.reduce(each, reduction, input.dtype, loss.forms.weighted_mean)


def _of_distribution(
    loss: Differentiable,
    signature: Signature,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
) -> Tensor:
    dtype = torch.promote_types(input.dtype, target.dtype)
    if weight is not None:
        dtype = torch.promote_types(dtype, weight.dtype)
    arguments = (input, target, weight, extra, ignore_index, reduction, settings)
    found = compute_on_cuda(loss, signature, *arguments, dtype)
    if found is not None:
        return found
    z, t = (upcast(classes_last(x), dtype) for x in (input, target))
    each_loss = loss if z.shape[-1] else _of_no_classes
    # As torch has it, the mean of rows without classes is NaN.
    divisor = None if z.shape[-1] else z.new_zeros(())
    w, extra = (None if x is None else upcast(x, dtype) for x in (weight, extra))
    rest = [x for x in (w if signature.takes_weight else None, extra) if x is not None]
    each = each_loss(z, t, *rest, *settings)
    if w is not None and not signature.takes_weight:
        each = each * (t * w).sum(-1)
    return apply_reduction(each, reduction, dtype, divisor)


def _of_no_classes(z: Tensor, *_: object) -> Tensor:
    """Return the loss of rows without classes, 0."""
    return z.sum(-1)


def _rows_by_closed_form(
    loss: Differentiable,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
    *,
    takes_weight: bool = False,
) -> Tensor:
    arguments = (loss, loss.forms.name, input, target, weight, ignore_index, reduction)
    return rows(*arguments, *settings, takes_weight=takes_weight, extra=extra)


ROWS = Signature(_rows_by_closed_form)
MATRICES = Signature(_rows_by_closed_form, matrix=True)
WEIGHTED_ROWS = Signature(partial(_rows_by_closed_form, takes_weight=True), takes_weight=True)


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
    input: Tensor, y: Tensor, weight: Tensor | None, ignore_index: int, *, inside: bool
) -> tuple[Tensor, Indices]:
    """Return the logits, upcast, with the classes last, and the class indices.

    Logits of ignored rows become 0, so that a NaN in them does not reach a derivative.
    """
    if weight is not None:
        weight = upcast(weight, input.dtype)
    z = upcast(classes_last(input), input.dtype)
    kept = y != ignore_index
    if not inside or 0 <= ignore_index < z.shape[-1]:
        z, y = torch.where(kept.unsqueeze(-1), z, 0.0), torch.where(kept, y, 0)
    scale = kept if weight is None else weight[y] * kept
    return z, Indices(y, kept, weight, scale)


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
