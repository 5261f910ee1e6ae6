"""Closed forms of losses of one logit that down-weight easy examples: focal, asymmetric.

p = sigma(z) and q = 1 - p = sigma(-z) are the probabilities of class 1 and of class 0.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..closed_form import ClosedForms, differentiable
from .binary import bce_with_logits_value, error, slope, times
from .right_class import class_terms, focal, second_derivative

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


class _Wrong(NamedTuple):
    """a u^gamma, kappa and B."""

    factor: Tensor
    kappa: Tensor
    cross_entropy: Tensor


def _wrong(z: Tensor, t: Tensor, gamma: float, alpha: float) -> _Wrong:
    u = t * torch.sigmoid(-z) + (1 - t) * torch.sigmoid(z)
    certain = u == 0
    # Where a hard target is certain, p q / u is the probability of being right: 1.
    kappa = (1 - 2 * t) * torch.where(certain, 1.0, slope(z) / torch.where(certain, 1.0, u))
    # At u = 0 the power has a derivative that is infinite, while B is no larger than u.
    power = u.clamp_min(torch.finfo(u.dtype).tiny) ** gamma
    factor = power if alpha < 0 else power * (alpha * t + (1 - alpha) * (1 - t))
    return _Wrong(factor, kappa, bce_with_logits_value(z, t))


def sigmoid_focal_value(z: Tensor, t: Tensor, gamma: float, alpha: float) -> Tensor:
    w = _wrong(z, t, gamma, alpha)
    return times(w.factor, w.cross_entropy)


def sigmoid_focal_gradient(z: Tensor, t: Tensor, gamma: float, alpha: float) -> Tensor:
    w = _wrong(z, t, gamma, alpha)
    return w.factor * (error(z, t) + gamma * times(w.kappa, w.cross_entropy))


def sigmoid_focal_hvp(z: Tensor, v: Tensor, t: Tensor, gamma: float, alpha: float) -> Tensor:
    w = _wrong(z, t, gamma, alpha)
    bent = w.kappa * ((gamma - 1) * w.kappa - torch.tanh(z / 2))
    inside = slope(z) + 2 * gamma * w.kappa * error(z, t) + gamma * times(bent, w.cross_entropy)
    return v * w.factor * inside


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
    # Not so at the kink itself, as clamp has it; NaN is passed on.
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
    positive = times(t, focal.value(*one, gamma_pos))
    return positive + times(1 - t, _negative_value(z, gamma_neg, clip))


def asymmetric_gradient(
    z: Tensor, t: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> Tensor:
    one, _ = class_terms(z)
    positive = times(t, times(one[2], focal.first(*one, gamma_pos)))
    return (1 - t) * _negative_gradient(z, gamma_neg, clip) - positive


def asymmetric_hvp(
    z: Tensor, v: Tensor, t: Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> Tensor:
    one, _ = class_terms(z)
    positive = times(t, second_derivative(focal, one, gamma_pos))
    return v * (positive + (1 - t) * _negative_second_derivative(z, gamma_neg, clip))


sigmoid_focal = differentiable(
    ClosedForms("sigmoid_focal", sigmoid_focal_value, sigmoid_focal_gradient, sigmoid_focal_hvp)
)
asymmetric = differentiable(
    ClosedForms("asymmetric", asymmetric_value, asymmetric_gradient, asymmetric_hvp)
)
