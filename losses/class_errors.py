"""Errors of a row, summed over its classes: squared or absolute, of a softmax or raw outputs."""

import torch
from torch import Tensor

from . import checks
from .arguments import rows
from .base import Loss, RowLoss
from .closed_form import ClosedForms, differentiable, summed
from .cross_entropies import cross_entropy_forms
from .entries import Entry
from .numerics import times, zero_hvp
from .overrides import is_overridden, overridden
from .probabilities import ProbabilityLoss, error, of_probabilities
from .regression import l1_gradient, l1_value

# --- softmax-mse: l = sum_c (p_c - t_c)^2 --------------------------------------------------------

_softmax_mse = ProbabilityLoss(
    lambda r, t: error(r, t).square().sum(-1),
    lambda r, t: 2 * error(r, t),
    lambda _r, dp, _t: 2 * dp,
)
softmax_mse_formula = of_probabilities("softmax_mse", _softmax_mse)


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
    Source: Brier 1950, Monthly Weather Review 78(1), in its original form, summed over classes;
        the regularised expectation loss of Janocha and Czarnecki 2017, arXiv 1702.05659.
    """
    if is_overridden(input, target, weight):
        return overridden(softmax_mse, locals())
    loss = softmax_mse_formula
    return rows(loss, "softmax_mse", input, target, weight, ignore_index, reduction)


class SoftmaxMSELoss(RowLoss):
    """Squared error of a softmax, the Brier score. See `losses.functional.softmax_mse`."""

    function = staticmethod(softmax_mse)


def softmax_mse_textbook(z: Tensor, t: Tensor) -> Tensor:
    return (torch.softmax(z, -1) - t).square().sum(-1)


# --- one-vs-rest-l1: L = sum_c |z_c - t_c| -------------------------------------------------------

one_vs_rest_l1_formula = differentiable(
    summed("one_vs_rest_l1", ClosedForms("l1", l1_value, l1_gradient, zero_hvp))
)


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
    Source: Janocha and Czarnecki 2017, arXiv 1702.05659, L1 loss; from memory, not checked against
        the paper's own text.
    """
    if is_overridden(input, target, weight):
        return overridden(one_vs_rest_l1, locals())
    loss = one_vs_rest_l1_formula
    return rows(loss, "one_vs_rest_l1", input, target, weight, ignore_index, reduction)


class OneVsRestL1Loss(RowLoss):
    """Absolute error of a row of raw outputs against 0 and 1.

    See `losses.functional.one_vs_rest_l1`.
    """

    function = staticmethod(one_vs_rest_l1)


def one_vs_rest_l1_textbook(z: Tensor, t: Tensor) -> Tensor:
    return (z - t).abs().sum(-1)


# --- rescaled square: L = 1/C sum_c a_c (z_c - m t_c)^2, a = 1 + (k - 1) t -----------------------


def _importance(z: Tensor, t: Tensor, k: float) -> Tensor:
    # a / C. Of one term, so that beside an infinite square its derivative by t is k - 1 times that;
    # 1 + (k - 1) t would cancel for a small k.
    a = 1 + (k - 1) * t if k > 1 else k + (1 - k) * (1 - t) if k < 1 else torch.ones_like(t)
    return a / z.shape[-1]


def _off(z: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    """Return z - m t. At infinity, where the square has more to say, without a derivative by t."""
    return z - m * (t if k == 1 else torch.where(z.isinf(), t.detach(), t))


def rescaled_square_value(z: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    return _importance(z, t, k) * _off(z, t, k, m).square()


def rescaled_square_gradient(z: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    return 2 * _importance(z, t, k) * (z - m * t)


def rescaled_square_hvp(z: Tensor, v: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    del m
    return 2 * _importance(z, t, k) * v


rescaled_square_formula = differentiable(
    summed(
        "rescaled_square",
        ClosedForms(
            "rescaled_square",
            rescaled_square_value,
            rescaled_square_gradient,
            rescaled_square_hvp,
        ),
    )
)


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
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        k: the weight of the right class, above 0; 1 below 1000 classes, 15 for 1000 classes.
        m: the output that the right class shall have, above 0; 1 below 42 classes, 15 from 42
            classes up, 30 for 1000 classes.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; k or m out of
            range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Hui and Belkin 2021, arXiv 2006.07322. The division by C is that of the authors' later
        code; k and m by number of classes are as cited by others, not checked against the paper's
        own text. Soft targets are this library's.
    """
    if is_overridden(input, target, weight):
        return overridden(rescaled_square, locals())
    name = "rescaled_square"
    checks.setting(name, "k", k, above=0.0)
    checks.setting(name, "m", m, above=0.0)
    loss = rescaled_square_formula
    return rows(loss, name, input, target, weight, ignore_index, reduction, float(k), float(m))


class RescaledSquareLoss(Loss):
    """Squared error of a row of raw outputs; the right class has weight k and target m.

    See `losses.functional.rescaled_square`, also for k and m of the paper by number of classes.
    """

    function = staticmethod(rescaled_square)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        k: float = 1.0,
        m: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, k=k, m=m, ignore_index=ignore_index, reduction=reduction
        )


def rescaled_square_textbook(z: Tensor, t: Tensor, k: float, m: float) -> Tensor:
    return ((1 + (k - 1) * t) * (z - m * t).square()).mean(-1)


# --- squentropy: cross-entropy + 1/(C - 1) sum_c (1 - t_c) z_c^2 ---------------------------------


def squentropy_value(z: Tensor, t: Tensor) -> Tensor:
    # `times`: a class with target 1 has no square, also where its logit is infinite. By a target
    # beside -inf the square, not the logarithm, has the limit of the derivative.
    counted = torch.where(z == -torch.inf, t.detach(), t)
    cross_entropy: Tensor = cross_entropy_forms.value(z, counted, 0.0, 0.0)
    return cross_entropy + times(1 - t, z.square()).sum(-1) / (z.shape[-1] - 1)


def squentropy_gradient(z: Tensor, t: Tensor) -> Tensor:
    return cross_entropy_forms.gradient(z, t, 0.0, 0.0) + 2 * times(1 - t, z) / (z.shape[-1] - 1)


def squentropy_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return cross_entropy_forms.hvp(z, v, t, 0.0, 0.0) + 2 * (1 - t) * v / (z.shape[-1] - 1)


squentropy_formula = differentiable(
    ClosedForms("squentropy", squentropy_value, squentropy_gradient, squentropy_hvp, rows=True)
)


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
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; a single class.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Hui, Belkin and Wright 2023, arXiv 2302.03952, and the authors' code, for class indices.
    """
    if is_overridden(input, target, weight):
        return overridden(squentropy, locals())
    name = "squentropy"
    checks.tensors(input=input, target=target)
    if input.dim() > 0 and checks.class_count(input) < 2:
        raise ValueError(
            f"{name}: input of size {tuple(input.shape)} has {checks.class_count(input)} classes "
            "but the mean over the wrong ones wants at least 2 in all"
        )
    return rows(squentropy_formula, name, input, target, weight, ignore_index, reduction)


class SquentropyLoss(RowLoss):
    """Cross-entropy plus the mean square of the wrong classes' logits.

    See `losses.functional.squentropy`.
    """

    function = staticmethod(squentropy)


def squentropy_textbook(z: Tensor, t: Tensor) -> Tensor:
    cross_entropy = -(t * torch.log_softmax(z, -1)).sum(-1)
    return cross_entropy + ((1 - t) * z.square()).sum(-1) / (z.shape[-1] - 1)


ENTRIES = (
    Entry(
        "softmax-mse",
        SoftmaxMSELoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        softmax_mse_textbook,
        "squared error of a softmax (Brier)",
        formula="Σ_c (p_c - t_c)²",
        gradient="2 J (p - t)",
        range="[0, 2]",
        use="a proper score that bounds what one example can cost",
        source="Brier 1950, Monthly Weather Review 78(1)",
    ),
    Entry(
        "one-vs-rest-l1",
        OneVsRestL1Loss,
        "multiclass",
        "outputs",
        ("index", "distribution"),
        one_vs_rest_l1_textbook,
        "absolute error of every raw output",
        formula="Σ_c |z_c - t_c|",
        gradient="sign(z - t)",
        range="[0, ∞)",
        use="to compare with losses of a softmax",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
    Entry(
        "rescaled-square",
        RescaledSquareLoss,
        "multiclass",
        "outputs",
        ("index", "distribution"),
        rescaled_square_textbook,
        "squared error of every raw output",
        formula="Σ_c (1 + (k - 1) t_c)(z_c - m t_c)² / C",
        gradient="2/C (1 + (k - 1) t)(z - m t)",
        range="[0, ∞)",
        use="instead of cross-entropy; k and m grow with the number of classes",
        source="Hui and Belkin 2021, arXiv 2006.07322",
    ),
    Entry(
        "squentropy",
        SquentropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        squentropy_textbook,
        "cross-entropy plus squares of the wrong logits",
        formula="-ln p_y + Σ_{c≠y} z_c² / (C - 1)",
        gradient="p - e_y + 2 (1 - e_y) z / (C - 1)",
        range="[0, ∞)",
        use="for calibrated probabilities without a setting to tune",
        source="Hui, Belkin and Wright 2023, arXiv 2302.03952",
    ),
)
