"""Losses that are a distance between the target and the model's output or probabilities.

Targets are not normalised: the formulas also hold for rows that do not add up to 1, but range and
minimum then differ from those stated.
"""

import warnings

import torch
from torch import Tensor

from .. import checks, kernels
from ..arguments import elementwise, reduce, rows, upcast
from ..closed_form import Formula
from ..forms import binary, outputs, probabilities, softmax


def mse_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
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
    return _of_difference(binary.mse, "mse_loss", input, target, reduction, weight)


def l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
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
    return _of_difference(binary.l1, "l1_loss", input, target, reduction, weight)


def _of_difference(
    loss: Formula,
    name: str,
    input: Tensor,
    target: Tensor,
    reduction: str,
    weight: Tensor | None,
) -> Tensor:
    """Check, compute and reduce a loss of input - target; warnings point at the public caller."""
    # 'mean' divides by the sum of the weights; kernels do not.
    fused = (
        None if weight is not None else kernels.elementwise(loss, input, target, None, reduction)
    )
    if fused is not None:
        return fused
    checks.reduction(reduction)
    checks.tensors(input=input, target=target)
    if target.shape != input.shape:
        warnings.warn(
            f"target size {tuple(target.shape)} is not the input size {tuple(input.shape)}: the "
            "two are broadcast, which is rarely what is meant",
            stacklevel=3,
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
    size = torch.broadcast_shapes(input.shape, target.shape)  # type: ignore[no-untyped-call]
    each = loss(upcast(input, dtype).expand(size), upcast(target, dtype).expand(size))
    if weight is None:
        return reduce(each, reduction, dtype)
    w = upcast(weight, dtype)
    return reduce(w * each, reduction, dtype, w.sum())


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
    Source: Brier 1950, Monthly Weather Review 78(1), in its original form, summed over classes;
        the regularised expectation loss of Janocha and Czarnecki 2017, arXiv 1702.05659.
    """
    loss = probabilities.softmax_mse
    return rows(loss, "softmax_mse", input, target, weight, ignore_index, reduction)


def one_vs_rest_l1(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Absolute error of a row of raw outputs, every class by itself, against 0 and 1.

    L = sum_c |z_c - t_c|, at least 0; dL/dz = sign(z - t), 0 where z_c = t_c; the Hessian is 0.
    The same with squares is C times `rescaled_square` with k = m = 1.

    Args:
        input: raw outputs, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, L1 loss; from memory, not checked against
        the paper's own text.
    """
    loss = outputs.one_vs_rest_l1
    return rows(loss, "one_vs_rest_l1", input, target, weight, ignore_index, reduction)


def rescaled_square(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    k: float = 1.0,
    m: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Squared error of a row of raw outputs with target m and weight k for the right class.

    L = 1/C sum_c a_c (z_c - m t_c)^2 with a = 1 + (k - 1) t, at least 0;
    dL/dz = 2/C a (z - m t); the Hessian is 2/C diag(a).
    For a class index y: 1/C [k (z_y - m)^2 + sum_{c != y} z_c^2].

    Args:
        input: raw outputs, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        k: the weight of the right class, above 0; 1 below 1000 classes, 15 for 1000 classes.
        m: the output that the right class shall have, above 0; 1 below 42 classes, 15 from 42
            classes up, 30 for 1000 classes.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; k or m out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Hui and Belkin 2021, arXiv 2006.07322. The division by C is that of the authors' later
        code; k and m by number of classes are as cited by others, not checked against the paper's
        own text. Soft targets are this library's.
    """
    name = "rescaled_square"
    checks.setting(name, "k", k, above=0.0)
    checks.setting(name, "m", m, above=0.0)
    loss = outputs.rescaled_square
    return rows(loss, name, input, target, weight, ignore_index, reduction, float(k), float(m))


def squentropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy plus the mean square of the logits of the wrong classes.

    L = sum_c [-t_c ln p_c + (1 - t_c) z_c^2 / (C - 1)], at least 0; with T = sum_c t_c,
    dL/dz = T p - t + 2 (1 - t) z / (C - 1); the Hessian is T J + 2 diag(1 - t) / (C - 1).
    For a class index y the square is taken of every logit but z_y. Adding a number to all logits
    changes this loss, and a wrong class masked by -inf makes it infinite.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point; C at least 2.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; a single class.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Hui, Belkin and Wright 2023, arXiv 2302.03952, and the authors' code, for class indices.
    """
    name = "squentropy"
    if input.dim() > 0 and checks.class_count(input) < 2:
        raise ValueError(
            f"{name}: input of size {tuple(input.shape)} has {checks.class_count(input)} classes "
            "but the mean over the wrong ones wants at least 2 in all"
        )
    return rows(outputs.squentropy, name, input, target, weight, ignore_index, reduction)


def expectation(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Absolute error of a softmax: the expected number of differing entries of a one-hot row.

    L = sum_c |p_c - t_c|, in [0, 2]; with e = sign(p - t), 0 where p_c = t_c, dL/dz = J e; the
    Hessian along v is dJ e, dJ the change of J along v.
    For a class index y: L = 2 (1 - p_y), dL/dz = 2 p_y (p - e_y).

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, expectation loss; from memory, not checked
        against the paper's own text. Ghosh et al. 2017, arXiv 1712.09482, have it as mean absolute
        error.
    """
    loss = probabilities.expectation
    return rows(loss, "expectation", input, target, weight, ignore_index, reduction)


def chebyshev(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Largest error of the probabilities of a softmax.

    L = max_c |p_c - t_c|, in [0, 1]; with k the class of the largest error and s its sign,
    dL/dz = s p_k (e_k - p), 0 where L = 0; the Hessian along v is s (dJ)_k, dJ the change of J.
    For a class index y: L = 1 - p_y, half of `expectation`. Of equal errors of one sign each takes
    its share of the gradient, as in torch.amax; where errors of both signs are equal, which is
    always so with two classes and then makes no difference, those below their target take it.

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, Chebyshev loss; from memory, not checked
        against the paper's own text.
    """
    loss = probabilities.chebyshev
    return rows(loss, "chebyshev", input, target, weight, ignore_index, reduction)


def tanimoto(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the Tanimoto similarity (the Jaccard index of two rows of weights) of p and t.

    L = -N / D with N = sum_c p_c t_c and D = |p|^2 + |t|^2 - N, in [-1, 0], -1 where p = t; with
    E = |p - t|^2 = D - N and U = 2 N (p - t) - E t, dL/dz = J U / D^2. A row of targets that are
    all 0 has loss 0.

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, Tanimoto loss; from memory, not checked
        against the paper's own text.
    """
    loss = probabilities.tanimoto
    return rows(loss, "tanimoto", input, target, weight, ignore_index, reduction)


def cauchy_schwarz(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cauchy-Schwarz divergence of p and t: minus the logarithm of the cosine between them.

    L = -ln [sum_c p_c t_c / (|p| |t|)], at least 0; with w = softmax(2 z) and s_c proportional to
    t_c exp z_c, dL/dz = w - s; the Hessian is 2 J_w - J_s, J of w and of s in place of p.
    For a class index y it is half the cross-entropy of 2 z: dL/dz = w - e_y. The size of t does not
    count, only its direction; a row of targets that are all 0 has none, and loss 0.

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, Cauchy-Schwarz divergence; from memory,
        not checked against the paper's own text.
    """

    def loss(z: Tensor, t: Tensor) -> Tensor:
        if t.is_floating_point():
            return probabilities.cauchy_schwarz(z, t)
        return softmax.index_cross_entropy(2 * z, t) / 2

    return rows(loss, "cauchy_schwarz", input, target, weight, ignore_index, reduction)
