"""Asymmetric loss: the focal loss with an exponent for each class, and a shift for class 0.

p = sigma(z) and q = 1 - p = sigma(-z) are the probabilities of class 1 and of class 0.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from . import checks
from .arguments import elementwise
from .base import Loss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .focal import focal_phi
from .numerics import times
from .overrides import is_overridden, overridden
from .right_class import second_derivative
from .sigmoid import class_terms

# --- asymmetric: L = t q^g+ (-ln p) + (1 - t) u^g- (-ln(1 - u)), u = max(p - m, 0) ---------------
#
# The part of class 1 is `right_class.focal`. In that of class 0 let l = -ln(1 - u), which is
# l/u -> 1 as u -> 0, and, where p > m, w = q l / u and r = q / (1 - u), 1 - u = m + q. Then with
# du/dz = p q its derivatives are
#
#   p u^g (g w + r)
#   p u^g [g q (p / u) ((g - 1) w + 2 r) + r (q - p m / (1 - u)) + g (q - p) w].
#
# For m = 0, where it is the focal loss of class 0, p / u and r are 1 and nothing is divided by 0.


class _Shifted(NamedTuple):
    """Terms of class 0: whether p > m; p, q, u, l, p / u, w, r and m / (1 - u), all finite."""

    active: Tensor
    p: Tensor
    q: Tensor
    u: Tensor
    loss: Tensor
    p_over_u: Tensor
    w: Tensor
    r: Tensor
    m_over_rest: Tensor


def _shifted(z: Tensor, clip: float) -> _Shifted:
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    tiny = torch.finfo(z.dtype).tiny
    if clip == 0:
        one, loss = torch.ones_like(z), -logsigmoid(-z)
        ratio = torch.where(p < tiny, 1.0, loss / p.clamp_min(tiny))
        active = torch.ones_like(z, dtype=torch.bool)
        power_of = p.clamp_min(tiny)
        return _Shifted(active, p, q, power_of, loss, one, times(q, ratio), one, 0 * one)
    # p - m = p (1 - m) (1 - exp(z_m - z)), z_m the logit at which p = m: near m nothing is lost.
    # z_m is subtracted in two parts, the first of so few digits that the difference is exact.
    kink = math.log(clip) - math.log1p(-clip)
    leading = round(kink * 2**14) / 2**14
    above = (z - leading) - (kink - leading)
    # False at the kink itself, as in the derivative of torch.clamp; True for NaN, which is kept.
    active = ~(above <= 0)
    u = p * (1 - clip) * -torch.expm1(-torch.where(active, above, 1.0))
    loss = torch.where(u < 0.5, -torch.log1p(-u.clamp_max(0.5)), -torch.log(clip + q))
    ratio = torch.where(u < tiny, 1.0, loss / u.clamp_min(tiny))
    rest = clip + q
    # q / m = exp(-z - ln m) is a normal number long after q has ceased to be one.
    log_clip, large = math.log(clip), z.clamp_min(40.0)
    leading = round(log_clip * 2**14) / 2**14
    small = torch.exp(-(large + leading)) * math.exp(leading - log_clip)
    r = torch.where(z > 40, small / (1 + small), q / rest)
    u = u.clamp_min(tiny)
    return _Shifted(active, p, q, u, loss, p / u, r * (rest * ratio), r, clip / rest)


def _negative_value(z: Tensor, gamma: float, clip: float) -> Tensor:
    x = _shifted(z, clip)
    return torch.where(x.active, x.u**gamma * x.loss, 0.0)


def _negative_gradient(z: Tensor, gamma: float, clip: float) -> Tensor:
    x = _shifted(z, clip)
    return torch.where(x.active, x.p * x.u**gamma * (gamma * x.w + x.r), 0.0)


def _negative_second_derivative(z: Tensor, gamma: float, clip: float) -> Tensor:
    x = _shifted(z, clip)
    steep = gamma * x.q * x.p_over_u * ((gamma - 1) * x.w + 2 * x.r)
    flat = x.r * (x.q - x.p * x.m_over_rest) - gamma * torch.tanh(z / 2) * x.w
    return torch.where(x.active, x.p * x.u**gamma * (steep + flat), 0.0)


def asymmetric_value(
    z: Tensor, t: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> Tensor:
    one, _ = class_terms(z)
    positive = times(t, focal_phi.value(*one, gamma_pos))
    return positive + times(1 - t, _negative_value(z, gamma_neg, clip))


def asymmetric_gradient(
    z: Tensor, t: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> Tensor:
    one, _ = class_terms(z)
    positive = times(t, times(one[2], focal_phi.first(*one, gamma_pos)))
    return (1 - t) * _negative_gradient(z, gamma_neg, clip) - positive


def asymmetric_hvp(
    z: Tensor, v: Tensor, t: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> Tensor:
    one, _ = class_terms(z)
    positive = times(t, second_derivative(focal_phi, one, gamma_pos))
    return v * (positive + (1 - t) * _negative_second_derivative(z, gamma_neg, clip))


asymmetric_formula = differentiable(
    ClosedForms(
        *("asymmetric", asymmetric_value, asymmetric_gradient),
        asymmetric_hvp,
        float64_hvp=True,
    )
)


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
    if is_overridden(input, target, weight):
        return overridden(asymmetric_loss, locals())
    name = "asymmetric_loss"
    checks.setting(name, "gamma_pos", gamma_pos, least=0.0)
    checks.setting(name, "gamma_neg", gamma_neg, least=0.0)
    checks.setting(name, "clip", clip, least=0.0, below=1.0)
    settings = (float(gamma_pos), float(gamma_neg), float(clip))
    return elementwise(asymmetric_formula, name, input, target, weight, reduction, *settings)


class AsymmetricLoss(Loss):
    """Focal loss with easy negatives that count less than easy positives, for many labels.

    See `losses.functional.asymmetric_loss`.
    """

    function = staticmethod(asymmetric_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma_pos: float = 0.0,
        gamma_neg: float = 4.0,
        clip: float = 0.05,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight},
            gamma_pos=gamma_pos,
            gamma_neg=gamma_neg,
            clip=clip,
            reduction=reduction,
        )


def asymmetric_textbook(
    z: Tensor, t: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> Tensor:
    p, q = torch.sigmoid(z), torch.sigmoid(-z)
    positive = -(q**gamma_pos) * torch.log(p)
    # u = max(p - clip, 0), and so 1 - u = min(q + clip, 1).
    negative = -(torch.relu(p - clip) ** gamma_neg) * torch.log((q + clip).clamp_max(1))
    return t * positive + (1 - t) * negative


ENTRIES = (
    Entry(
        "asymmetric",
        AsymmetricLoss,
        "binary",
        "logits",
        ("probability",),
        asymmetric_textbook,
        "focal loss that is harder on positives",
        formula="-t (1 - f)^γ₊ ln f - (1 - t) u^γ₋ ln(1 - u), u = max(f - m, 0)",
        gradient="f (1 - f) u^γ₋ (-γ₋ ln(1 - u) / u + 1 / (1 - u)) where t = 0",
        range="[0, ∞)",
        use="for many labels of which few are right, (N, labels)",
        source="Ben-Baruch et al. 2020, arXiv 2009.14119",
    ),
)
