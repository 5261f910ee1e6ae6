"""Focal loss: cross-entropy in which easy examples count less, of a sigmoid and of a softmax.

Of one logit z, p = sigma(z) and q = 1 - p = sigma(-z) are the probabilities of classes 1 and 0.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import checks
from .arguments import elementwise, rows
from .base import Loss
from .bce import bce_with_logits_value
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import times
from .overrides import is_overridden, overridden
from .right_class import RightClass, of_rows
from .sigmoid import error, slope

# --- sigmoid-focal: L = a u^gamma B --------------------------------------------------------------
#
# a = alpha t + (1 - alpha) (1 - t) weights the classes; for alpha < 0 it is 1. B is binary
# cross-entropy with B' = sigma(z) - t and B'' = p q, and u = t q + (1 - t) p the probability of
# being wrong, u' = (1 - 2t) p q. With kappa = u'/u
#
#   L'  = a u^gamma (B' + gamma kappa B)
#   L'' = a u^gamma [B'' + 2 gamma kappa B' + gamma B (kappa u'' / u' + (gamma - 1) kappa^2)],
#
# where u''/u' = q - p = -tanh(z / 2). Nothing is divided by a power of u: kappa stays within
# [-1, 1], so that L' and L'' are finite for gamma < 1 too, where a derivative of u^gamma is not.


class _Terms(NamedTuple):
    """Terms of the formulas above: `factor` = a u^gamma, `kappa`, and the cross-entropy B."""

    factor: Tensor
    kappa: Tensor
    cross_entropy: Tensor


def _terms(z: Tensor, t: Tensor, gamma: float, alpha: float) -> _Terms:
    u = t * torch.sigmoid(-z) + (1 - t) * torch.sigmoid(z)
    certain = u == 0
    # Where a hard target is certain, p q / u is the probability of being right: 1.
    kappa = (1 - 2 * t) * torch.where(certain, 1.0, slope(z) / torch.where(certain, 1.0, u))
    # The clamp avoids the infinite derivative of the power at u = 0, where B is 0 as well.
    power = u.clamp_min(torch.finfo(u.dtype).tiny) ** gamma
    factor = power if alpha < 0 else power * (alpha * t + (1 - alpha) * (1 - t))
    return _Terms(factor, kappa, bce_with_logits_value(z, t))


def sigmoid_focal_value(z: Tensor, t: Tensor, gamma: float, alpha: float) -> Tensor:
    w = _terms(z, t, gamma, alpha)
    return times(w.factor, w.cross_entropy)


def sigmoid_focal_gradient(z: Tensor, t: Tensor, gamma: float, alpha: float) -> Tensor:
    w = _terms(z, t, gamma, alpha)
    return w.factor * (error(z, t) + gamma * times(w.kappa, w.cross_entropy))


def sigmoid_focal_hvp(z: Tensor, v: Tensor, t: Tensor, gamma: float, alpha: float) -> Tensor:
    w = _terms(z, t, gamma, alpha)
    curvature = w.kappa * ((gamma - 1) * w.kappa - torch.tanh(z / 2))
    inside = (
        slope(z) + 2 * gamma * w.kappa * error(z, t) + gamma * times(curvature, w.cross_entropy)
    )
    return v * w.factor * inside


def sigmoid_focal_by_target(z: Tensor, t: Tensor, gamma: float, alpha: float) -> Tensor:
    # B = w z + ln(1 + exp(-|z|)), w = -t or 1 - t: only z is infinite, and it is multiplied last.
    w, log = torch.where(z < 0, -t, 1 - t), torch.log1p(torch.exp(-z.abs()))
    u = t * torch.sigmoid(-z) + (1 - t) * torch.sigmoid(z)
    u = u.clamp_min(torch.finfo(u.dtype).tiny)
    a, a_slope = alpha * t + (1 - alpha) * (1 - t), 2 * alpha - 1
    if alpha < 0:
        a, a_slope = torch.ones_like(t), 0.0
    slope_of_factor = a_slope * u**gamma - a * gamma * u ** (gamma - 1) * torch.tanh(z / 2)
    return times(slope_of_factor * w - a * u**gamma, z) + slope_of_factor * log


sigmoid_focal_formula = differentiable(
    ClosedForms(
        *("sigmoid_focal", sigmoid_focal_value, sigmoid_focal_gradient),
        sigmoid_focal_hvp,
        by_target=sigmoid_focal_by_target,
        float64_hvp=True,
    )
)


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
        gamma: exponent, at least 0: the larger, the less easy examples count. 0: cross-entropy.
        reduction: 'none', 'mean' over the elements, or 'sum'.
    Raises:
        ValueError: alpha or gamma out of range; targets of another shape; unknown reduction.
        RuntimeError: integer targets.
        NotImplementedError: inputs is not floating point.
    Source: torchvision.ops.sigmoid_focal_loss, which has NaN for a gradient where a certain and
        right example meets a gamma below 1; Lin et al. 2017, arXiv 1708.02002, who divide the sum
        by the number of positive examples instead of taking the mean.
    """
    if is_overridden(inputs, targets):
        return overridden(sigmoid_focal_loss, locals())
    name = "sigmoid_focal_loss"
    checks.number(f"{name}: alpha", alpha)
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    checks.setting(name, "gamma", gamma, least=0.0)
    loss = sigmoid_focal_formula
    return elementwise(loss, name, inputs, targets, None, reduction, float(gamma), float(alpha))


class SigmoidFocalLoss(Loss):
    """Focal loss of a sigmoid, a (1 - p_t)^gamma (-ln p_t), with a = alpha or 1 - alpha.

    See `losses.functional.sigmoid_focal_loss`; 'mean' is the default here.
    """

    function = staticmethod(sigmoid_focal_loss)

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__(alpha=alpha, gamma=gamma, reduction=reduction)


def sigmoid_focal_textbook(z: Tensor, t: Tensor, alpha: float, gamma: float) -> Tensor:
    # As torchvision.ops has it: the weights of a soft target are between those of the classes.
    p = torch.sigmoid(z)
    right = t * p + (1 - t) * (1 - p)
    cross_entropy = -(t * F.logsigmoid(z) + (1 - t) * F.logsigmoid(-z))
    weight = alpha * t + (1 - alpha) * (1 - t) if alpha >= 0 else 1
    return weight * (1 - right) ** gamma * cross_entropy


# --- softmax-focal: phi = q^gamma s --------------------------------------------------------------
#
# phi and s, p and q of a class of a row are those of `right_class.py`.


def _ratio(s: Tensor, q: Tensor) -> Tensor:
    """Return s / q = -ln(1 - q) / q, which tends to 1 as q tends to 0."""
    return torch.where(q == 0, 1.0, s / torch.where(q == 0, 1.0, q))


def _focal_value(s: Tensor, _p: Tensor, q: Tensor, gamma: float) -> Tensor:
    return times(q**gamma, s)


def _focal_first(s: Tensor, p: Tensor, q: Tensor, gamma: float) -> Tensor:
    # q^gamma + gamma q^(gamma - 1) p s: finite for gamma < 1 too, because s / q is.
    return q**gamma * (1 + gamma * times(p, _ratio(s, q)))


def _focal_second(s: Tensor, p: Tensor, q: Tensor, gamma: float) -> Tensor:
    # gamma q^(gamma - 1) p [1 + (gamma - 1) p s / q + 1 - s].
    inside = 2 + (gamma - 1) * times(p, _ratio(s, q))
    # For gamma < 1 this is infinite at q = 0. The factor it is multiplied by goes to 0 faster.
    return (
        gamma * q.clamp_min(torch.finfo(q.dtype).tiny) ** (gamma - 1) * (p * inside - times(p, s))
    )


focal_phi = RightClass(_focal_value, _focal_first, _focal_second)
softmax_focal_formula = of_rows("softmax_focal", focal_phi)


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
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        gamma: exponent, at least 0: the larger, the less easy examples count. 0: cross-entropy.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; gamma out of
            range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Lin et al. 2017, arXiv 1708.02002, whose focal loss is of one logit and called
        straightforward to extend to many classes.
    """
    if is_overridden(input, target, weight):
        return overridden(softmax_focal_loss, locals())
    name = "softmax_focal_loss"
    checks.setting(name, "gamma", gamma, least=0.0)
    loss = softmax_focal_formula
    return rows(loss, name, input, target, weight, ignore_index, reduction, float(gamma))


class SoftmaxFocalLoss(Loss):
    """Focal loss of a softmax, (1 - p_y)^gamma (-ln p_y).

    See `losses.functional.softmax_focal_loss`.
    """

    function = staticmethod(softmax_focal_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma: float = 2.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, gamma=gamma, ignore_index=ignore_index, reduction=reduction
        )


def softmax_focal_textbook(z: Tensor, t: Tensor, gamma: float) -> Tensor:
    p, log_p = torch.softmax(z, -1), torch.log_softmax(z, -1)
    return -(t * (1 - p) ** gamma * log_p).sum(-1)


ENTRIES = (
    Entry(
        "focal",
        SigmoidFocalLoss,
        "binary",
        "logits",
        ("probability",),
        sigmoid_focal_textbook,
        "focal loss of a sigmoid",
        formula="α_t u^γ BCE, u = t (1 - f) + (1 - t) f, f = σ(z)",
        gradient="α_t u^γ (f - t + γ (1 - 2t) f (1 - f) BCE / u)",
        range="[0, ∞)",
        use="where most examples are easy, as in detection",
        source="torchvision.ops.sigmoid_focal_loss; Lin et al. 2017, arXiv 1708.02002",
    ),
    Entry(
        "softmax-focal",
        SoftmaxFocalLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        softmax_focal_textbook,
        "focal loss of a softmax",
        formula="(1 - p_y)^γ (-ln p_y)",
        gradient="(1 - p_y)^γ (1 - γ p_y ln p_y / (1 - p_y)) (p - e_y)",
        range="[0, ∞)",
        use="where most examples are easy",
        source="Lin et al. 2017, arXiv 1708.02002",
    ),
)
