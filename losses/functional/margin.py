"""Losses that ask for a margin between what is right and what is wrong."""

import torch
from torch import Tensor

from .. import checks, kernels
from ..arguments import elementwise, reduce, rows, upcast
from ..forms import binary
from ..forms import margin as forms


def hinge(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    margin: float = 1.0,
    power: int = 1,
    reduction: str = "mean",
) -> Tensor:
    """Hinge loss of one output, and its square and cube.

    L = t max(0, m - z)^k + (1 - t) max(0, m + z)^k, at least 0, with the margin m and the power k;
    dL/dz = k [(1 - t) max(0, m + z)^(k - 1) - t max(0, m - z)^(k - 1)], which for k = 1 is -1, 0 or
    1 for a hard target and 0 at the kinks z = -m, m;
    d2L/dz2 = k (k - 1) [(1 - t) max(0, m + z)^(k - 2) + t max(0, m - z)^(k - 2)].
    Class 1 is predicted where z > 0; z is a score, and sigma(z) no probability.

    Args:
        input: scores, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        margin: m, at least 0; 0 and k = 1 give the perceptron's loss.
        power: k, 1, 2 or 3.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; margin or power out of
            range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: Cortes & Vapnik 1995, Machine Learning 20(3), the loss of the support vector machine in
        the form of today's textbooks; from memory, not checked against the paper's own text.
    """
    checks.setting("hinge", "margin", margin, least=0.0)
    power = _power("hinge", "power", power, (1, 2, 3))
    return elementwise(forms.hinge, "hinge", input, target, weight, reduction, float(margin), power)


def one_vs_rest_hinge(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    margin: float = 0.5,
    power: int = 1,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Sum over the classes of the hinge loss of class c against the others.

    L = sum_c max(0, m - s_c z_c)^k with s_c = 1 for the right class and -1 for the others; for a
    distribution t the expectation, L = sum_c [t_c max(0, m - z_c)^k + (1 - t_c) max(0, m + z_c)^k].
    Each class's dL/dz_c and d2L/dz_c2 are those of `hinge`; the Hessian is diagonal.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        margin: m, at least 0.
        power: k, 1, 2 or 3.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; margin or power out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Janocha & Czarnecki 2017, arXiv 1702.05659, hinge, hinge^2 and hinge^3 of table 1, with
        the margin of 1/2; from memory, not checked against the paper's own text.
    """
    name = "one_vs_rest_hinge"
    checks.setting(name, "margin", margin, least=0.0)
    power = _power(name, "power", power, (1, 2, 3))
    loss = forms.one_vs_rest_hinge
    return rows(loss, name, input, target, weight, ignore_index, reduction, float(margin), power)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Multiclass hinge loss: how far other classes come within a margin of the right one.

    L = w_y / C sum_{c != y} h_c^p, at least 0, with h_c = max(0, m - x_y + x_c) and the margin m;
    dL/dx_c = w_y / C p h_c^(p - 1) for c != y, for p = 1 that is w_y / C where h_c > 0 and else 0,
    and dL/dx_y is minus their sum. For p = 1 the Hessian is 0; for p = 2 it is, along v, at c
    2 w_y / C [h_c > 0] (v_c - v_y), and at y minus their sum.

    Args:
        input: scores, (C,) or (N, C), floating point, with C at least 1.
        target: class indices in [0, C), () or (1,), or (N,), of any integer dtype.
        p: the power, 1 or 2.
        margin: m, any finite number.
        weight: a factor w for each class, (C,), of input's dtype, at least 0.
        reduction: 'mean' over the rows (the weights are not divided by), 'sum' or 'none'.
    Raises:
        ValueError: p is another number; margin is not finite; weight is not one-dimensional, or
            negative (seen on the CPU); unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; a class index out of range (seen on
            the CPU; a device-side error on CUDA).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.multi_margin_loss; Weston & Watkins 1999 with p = 1, as cited, not
        checked against the paper's own text.
    """
    name = "multi_margin_loss"
    checks.reduction(reduction)
    p = multi_margin_settings(p, weight)
    checks.setting(name, "margin", margin)
    if isinstance(target, Tensor) and target.dim() == 1:
        fused = kernels.pairs(input, target, weight, reduction, float(margin), p)
        if fused is not None:
            return fused
    x = _rows_of_scores(name, input)
    checks.index_dtype(target)
    # torch lets the one target of a single row be (1,) or have no dimension.
    if target.shape != x.shape[:-1] and not (
        target.dim() < 2 and target.numel() == x.shape[:-1].numel() == 1
    ):
        raise RuntimeError(
            f"{name}: target of size {tuple(target.shape)} but input of size "
            f"{tuple(input.shape)}: expected one class index a row, {tuple(x.shape[:-1])}"
        )
    y = target.long().reshape(x.shape[:-1])
    checks.class_indices(x.shape[-1], y.reshape(target.shape), None, error=RuntimeError)
    checks.floating(name, input=input)
    each = forms.pairs(upcast(x, x.dtype), y.unsqueeze(-1), float(margin), p) / x.shape[-1]
    if weight is not None:
        checks.class_weight(x, weight)
        checks.same_dtype(input, weight=weight)
        each = each * upcast(weight, input.dtype)[y]
    return reduce(each.reshape(target.shape), reduction, input.dtype)


def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Hinge loss of several right classes: how far the wrong ones come within 1 of them.

    L = 1/C sum_l sum_c max(0, 1 - x_l + x_c), at least 0, over the classes l that the target lists
    and the classes c that it does not; dL/dx_c is the number of l with x_c > x_l - 1, over C, and
    dL/dx_l minus the number of such c, over C; the Hessian is 0.
    Needs memory for C^2 numbers a row.

    Args:
        input: scores, (C,) or (N, C), floating point, with C at least 1.
        target: of input's shape, any signed integer dtype: each row lists classes in [0, C) and
            is filled up with -1. What comes after the first -1 is not read, a class that is listed
            twice counts twice, and a row that lists none costs nothing.
        reduction: 'mean' over the rows, 'sum' or 'none'.
    Raises:
        ValueError: unknown reduction.
        RuntimeError: any mismatch of shapes or dtypes; a class index that is neither -1 nor in
            [0, C) (seen on the CPU; elsewhere a negative one ends the list, and one that is too
            large is a device-side error on CUDA).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.multilabel_margin_loss.
    """
    name = "multilabel_margin_loss"
    if isinstance(target, Tensor) and target.dim() == 2:
        fused = kernels.pairs(input, target, None, reduction)
        if fused is not None:
            return fused
    checks.reduction(reduction)
    x = _rows_of_scores(name, input)
    checks.index_dtype(target)
    # torch lets the list of a single class have no dimension.
    lists = (target.reshape(1) if target.dim() == 0 else target).long()
    if lists.shape != x.shape:
        raise RuntimeError(
            f"{name}: target of size {tuple(target.shape)} but input of size "
            f"{tuple(input.shape)}: expected lists of classes in rows of the input's size, filled "
            "up with -1"
        )
    checks.class_indices(x.shape[-1], lists, -1, name="padding", error=RuntimeError)
    checks.floating(name, input=input)
    each = forms.pairs(upcast(x, x.dtype), lists, 1.0, 1) / x.shape[-1]
    return reduce(each, reduction, input.dtype)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """Hinge loss of a distance, which should be small for class 1 and large for the other.

    L = x for y = 1, max(0, m - x) for y = -1, and the sum of both, max(m, x), for any other y: 0
    in place of -1 is not an error, but leaves a small distance without a gradient.
    dL/dx = 1, -[x < m] and [x >= m] in these cases; the Hessian is 0.

    Args:
        input: distances, any shape, floating point; at least 0, or L has no lower bound.
        target: y, 1 or -1, broadcastable with input, of any dtype; compared, and not rounded.
        margin: m, any finite number.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: margin is not finite; unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.hinge_embedding_loss.
    """
    name = "hinge_embedding_loss"
    checks.reduction(reduction)
    checks.setting(name, "margin", margin)
    loss = forms.hinge_embedding
    fused = kernels.elementwise(loss, input, target, None, reduction, None, float(margin))
    if fused is not None:
        return fused
    checks.tensors(input=input, target=target)
    checks.floating(name, input=input)
    x, y = torch.broadcast_tensors(upcast(input, input.dtype), target)  # type: ignore[no-untyped-call]
    return reduce(loss(x, y, float(margin)), reduction, input.dtype)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
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
    fused = kernels.elementwise(forms.soft_margin, input, target, None, reduction)
    if fused is not None:
        return fused
    checks.reduction(reduction)
    checks.floating("soft_margin_loss", input=input)
    checks.broadcasts(input, target=target)
    y = upcast(target.expand(input.shape), input.dtype)
    return reduce(forms.soft_margin(upcast(input, input.dtype), y), reduction, input.dtype)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
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
    # The mean over rows of means over classes is that over all elements.
    if reduction == "mean" and isinstance(input, Tensor) and input.dim() > 0:
        fused = kernels.elementwise(binary.bce_with_logits, input, target, weight, reduction)
        if fused is not None:
            return fused
    checks.reduction(reduction)
    if input.dim() == 0:
        raise IndexError("input has no class dimension: expected (..., C), got ()")
    checks.floating("multilabel_soft_margin_loss", input=input)
    checks.real(target=target)
    dtype = torch.promote_types(input.dtype, target.dtype)
    x, t = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        upcast(input, dtype), upcast(target, dtype)
    )
    each = binary.bce_with_logits(x, t)
    if weight is not None:
        checks.broadcasts(each, weight=weight)
        dtype = torch.promote_types(dtype, weight.dtype)
        each = upcast(each, dtype) * upcast(weight, dtype)
    # torch counts the classes before it broadcasts.
    return reduce(each.sum(input.dim() - 1) / input.shape[-1], reduction, dtype)


def multi_margin_settings(p: int, weight: Tensor | None) -> int:
    """p, if it is 1 or 2 and the weight is one-dimensional, else ValueError."""
    if weight is not None and weight.dim() != 1:
        raise ValueError(
            f"weight must be one-dimensional, one factor a class, got size {tuple(weight.shape)}"
        )
    return _power("multi_margin_loss", "p", p, (1, 2))


def _power(function: str, name: str, value: int, known: tuple[int, ...]) -> int:
    if value not in known:
        choices = f"{', '.join(map(str, known[:-1]))} or {known[-1]}"
        raise ValueError(f"{function}: {name}={value} is not supported: it must be {choices}")
    return int(value)


def _rows_of_scores(function: str, input: Tensor) -> Tensor:
    """input as (C,) or (N, C); a single number is a row of one class, as torch has it."""
    x = input.reshape(1) if input.dim() == 0 else input
    if x.dim() > 2 or x.shape[-1] == 0:
        raise RuntimeError(
            f"{function}: input of size {tuple(input.shape)}: expected (C,) or (N, C) with at "
            "least one class"
        )
    return x
