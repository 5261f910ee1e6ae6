"""Losses robust to wrong labels: the loss of one example is bounded or grows more slowly."""

from torch import Tensor

from .. import checks
from ..arguments import elementwise, rows
from ..forms import binary, right_class, robust, softmax, tempered


def generalized_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    q: float = 0.7,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Generalized cross-entropy: between cross-entropy (q -> 0) and 1 - p_y (q = 1).

    L = sum_c t_c (1 - p_c^q) / q, in [0, 1 / q]; for a class index y dL/dz = p_y^q (p - e_y): the
    gradient of cross-entropy, less where the model disagrees with the label.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        q: how much less, in (0, 1].
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; q out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Zhang and Sabuncu 2018, arXiv 1805.07836, as quoted by others.
    """
    name = "generalized_cross_entropy"
    checks.setting(name, "q", q, least=1e-30, most=1.0)
    loss = right_class.softmax_generalized_cross_entropy
    return rows(loss, name, input, target, weight, ignore_index, reduction, q)


def sigmoid_generalized_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    q: float = 0.7,
    reduction: str = "mean",
) -> Tensor:
    """Generalized cross-entropy of a sigmoid.

    L = [t (1 - f^q) + (1 - t) (1 - (1 - f)^q)] / q, in [0, 1 / q], with f = sigma(z);
    dL/dz = (1 - t) f (1 - f)^q - t (1 - f) f^q.

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        q: 0 excluded, the limit there is binary cross-entropy; at most 1, which is
            `probability_sum`.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; q out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `generalized_cross_entropy`, for two classes.
    """
    name = "sigmoid_generalized_cross_entropy"
    checks.setting(name, "q", q, least=1e-30, most=1.0)
    loss = right_class.generalized_cross_entropy
    return elementwise(loss, name, input, target, weight, reduction, q)


def symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of the target and the model, plus that of the model and the target.

    L = alpha C - beta sum_c p_c max(ln t_c, A), at least 0, with C the cross-entropy and A =
    log_zero, which stands for ln 0. For a class index y it is alpha (-ln p_y) - A beta (1 - p_y),
    and dL/dz = (alpha - A beta p_y) (p - e_y).

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        alpha, beta: the weights of the two, at least 0; beta = 0 gives cross-entropy.
        log_zero: A, from -87 (exp A is a float32) to below 0. Entries of a target of at most exp A
            have no derivative in the second part.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; setting out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Wang et al. 2019, arXiv 1908.06112. 0.1 and 1 are what the authors' code takes for
        CIFAR-10; there t is no less than 1e-4, A = -9.2, while -4 is the paper's, from memory.
    """
    name = "symmetric_cross_entropy"
    _check_symmetric(name, alpha, beta, log_zero)

    def loss(z: Tensor, t: Tensor) -> Tensor:
        reverse = beta * robust.softmax_reverse_cross_entropy(z, t, log_zero)
        # 0 times the infinite cross-entropy of an infinite logit would be NaN.
        return alpha * softmax.of_target(z, t) + reverse if alpha > 0 else reverse

    return rows(loss, name, input, target, weight, ignore_index, reduction)


def sigmoid_symmetric_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    alpha: float = 0.1,
    beta: float = 1.0,
    log_zero: float = -4.0,
    reduction: str = "mean",
) -> Tensor:
    """Symmetric cross-entropy of a sigmoid.

    L = alpha B + beta [f b_1 + (1 - f) b_0], at least 0, with f = sigma(z), B the binary
    cross-entropy, b_1 = -max(ln t, A), b_0 = -max(ln(1 - t), A) and A = log_zero;
    dL/dz = alpha (f - t) + beta f (1 - f) (b_1 - b_0).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        alpha, beta: weights of the two terms, at least 0; beta = 0 gives binary cross-entropy.
        log_zero: A, the value of ln 0, from -87 (exp A is a float32) to below 0.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; setting out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `symmetric_cross_entropy`, for two classes.
    """
    name = "sigmoid_symmetric_cross_entropy"
    _check_symmetric(name, alpha, beta, log_zero)

    def loss(z: Tensor, t: Tensor) -> Tensor:
        reverse = beta * robust.reverse_cross_entropy(z, t, log_zero)
        return alpha * binary.bce_with_logits(z, t) + reverse if alpha > 0 else reverse

    return elementwise(loss, name, input, target, weight, reduction)


def _check_symmetric(name: str, alpha: float, beta: float, log_zero: float) -> None:
    checks.setting(name, "alpha", alpha, least=0.0)
    checks.setting(name, "beta", beta, least=0.0)
    checks.setting(name, "log_zero", log_zero, least=-87.0, below=0.0)


def bi_tempered_logistic(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Bi-tempered logistic loss: a bounded divergence from a softmax with heavy tails.

    With log_t x = (x^(1 - t) - 1) / (1 - t), exp_t its inverse, and p_c = exp_t2(z_c - l), l such
    that sum p = 1: L = sum_c t_c (log_t1 t_c - log_t1 p_c) - (t_c^(2-t1) - p_c^(2-t1)) / (2 - t1),
    at least 0 and for a class index at most 1 / (1 - t1). With u = (p - t) p^(t2-t1) and
    e = p^t2 / sum p^t2, dL/dz = u - e sum(u).
    For t1 = t2 = 1 it is cross-entropy, for a distribution less its entropy.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        t1: the temperature of the logarithm, in [0, 1]; below 1 the loss is bounded.
        t2: the temperature of the softmax, in [1, 10]; above 1 its tails fall as a power, and the
            gradient of an example that is far on the wrong side goes to 0.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; temperature out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Amid et al. 2019, arXiv 1906.03361, as the authors' code has it; they name no defaults.
        There five steps approximate l, which for a thousand classes can leave sum p 1 % off.
    """
    name = "bi_tempered_logistic"
    _check_temperatures(name, t1, t2)
    loss = tempered.bi_tempered
    return rows(loss, name, input, target, weight, ignore_index, reduction, t1, t2)


def sigmoid_bi_tempered_logistic(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    reduction: str = "mean",
) -> Tensor:
    """Bi-tempered logistic loss of one logit z: that of the two logits (0, z).

    L and dL/dz are `bi_tempered_logistic`'s with the target (1 - t, t) and the derivative by the
    second logit. For t1 = t2 = 1 it is binary cross-entropy, for a soft target less its entropy.

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        t1: the temperature of the logarithm, in [0, 1]; below 1 the loss is bounded.
        t2: the temperature of the softmax, in [1, 10]; above 1 its tails fall as a power.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; t1 or t2 out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `bi_tempered_logistic`; the authors' code has two classes in the same way.
    """
    name = "sigmoid_bi_tempered_logistic"
    _check_temperatures(name, t1, t2)
    loss = tempered.sigmoid_bi_tempered
    return elementwise(loss, name, input, target, weight, reduction, t1, t2)


def _check_temperatures(name: str, t1: float, t2: float) -> None:
    checks.setting(name, "t1", t1, least=0.0, most=1.0)
    checks.setting(name, "t2", t2, least=1.0, most=10.0)
