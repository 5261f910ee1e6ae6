"""The losses as functions, shaped like those of torch.nn.functional.

`input` is what the model gives, `target` what it should have given. Settings other than `weight`
are given by name: torch's deprecated `size_average` and `reduce` stand between them there, and have
no place here. Reductions are 'mean' (the default), 'sum' and 'none'. float16 and bfloat16 are
computed in float32 and returned in their own dtype, under autocast in float32.

All are differentiable with respect to `input`, to targets that are probabilities, and to every
weight: any number of times in reverse mode, and once in forward mode over or under that. Forward
mode in forward mode (jvp of jvp, jacfwd of jacfwd) is beyond torch.autograd.Function, which gives
zeros without an error; take jacfwd of jacrev, which is what torch.func.hessian does.

Below, sigma(z) = 1 / (1 + exp(-z)), p = softmax(z), and e_y is the one-hot row of class y.
"""

import warnings

import torch
from torch import Tensor

from . import binary, checks, softmax
from .arguments import distribution_arguments, index_arguments, reduced, wide
from .closed_form import Formula


def zero_one(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Count of wrong predictions, class 1 being predicted where the logit is positive.

    L = [z > 0] (1 - t) + [z <= 0] t, dL/dz = 0: nothing for a model to follow.

    Args: as `probability_sum`. 'mean' gives the error rate, 'sum' the count. A NaN logit gives NaN.
    """
    return _one_logit(binary.zero_one, input, target, (), weight, reduction)


def probability_sum(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """1 minus the probability that a sigmoid gives to the right class.

    L = 1 - [t f + (1 - t) (1 - f)] with f = sigma(z), in [0, 1];
    dL/dz = (1 - 2 t) f (1 - f), which dies where the model is certain, right or wrong;
    d2L/dz2 = (1 - 2 t) f (1 - f) (1 - 2 f).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises: as `binary_cross_entropy_with_logits`.
    Source: the sum of probabilities of maximum-probability training; for hard targets half the
        mean absolute error of (f, 1 - f), Ghosh et al. 2017, arXiv 1712.09482.
    """
    return _one_logit(binary.probability_sum, input, target, (), weight, reduction)


def sigmoid_mse(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Half the squared error of a sigmoid.

    L = (f - t)^2 / 2 with f = sigma(z), in [0, 1/2];
    dL/dz = (f - t) f (1 - f), at most 4/27 and gone where the model is confidently wrong;
    d2L/dz2 = f (1 - f) [f (1 - f) + (f - t) (1 - 2 f)], which can be negative.

    Args and Raises: as `probability_sum`.
    """
    return _one_logit(binary.sigmoid_mse, input, target, (), weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy from logits.

    L = -[w t ln sigma(z) + (1 - t) ln(1 - sigma(z))] with w = pos_weight, at least 0;
    dL/dz = (1 - t) sigma(z) - w t sigma(-z), which for w = 1 is sigma(z) - t;
    d2L/dz2 = (w t + 1 - t) sigma(z) sigma(-z).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements (NaN where there are none), 'sum' or 'none'.
        pos_weight: the weight of class 1, broadcastable to input's shape.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: weight or pos_weight cannot be broadcast; integer target.
        NotImplementedError: input is not floating point; bool target.
    Source: torch.nn.functional.binary_cross_entropy_with_logits. An infinite logit on the right
        side is a loss of 0 here, and NaN there.
    """
    if pos_weight is None:
        return _one_logit(binary.bce_with_logits, input, target, (), weight, reduction)
    checks.broadcasts(input, pos_weight=pos_weight)
    return _one_logit(binary.weighted_bce, input, target, (pos_weight,), weight, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
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
    """
    checks.reduction(reduction)
    checks.same_shape(input, target)
    checks.same_dtype(input, target=target)
    checks.floating("binary_cross_entropy", input=input)
    checks.in_unit_interval(input=input, target=target)
    return _weighted(binary.bce, input, (target,), weight, reduction, input.dtype)


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


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax cross-entropy from logits.

    With a class index y: L = w_y (ln sum_c exp z_c - z_y), dL/dz = w_y (p - e_y).
    With a distribution t: L = sum_c w_c t_c (ln sum_j exp z_j - z_c), and with a = w t:
    dL/dz = p sum(a) - a. The Hessian is sum(a) (diag(p) - p p^T) in both.
    Label smoothing s replaces t (or e_y) by (1 - s) t + s / C.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices in [0, C) of input's shape without C, int64 or uint8; or
            probabilities of input's shape.
        weight: a factor w for each class, (C,); of input's dtype if target is indices.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. With class indices 'mean' divides by the sum of w_y
            over the targets that are not ignored, with probabilities by the number of rows; a
            mean over nothing is NaN.
        label_smoothing: s, in [0, 1].
    Raises:
        ValueError: the batch sizes differ; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; label_smoothing outside [0, 1];
            ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA);
            an input of no dimension.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.cross_entropy. Small losses keep their digits here, and an
        infinite logit on the right class is a loss of 0 instead of NaN.
    """
    checks.reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.dim() > 0 and target.shape == input.shape:
        return _distribution_cross_entropy(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
    z, y, kept, w = index_arguments("cross_entropy", input, target, weight, ignore_index)
    scale = kept if w is None else w[y] * kept
    loss = softmax.index_cross_entropy(z, y)
    if w is not None:
        loss = scale * loss
    if label_smoothing > 0:
        uniform = z.new_ones(z.shape[-1]) if w is None else w
        smooth = softmax.cross_entropy(z, uniform) / z.shape[-1]
        loss = (1 - label_smoothing) * loss + label_smoothing * smooth
    loss = torch.where(kept, loss, 0.0)
    return reduced(loss, reduction, input.dtype, scale.sum())


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of log-probabilities.

    L = -w_y x_y; dL/dx = -w_y e_y; the Hessian is 0.

    Args:
        input: log-probabilities, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices in [0, C) of input's shape without C, int64 or uint8.
        weight: a factor w for each class, (C,), of input's dtype.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean' (divides by the sum of w_y that are not ignored), 'sum' or 'none'.
    Raises:
        ValueError: the batch sizes differ; input has no dimension; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.nll_loss.
    """
    checks.reduction(reduction)
    if input.dim() == 0:
        raise ValueError("Expected input of 1 or more dimensions (got 0): (C,) or (N, C, ...)")
    x, y, kept, w = index_arguments("nll_loss", input, target, weight, ignore_index)
    scale = kept if w is None else w[y] * kept
    loss = softmax.nll(x, y) if w is None else scale * softmax.nll(x, y)
    loss = torch.where(kept, loss, 0.0)
    return reduced(loss, reduction, input.dtype, scale.sum())


def softmax_mse(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Squared error of a softmax, the Brier score.

    L = sum_c (p_c - t_c)^2, in [0, 2]; with e = p - t and J = diag(p) - p p^T, dL/dz = 2 J e;
    the Hessian along v is 2 (dJ e + J J v), dJ the change of J along v.
    With two classes it is four times `sigmoid_mse` of the difference of the logits.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, or probabilities of input's shape.
        reduction: 'mean' over the rows, 'sum' or 'none'.
    Raises: as `cross_entropy`.
    Source: Brier 1950, Monthly Weather Review 78(1), in its original form, summed over classes.
    """
    return _rows(softmax.softmax_mse, "softmax_mse", input, target, reduction)


def bernoulli_sum(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Sum over the classes of the Bernoulli cross-entropy of a softmax output.

    L = -sum_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)], at least 0; with
    h_c = -t_c + (1 - t_c) p_c / (1 - p_c), dL/dz_c = h_c - p_c sum_j h_j.
    With two classes it is twice the cross-entropy.

    Args and Raises: as `softmax_mse`.
    """
    return _rows(softmax.bernoulli_sum, "bernoulli_sum", input, target, reduction)


def _one_logit(
    loss: Formula,
    input: Tensor,
    target: Tensor,
    rest: tuple[Tensor, ...],
    weight: Tensor | None,
    reduction: str,
) -> Tensor:
    checks.reduction(reduction)
    checks.same_shape(input, target)
    checks.floating("a loss of logits", input=input)
    if target.dtype == torch.bool:
        checks.floating("a loss of logits", target=target)
    dtype = torch.promote_types(input.dtype, target.dtype)
    if not target.is_floating_point():
        raise RuntimeError(
            f"target of dtype {target.dtype} holds no probabilities: convert it with "
            "target.to(input.dtype)"
        )
    return _weighted(loss, input, (target, *rest), weight, reduction, dtype)


def _weighted(
    loss: Formula,
    input: Tensor,
    rest: tuple[Tensor, ...],
    weight: Tensor | None,
    reduction: str,
    dtype: torch.dtype,
) -> Tensor:
    each = loss(wide(input, dtype), *(wide(x, dtype) for x in rest))
    if weight is not None:
        checks.broadcasts(input, weight=weight)
        each = each * wide(weight, dtype)
    return reduced(each, reduction, dtype)


def _rows(loss: Formula, name: str, input: Tensor, target: Tensor, reduction: str) -> Tensor:
    checks.reduction(reduction)
    if input.dim() > 0 and target.shape == input.shape:
        z, t = distribution_arguments(name, input, target)
        return reduced(loss(z, t), reduction, torch.promote_types(input.dtype, target.dtype))
    z, y, _, _ = index_arguments(name, input, target, None, None)
    t = torch.zeros_like(z).scatter(-1, y.unsqueeze(-1), 1.0)
    return reduced(loss(z, t), reduction, input.dtype)


def _distribution_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index={ignore_index} is not supported for floating point target: give those "
            "rows a target of zeros"
        )
    dtype = torch.promote_types(input.dtype, target.dtype)
    z, t = distribution_arguments("cross_entropy", input, target)
    if label_smoothing > 0:
        t = (1 - label_smoothing) * t + label_smoothing / z.shape[-1]
    if weight is not None:
        checks.class_weight(input, weight)
        dtype = torch.promote_types(dtype, weight.dtype)
        z, t = wide(z, dtype), wide(t, dtype) * wide(weight, dtype)
    return reduced(softmax.cross_entropy(z, t), reduction, dtype)
