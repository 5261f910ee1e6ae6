"""Losses that are a function of the probability of the right class, and the count of errors."""

from torch import Tensor

from .. import checks
from ..arguments import elementwise, rows
from ..forms import binary, focal, right_class


def zero_one(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Count of wrong predictions, class 1 being predicted where the logit is positive.

    L = [z > 0] (1 - t) + [z <= 0] t, dL/dz = 0: nothing for a model to follow.

    'mean' gives the error rate, 'sum' the count. A NaN logit gives NaN.

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
    return elementwise(binary.zero_one, "zero_one", input, target, weight, reduction)


def multiclass_zero_one(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Count of wrong predictions of the class with the largest logit (the top-1 error).

    L = [argmax z != y], for a distribution t the expected count sum_c t_c [c != argmax z];
    dL/dz = 0. Of several largest logits the class is `torch.argmax`'s. A row with a NaN gives NaN.

    'mean' gives the error rate, 'sum' the count.

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
    """
    loss = right_class.zero_one_rows
    return rows(loss, "multiclass_zero_one", input, target, weight, ignore_index, reduction)


def probability_sum(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """1 minus the probability that a sigmoid gives to the right class.

    L = 1 - [t f + (1 - t) (1 - f)] with f = sigma(z), in [0, 1];
    dL/dz = (1 - 2 t) f (1 - f), which dies where the model is certain, right or wrong;
    d2L/dz2 = (1 - 2 t) f (1 - f) (1 - 2 f).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: the sum of probabilities of maximum-probability training; for hard targets half the
        mean absolute error of (f, 1 - f), Ghosh et al. 2017, arXiv 1712.09482.
    """
    return elementwise(
        right_class.probability_sum, "probability_sum", input, target, weight, reduction
    )


def softmax_probability_sum(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """1 minus the probability that a softmax gives to the right class.

    L = sum_c t_c (1 - p_c), in [0, 1]; for a class index y dL/dz = p_y (p - e_y), which dies where
    the model is certain, right or wrong; for a distribution dL/dz_c = p_c (sum_j t_j p_j - t_c).

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
    Source: Ghosh et al. 2017, arXiv 1712.09482; for a class index half the MAE of p.
    """
    loss = right_class.softmax_probability_sum
    return rows(loss, "softmax_probability_sum", input, target, weight, ignore_index, reduction)


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """Focal loss of a sigmoid: binary cross-entropy in which easy examples count less.

    L = a u^gamma B, at least 0, with B the binary cross-entropy, u = t (1 - f) + (1 - t) f the
    probability of being wrong, f = sigma(z), and a = alpha t + (1 - alpha) (1 - t), or 1 for an
    alpha of -1. With k = (1 - 2 t) f (1 - f) / u:
    dL/dz = a u^gamma (f - t + gamma k B), finite for every gamma and logit;
    d2L/dz2 = a u^gamma [f (1 - f) + 2 gamma k (f - t) + gamma k B ((1 - 2 f) + (gamma - 1) k)].

    Args:
        inputs: logits, any shape, floating point.
        targets: the probability of class 1, in [0, 1], of inputs' shape, floating point or bool.
        alpha: the weight of class 1, in [0, 1]; that of class 0 is 1 - alpha. -1: no weights.
        gamma: how much less, at least 0; 0 gives cross-entropy.
        reduction: 'none', 'mean' over the elements, or 'sum'.
    Raises:
        ValueError: alpha or gamma out of range; targets of another shape; unknown reduction.
        RuntimeError: integer targets.
        NotImplementedError: inputs is not floating point.
    Source: torchvision.ops.sigmoid_focal_loss, which has NaN for a gradient where a certain and
        right example meets a gamma below 1; Lin et al. 2017, arXiv 1708.02002, who divide the sum
        by the number of positive examples instead of taking the mean.
    """
    name = "sigmoid_focal_loss"
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    checks.setting(name, "gamma", gamma, least=0.0)
    loss = focal.sigmoid_focal
    return elementwise(loss, name, inputs, targets, None, reduction, gamma, alpha)


def softmax_focal_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss of a softmax: cross-entropy in which easy examples count less.

    L = sum_c t_c (1 - p_c)^gamma (-ln p_c), at least 0; for a class index y, with s = -ln p_y and
    q = 1 - p_y, dL/dz = q^gamma (1 + gamma p_y s / q) (p - e_y), finite for every gamma and logit;
    d2L/ds2 = gamma q^(gamma - 1) p_y [2 + (gamma - 1) p_y s / q - s], and with it the Hessian.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        gamma: how much less, at least 0; 0 gives cross-entropy.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; gamma out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Lin et al. 2017, arXiv 1708.02002, whose focal loss is of one logit and called
        straightforward to extend to many classes.
    """
    name = "softmax_focal_loss"
    checks.setting(name, "gamma", gamma, least=0.0)
    loss = right_class.softmax_focal
    return rows(loss, name, input, target, weight, ignore_index, reduction, gamma)


def asymmetric_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 4.0,
    clip: float = 0.05,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss that lets easy negatives count less than easy positives, the easiest not at all.

    L = t (1 - f)^gamma_pos (-ln f) + (1 - t) u^gamma_neg (-ln(1 - u)), at least 0, with
    f = sigma(z) and u = max(f - clip, 0); for t = 0 and f > clip
    dL/dz = f (1 - f) u^gamma_neg (gamma_neg (-ln(1 - u)) / u + 1 / (1 - u)), else 0. With clip
    above 0 a certain and wrong negative has no more gradient either: 1 - u is no less than clip.

    Args:
        input: logits, any shape, floating point; (N, labels) for images with several labels.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        gamma_pos, gamma_neg: how much less, at least 0.
        clip: the probability up to which a negative costs nothing, in [0, 1); 0: none.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; setting out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: Ben-Baruch et al. 2020, arXiv 2009.14119, as the authors' code has the formula. There
        gamma_pos is 1 by default, losses are summed, and a soft target mixes the exponents; the 0
        here is the paper's, from memory, not checked against its own text.
    """
    name = "asymmetric_loss"
    checks.setting(name, "gamma_pos", gamma_pos, least=0.0)
    checks.setting(name, "gamma_neg", gamma_neg, least=0.0)
    checks.setting(name, "clip", clip, least=0.0, below=1.0)
    settings = (gamma_pos, gamma_neg, clip)
    return elementwise(focal.asymmetric, name, input, target, weight, reduction, *settings)


def poly1(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    epsilon: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy with another coefficient of its first-order term (Poly-1).

    L = sum_c t_c [-ln p_c + epsilon (1 - p_c)], at least 0; for a class index y
    dL/dz = (1 + epsilon p_y) (p - e_y). As -ln p = (1 - p) + (1 - p)^2 / 2 + ..., -1 takes the
    first term away.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,), at least 0: a row weighs w_y, or sum_c w_c t_c.
        epsilon: what is added to the first coefficient, at least -1; 0 gives cross-entropy.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; input has no classes; a negative weight (seen on the
            CPU); unknown reduction; epsilon out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Leng et al. 2022, arXiv 2204.12511, as quoted by others; it names no default.
    """
    checks.setting("poly1", "epsilon", epsilon, least=-1.0)
    loss = right_class.softmax_poly1
    return rows(loss, "poly1", input, target, weight, ignore_index, reduction, epsilon)


def sigmoid_poly1(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    epsilon: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy with another coefficient of its first-order term (Poly-1).

    L = B + epsilon [t (1 - f) + (1 - t) f], at least 0, with f = sigma(z) and B the binary
    cross-entropy; dL/dz = (f - t) + epsilon (1 - 2 t) f (1 - f).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        epsilon: what is added to the first coefficient, at least -1; 0 gives cross-entropy.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; epsilon out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `poly1`, for two classes.
    """
    checks.setting("sigmoid_poly1", "epsilon", epsilon, least=-1.0)
    loss = right_class.poly1
    return elementwise(loss, "sigmoid_poly1", input, target, weight, reduction, epsilon)


def squared_log(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Squared logarithm of the probability that a softmax gives to the right class.

    L = sum_c (t_c ln p_c)^2, at least 0; for a class index y dL/dz = -2 ln p_y (p - e_y): outliers
    weigh more than in cross-entropy, and easy examples less.

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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, table 1; from memory, with the sign that
        makes it a loss.
    """
    loss = right_class.softmax_squared_log
    return rows(loss, "squared_log", input, target, weight, ignore_index, reduction)


def sigmoid_squared_log(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Squared logarithm of the probability that a sigmoid gives to the right class.

    L = (t ln f)^2 + ((1 - t) ln(1 - f))^2, at least 0, with f = sigma(z);
    dL/dz = 2 t^2 (1 - f) ln f - 2 (1 - t)^2 f ln(1 - f).

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `squared_log`, for two classes.
    """
    loss = right_class.squared_log
    return elementwise(loss, "sigmoid_squared_log", input, target, weight, reduction)
