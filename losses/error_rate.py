"""The error rate, counted and expected.

zero-one counts wrong predictions; its gradient is 0. probability-sum is 1 minus the probability of
the right class: the error rate of predictions that are drawn from the model's probabilities.
"""

import torch
from torch import Tensor

from .arguments import elementwise, rows
from .base import RowLoss, Weighted
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import zero_hvp
from .overrides import is_overridden, overridden
from .right_class import RightClass, of_one_logit, of_rows
from .softmax import without

# --- zero-one: L = [the prediction z > 0 is wrong]; for soft t the expected count ----------------


def zero_one_value(z: Tensor, t: Tensor) -> Tensor:
    # A NaN logit predicts nothing: return NaN instead of counting it.
    return torch.where(z > 0, 1 - t, torch.where(z <= 0, t, z))


def zero_one_gradient(z: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(z * t)


zero_one_formula = differentiable(
    ClosedForms("zero_one", zero_one_value, zero_one_gradient, zero_hvp)
)


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
    if is_overridden(input, target, weight):
        return overridden(zero_one, locals())
    return elementwise(zero_one_formula, "zero_one", input, target, weight, reduction)


class ZeroOneLoss(Weighted):
    """The count of wrong predictions of a logit; its gradient is zero, and that is its point.

    See `losses.functional.zero_one`. 'mean' is the error rate, 'sum' the count.
    """

    function = staticmethod(zero_one)


def zero_one_textbook(z: Tensor, t: Tensor) -> Tensor:
    # The last term is in the graph, with the gradient 0 of a step function.
    return torch.where(z > 0, 1 - t, t) + 0 * z


# --- zero-one of a row: L = sum_c t_c [c is not the class of the largest logit] -----------------


def zero_one_rows_value(z: Tensor, t: Tensor) -> Tensor:
    top = z.argmax(-1, keepdim=True)
    right = t.gather(-1, top).squeeze(-1)
    # 0, but NaN of a target that is NaN.
    wrong = without(top, t).sum(-1) + (right - right)
    # A row with a NaN predicts nothing: return NaN instead of counting it.
    return torch.where(z.isnan().any(-1), z.amax(-1), wrong)


zero_one_rows_formula = differentiable(
    ClosedForms(
        "zero_one_rows",
        zero_one_rows_value,
        zero_one_gradient,
        zero_hvp,
        rows=True,
    )
)


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
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    """
    if is_overridden(input, target, weight):
        return overridden(multiclass_zero_one, locals())
    loss = zero_one_rows_formula
    return rows(loss, "multiclass_zero_one", input, target, weight, ignore_index, reduction)


class MulticlassZeroOneLoss(RowLoss):
    """The count of wrong predictions of the largest logit, the top-1 error; its gradient is zero.

    See `losses.functional.multiclass_zero_one`. 'mean' is the error rate, 'sum' the count.
    """

    function = staticmethod(multiclass_zero_one)


def multiclass_zero_one_textbook(z: Tensor, t: Tensor) -> Tensor:
    right = t.gather(-1, z.argmax(-1, keepdim=True)).squeeze(-1)
    return t.sum(-1) - right + 0 * z.sum(-1)


# --- probability-sum: phi = q --------------------------------------------------------------------

_probability_sum = RightClass(
    lambda _s, _p, q: q,
    lambda _s, p, _q: p,
    lambda _s, p, _q: -p,
)
probability_sum_formula = of_one_logit("probability_sum", _probability_sum)
softmax_probability_sum_formula = of_rows("softmax_probability_sum", _probability_sum)


def probability_sum(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """1 minus the probability that a sigmoid gives to the right class.

    L = 1 - [t f + (1 - t) (1 - f)] with f = sigma(z), in [0, 1];
    dL/dz = (1 - 2 t) f (1 - f), which vanishes where the model is certain, right or wrong;
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
    if is_overridden(input, target, weight):
        return overridden(probability_sum, locals())
    return elementwise(probability_sum_formula, "probability_sum", input, target, weight, reduction)


class ProbabilitySumLoss(Weighted):
    """1 minus the probability given to the right class: 1 - [t f + (1 - t) (1 - f)].

    See `losses.functional.probability_sum`; takes logits.
    """

    function = staticmethod(probability_sum)


def probability_sum_textbook(z: Tensor, t: Tensor) -> Tensor:
    f = torch.sigmoid(z)
    return 1 - (t * f + (1 - t) * (1 - f))


def softmax_probability_sum(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """1 minus the probability that a softmax gives to the right class.

    L = sum_c t_c (1 - p_c), in [0, 1]; for a class index y dL/dz = p_y (p - e_y), which vanishes
    where the model is certain, right or wrong; for a distribution
    dL/dz_c = p_c (sum_j t_j p_j - t_c).

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Ghosh et al. 2017, arXiv 1712.09482; for a class index half the MAE of p.
    """
    if is_overridden(input, target, weight):
        return overridden(softmax_probability_sum, locals())
    loss = softmax_probability_sum_formula
    return rows(loss, "softmax_probability_sum", input, target, weight, ignore_index, reduction)


class SoftmaxProbabilitySumLoss(RowLoss):
    """1 minus the probability given to the right class: 1 - p_y.

    See `losses.functional.softmax_probability_sum`.
    """

    function = staticmethod(softmax_probability_sum)


def softmax_probability_sum_textbook(z: Tensor, t: Tensor) -> Tensor:
    return (t * (1 - torch.softmax(z, -1))).sum(-1)


ENTRIES = (
    Entry(
        "zero-one",
        ZeroOneLoss,
        "binary",
        "logits",
        ("probability",),
        zero_one_textbook,
        "count of wrong predictions",
        formula="[z > 0] (1 - t) + [z ≤ 0] t",
        gradient="0",
        range="[0, 1]",
        use="to report the error rate; nothing can be trained with it",
        source="the count of errors",
    ),
    Entry(
        "probability-sum",
        ProbabilitySumLoss,
        "binary",
        "logits",
        ("probability",),
        probability_sum_textbook,
        "1 minus the probability of the right class",
        formula="1 - [t f + (1 - t)(1 - f)], f = σ(z)",
        gradient="(1 - 2t) f (1 - f)",
        range="[0, 1]",
        use="where labels are wrong more often than the model",
        source="Ghosh et al. 2017, arXiv 1712.09482",
    ),
    Entry(
        "multiclass-zero-one",
        MulticlassZeroOneLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        multiclass_zero_one_textbook,
        "top-1 error of a row of logits",
        formula="[argmax z ≠ y]",
        gradient="0",
        range="[0, 1]",
        use="to report the error rate; nothing can be trained with it",
        source="the count of errors",
    ),
    Entry(
        "softmax-probability-sum",
        SoftmaxProbabilitySumLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        softmax_probability_sum_textbook,
        "1 minus a softmax's probability of the right class",
        formula="1 - p_y",
        gradient="p_y (p - e_y)",
        range="[0, 1]",
        use="where labels are wrong more often than the model",
        source="Ghosh et al. 2017, arXiv 1712.09482",
    ),
)
