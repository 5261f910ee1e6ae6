"""Losses that are the negative log-likelihood of a distribution that the model gives."""

import torch
from torch import Tensor

from .. import checks, kernels
from ..arguments import elementwise, index_arguments, reduce, rows, upcast, weighted
from ..forms import binary, softmax

KL_REDUCTIONS = (*checks.REDUCTIONS, "batchmean")


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
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements (NaN where there are none), 'sum' or 'none'.
        pos_weight: the weight of class 1, at least 0, broadcastable to input's shape.
    Raises:
        ValueError: target has another shape than input; unknown reduction; a negative pos_weight
            (seen on the CPU; torch computes with it).
        RuntimeError: weight or pos_weight cannot be broadcast; integer target.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.binary_cross_entropy_with_logits. An infinite logit on the right
        side is a loss of 0 here, and NaN there.

    >>> import torch
    >>> z = torch.tensor([40.0, -3.0, float("inf")])
    >>> binary_cross_entropy_with_logits(z, torch.tensor([1.0, 1.0, 1.0]), reduction="none")
    tensor([4.2484e-18, 3.0486e+00, 0.0000e+00])
    """
    name = "binary_cross_entropy_with_logits"
    if pos_weight is None:
        return elementwise(binary.bce_with_logits, name, input, target, weight, reduction)
    checks.broadcasts(input, pos_weight=pos_weight)
    checks.not_negative(pos_weight=pos_weight)
    return elementwise(binary.weighted_bce, name, input, target, weight, reduction, pos_weight)


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

    >>> import torch
    >>> binary_cross_entropy(torch.tensor([0.9, 0.0]), torch.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.1054, 100.0000])
    """
    fused = kernels.elementwise(binary.bce, input, target, weight, reduction)
    if fused is not None:
        return fused
    checks.reduction(reduction)
    checks.same_shape(input, target)
    checks.same_dtype(input, target=target)
    checks.floating("binary_cross_entropy", input=input)
    checks.in_unit_interval(input=input, target=target)
    return weighted(binary.bce, input, (target,), weight, reduction, input.dtype)


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
        target: class indices in [0, C) of input's shape without C, any integer dtype.
        weight: a factor w for each class, (C,), of input's dtype, at least 0.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean' (divides by the sum of w_y that are not ignored), 'sum' or 'none'.
    Raises:
        ValueError: the batch sizes differ; input has no dimension or no classes; a negative weight
            (seen on the CPU; torch computes with it); unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA).
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.nll_loss.
    """
    fused = kernels.nll(input, target, weight, ignore_index, reduction)
    if fused is not None:
        return fused
    checks.reduction(reduction)
    if input.dim() == 0:
        raise ValueError("Expected input of 1 or more dimensions (got 0): (C,) or (N, C, ...)")
    x, index = index_arguments("nll_loss", input, target, weight, ignore_index)
    return index.reduce(index.weighted(softmax.nll(x, index.y)), reduction, input.dtype)


def kl_div(
    input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """Kullback-Leibler divergence of a model's log-probabilities from a distribution.

    L = t (ln t - x) for every element, of any sign; its sum over a distribution is at least 0.
    dL/dx = -t, for t = exp s if the target is given by its logarithm s; the Hessian is 0.
    Where t is 0 nothing is lost, whatever x is.
    Where x is near ln t the two cancel: the error is then some ulp of t ln t, and not of L.

    Args:
        input: log-probabilities x, any shape, floating point.
        target: probabilities t, or with `log_target` their logarithms s, broadcastable with input,
            floating point.
        reduction: 'mean' over the elements, 'sum', 'none', or 'batchmean', the sum over the size
            of input's first dimension, which is the mean divergence of rows (N, C).
        log_target: whether target is given by its logarithm.
    Raises:
        ValueError: unknown reduction.
        RuntimeError: the shapes cannot be broadcast.
        NotImplementedError: input or target is not floating point.
    Source: torch.nn.functional.kl_div, which gives NaN where t is 0 and x is -inf, and warns of
        'mean' that it is to become 'batchmean'; here it stays what it is.
    """
    loss = binary.kl_div_of_logs if log_target else binary.kl_div
    fused = kernels.elementwise(loss, input, target, None, reduction)
    if fused is not None:
        return fused
    checks.reduction(reduction, KL_REDUCTIONS)
    checks.tensors(input=input, target=target)
    checks.floating("kl_div", input=input, target=target)
    dtype = torch.promote_types(input.dtype, target.dtype)
    x, t = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        upcast(input, dtype), upcast(target, dtype)
    )
    each = loss(x, t)
    if reduction == "batchmean":
        # A single number is a batch of one, as torch has it.
        each, reduction = each.sum() / input.shape[:1].numel(), "none"
    return reduce(each, reduction, dtype)


def bernoulli_sum(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Sum over the classes of the Bernoulli cross-entropy of a softmax output.

    L = -sum_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)], at least 0; with
    h_c = -t_c + (1 - t_c) p_c / (1 - p_c), dL/dz_c = h_c - p_c sum_j h_j.
    With two classes it is twice the cross-entropy.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: the softmax read as a sum of Bernoulli distributions, one a class.
    """
    return rows(
        softmax.bernoulli_sum, "bernoulli_sum", input, target, weight, ignore_index, reduction
    )
