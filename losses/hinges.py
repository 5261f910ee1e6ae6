"""Hinge losses: a score that has to be on the right side by a margin, and their squares and cubes.

They consist of max(0, u)^k, whose derivative is k max(0, u)^(k - 1). A derivative that jumps at
u = 0 is 0 there, as in torch.
"""

import math

import torch
from torch import Tensor

from . import checks
from .arguments import elementwise, rows
from .base import Loss
from .closed_form import ClosedForms, differentiable, summed
from .entries import Entry
from .numerics import times
from .overrides import is_overridden, overridden


def ramp(u: Tensor, power: int, order: int = 0) -> Tensor:
    """Return the derivative of the given order of max(0, u)^power with respect to u."""
    degree = power - order
    if degree < 0:
        return torch.zeros_like(u)
    if degree == 0:
        # 1 or 0, and NaN of NaN.
        return math.factorial(power) * torch.where(u > 0, 1.0, torch.relu(u))
    return math.perm(power, order) * torch.relu(u) ** degree


def known_power(function: str, name: str, value: int, known: tuple[int, ...]) -> int:
    if value not in known:
        choices = f"{', '.join(map(str, known[:-1]))} or {known[-1]}"
        raise ValueError(f"{function}: {name}={value} is not supported: it must be {choices}")
    return int(value)


# --- hinge: L = t max(0, m - z)^k + (1 - t) max(0, m + z)^k --------------------------------------


def hinge_value(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    return times(t, ramp(margin - z, power)) + times(1 - t, ramp(margin + z, power))


def hinge_gradient(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    return times(1 - t, ramp(margin + z, power, 1)) - times(t, ramp(margin - z, power, 1))


def hinge_hvp(z: Tensor, v: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    up, down = ramp(margin - z, power, 2), ramp(margin + z, power, 2)
    return v * (times(t, up) + times(1 - t, down))


_hinge = ClosedForms("hinge", hinge_value, hinge_gradient, hinge_hvp)
hinge_formula = differentiable(_hinge)


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
    if is_overridden(input, target, weight):
        return overridden(hinge, locals())
    checks.setting("hinge", "margin", margin, least=0.0)
    power = known_power("hinge", "power", power, (1, 2, 3))
    return elementwise(
        hinge_formula, "hinge", input, target, weight, reduction, float(margin), power
    )


class HingeLoss(Loss):
    """Hinge loss of one output, max(0, m - z)^k for class 1 and max(0, m + z)^k for class 0.

    See `losses.functional.hinge`; takes targets in [0, 1].
    """

    function = staticmethod(hinge)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        margin: float = 1.0,
        power: int = 1,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, margin=margin, power=power, reduction=reduction)


def hinge_textbook(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    return t * torch.relu(margin - z) ** power + (1 - t) * torch.relu(margin + z) ** power


# --- one-vs-rest-hinge: the sum of hinge over the classes of a row -------------------------------

one_vs_rest_hinge_formula = differentiable(summed("one_vs_rest_hinge", _hinge))


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
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        margin: m, at least 0.
        power: k, 1, 2 or 3.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; margin or power
            out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Janocha & Czarnecki 2017, arXiv 1702.05659, hinge, hinge^2 and hinge^3 of table 1, with
        the margin of 1/2; from memory, not checked against the paper's own text.
    """
    if is_overridden(input, target, weight):
        return overridden(one_vs_rest_hinge, locals())
    name = "one_vs_rest_hinge"
    checks.setting(name, "margin", margin, least=0.0)
    power = known_power(name, "power", power, (1, 2, 3))
    loss = one_vs_rest_hinge_formula
    return rows(loss, name, input, target, weight, ignore_index, reduction, float(margin), power)


class OneVsRestHingeLoss(Loss):
    """Sum over the classes of the hinge loss of a class against the others.

    See `losses.functional.one_vs_rest_hinge`.
    """

    function = staticmethod(one_vs_rest_hinge)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        margin: float = 0.5,
        power: int = 1,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight},
            margin=margin,
            power=power,
            ignore_index=ignore_index,
            reduction=reduction,
        )


def one_vs_rest_hinge_textbook(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    return hinge_textbook(z, t, margin, power).sum(-1)


ENTRIES = (
    Entry(
        "hinge",
        HingeLoss,
        "binary",
        "logits",
        ("probability",),
        hinge_textbook,
        "hinge loss of one output",
        formula="t max(0, 1 - z) + (1 - t) max(0, 1 + z)",
        gradient="(1 - t) [z > -1] - t [z < 1]",
        range="[0, ∞)",
        use="where only the side matters: examples beyond the margin have no gradient",
        source="Cortes and Vapnik 1995, Machine Learning 20(3)",
    ),
    Entry(
        "squared-hinge",
        HingeLoss,
        "binary",
        "logits",
        ("probability",),
        hinge_textbook,
        "squared hinge loss of one output",
        settings={"power": 2},
        formula="t max(0, 1 - z)² + (1 - t) max(0, 1 + z)²",
        gradient="2 (1 - t) max(0, 1 + z) - 2 t max(0, 1 - z)",
        range="[0, ∞)",
        use="a hinge loss without a kink; outliers weigh more",
        source="the square of the hinge loss",
    ),
    Entry(
        "cubed-hinge",
        HingeLoss,
        "binary",
        "logits",
        ("probability",),
        hinge_textbook,
        "cubed hinge loss of one output",
        settings={"power": 3},
        formula="t max(0, 1 - z)³ + (1 - t) max(0, 1 + z)³",
        gradient="3 (1 - t) max(0, 1 + z)² - 3 t max(0, 1 - z)²",
        range="[0, ∞)",
        use="to compare with the squared hinge loss",
        source="the cube of the hinge loss",
    ),
    Entry(
        "one-vs-rest-hinge",
        OneVsRestHingeLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        one_vs_rest_hinge_textbook,
        "sum of hinge losses of a class against the others",
        formula="max(0, 1/2 - z_y) + Σ_{c≠y} max(0, 1/2 + z_c)",
        gradient="(1 - t) [z > -1/2] - t [z < 1/2]",
        range="[0, ∞)",
        use="scores that stand alone, without a softmax",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
    Entry(
        "one-vs-rest-squared-hinge",
        OneVsRestHingeLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        one_vs_rest_hinge_textbook,
        "sum of squared hinge losses of a class against the others",
        settings={"power": 2},
        formula="max(0, 1/2 - z_y)² + Σ_{c≠y} max(0, 1/2 + z_c)²",
        gradient="2 (1 - t) max(0, 1/2 + z) - 2 t max(0, 1/2 - z)",
        range="[0, ∞)",
        use="the same without a kink",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
    Entry(
        "one-vs-rest-cubed-hinge",
        OneVsRestHingeLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        one_vs_rest_hinge_textbook,
        "sum of cubed hinge losses of a class against the others",
        settings={"power": 3},
        formula="max(0, 1/2 - z_y)³ + Σ_{c≠y} max(0, 1/2 + z_c)³",
        gradient="3 (1 - t) max(0, 1/2 + z)² - 3 t max(0, 1/2 - z)²",
        range="[0, ∞)",
        use="to compare with the squared one",
        source="Janocha and Czarnecki 2017, arXiv 1702.05659",
    ),
)
