"""Losses that are the negative log-likelihood of a distribution that the model gives."""

from torch import Tensor

from .. import checks
from ..arguments import elementwise, index_arguments, rows, weighted
from ..forms import binary, softmax


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
        pos_weight: the weight of class 1, broadcastable to input's shape.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: weight or pos_weight cannot be broadcast; integer target.
        NotImplementedError: input is not floating point.
    Source: torch.nn.functional.binary_cross_entropy_with_logits. An infinite logit on the right
        side is a loss of 0 here, and NaN there.
    """
    name = "binary_cross_entropy_with_logits"
    if pos_weight is None:
        return elementwise(binary.bce_with_logits, name, input, target, weight, reduction)
    checks.broadcasts(input, pos_weight=pos_weight)
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
    """
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
    x, index = index_arguments("nll_loss", input, target, weight, ignore_index)
    return index.reduced(index.weighted(softmax.nll(x, index.y)), reduction, input.dtype)


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

    Args and Raises: as `softmax_mse`.
    """
    return rows(
        softmax.bernoulli_sum, "bernoulli_sum", input, target, weight, ignore_index, reduction
    )
