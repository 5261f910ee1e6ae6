"""Closed forms of one logit z (or one probability x) and a target t in [0, 1].

sigma(z) = 1 / (1 + exp(-z)) is the probability of class 1, and sigma' = sigma(z) sigma(-z). Every
formula writes 1 - sigma(z) as sigma(-z) and the error sigma(z) - t as
(1 - t) sigma(z) - t sigma(-z), which is the same number without the cancellation in the tail.
"""

import torch
from torch import Tensor

from ..closed_form import ClosedForms, differentiable


def times(coefficient: Tensor, x: Tensor) -> Tensor:
    """Return coefficient * x with 0 * inf = 0: a weight of 0 contributes nothing."""
    return torch.where((coefficient == 0) & x.isinf(), 0.0, coefficient * x)


def error(z: Tensor, t: Tensor) -> Tensor:
    """Return sigma(z) - t."""
    return (1 - t) * torch.sigmoid(z) - t * torch.sigmoid(-z)


def slope(z: Tensor) -> Tensor:
    """Return sigma'(z) = sigma(z) (1 - sigma(z))."""
    return torch.sigmoid(z) * torch.sigmoid(-z)


# --- zero-one: L = [the prediction z > 0 is wrong]; for soft t the expected count ----------------


def zero_one_value(z: Tensor, t: Tensor) -> Tensor:
    # A NaN logit predicts nothing: return NaN instead of counting it.
    return torch.where(z > 0, 1 - t, torch.where(z <= 0, t, z))


def zero_one_gradient(z: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(z * t)


def zero_one_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(z * v * t)


# --- bce: L = -[t ln x + (1 - t) ln(1 - x)], each ln no less than -100, as torch has it ----------


def bce_value(x: Tensor, t: Tensor) -> Tensor:
    return -(t * torch.log(x).clamp_min(-100) + (1 - t) * torch.log1p(-x).clamp_min(-100))


def bce_gradient(x: Tensor, t: Tensor) -> Tensor:
    # torch keeps the gradient finite at 0 and 1 by the same bound on x (1 - x).
    return (x - t) / (x * (1 - x)).clamp_min(1e-12)


def bce_hvp(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    # t / x^2 + (1 - t) / (1 - x)^2 over one denominator.
    spread = (x * (1 - x)).clamp_min(1e-12)
    return v * (t * (1 - x).square() + (1 - t) * x.square()) / spread.square()


# --- bce-with-logits: L = t softplus(-z) + (1 - t) softplus(z) -----------------------------------


def bce_with_logits_value(z: Tensor, t: Tensor) -> Tensor:
    # softplus(z) = max(z, 0) + ln(1 + exp(-|z|)): the logarithm is the same on both sides, and of
    # the two linear parts one is 0.
    return times(torch.where(z < 0, -t, 1 - t), z) + torch.log1p(torch.exp(-z.abs()))


def bce_with_logits_gradient(z: Tensor, t: Tensor) -> Tensor:
    return error(z, t)


def bce_with_logits_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    # Whatever t is; adding a zero of its shape lets it be batched alone.
    return v * slope(z) + torch.zeros_like(t)


# --- the same with a weight w of the positives: L = w t softplus(-z) + (1 - t) softplus(z) -------


def weighted_bce_value(z: Tensor, t: Tensor, w: Tensor) -> Tensor:
    positive, negative = w * t, 1 - t
    linear = times(torch.where(z < 0, -positive, negative), z)
    return linear + (positive + negative) * torch.log1p(torch.exp(-z.abs()))


def weighted_bce_gradient(z: Tensor, t: Tensor, w: Tensor) -> Tensor:
    return (1 - t) * torch.sigmoid(z) - w * t * torch.sigmoid(-z)


def weighted_bce_hvp(z: Tensor, v: Tensor, t: Tensor, w: Tensor) -> Tensor:
    return v * (w * t + (1 - t)) * slope(z)


# --- sigmoid-mse: L = (f - t)^2 / 2, f = sigma(z) ------------------------------------------------


def sigmoid_mse_value(z: Tensor, t: Tensor) -> Tensor:
    return error(z, t).square() / 2


def sigmoid_mse_gradient(z: Tensor, t: Tensor) -> Tensor:
    # The factor f (1 - f) goes to 0 on both sides: also where f - t is as wrong as it can be.
    return error(z, t) * slope(z)


def sigmoid_mse_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    # (f')^2 + (f - t) f'', f'' = f' (1 - 2 f) = -f' tanh(z / 2).
    return v * slope(z) * (slope(z) - error(z, t) * torch.tanh(z / 2))


# --- mse: L = (z - t)^2 --------------------------------------------------------------------------


def mse_value(z: Tensor, t: Tensor) -> Tensor:
    return (z - t).square()


def mse_gradient(z: Tensor, t: Tensor) -> Tensor:
    return 2 * (z - t)


def mse_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return 2 * v + torch.zeros_like(z - t)


# --- l1: L = |z - t| -----------------------------------------------------------------------------


def l1_value(z: Tensor, t: Tensor) -> Tensor:
    return (z - t).abs()


def l1_gradient(z: Tensor, t: Tensor) -> Tensor:
    return (z - t).sign()


def l1_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(z * v * t)


# --- kl-div: L = t (ln t - x) of a log-probability x; with the target's logarithm s, t = exp s ----


def kl_div_value(x: Tensor, t: Tensor) -> Tensor:
    # 1 (ln 1 - 0) is the 0 of a target of 0, and no derivative meets 0 * inf in it.
    nothing = t == 0
    t, x = torch.where(nothing, 1.0, t), torch.where(nothing, 0.0, x)
    return t * (torch.log(t) - x)


def kl_div_gradient(x: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x) - t


def kl_div_hvp(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    return torch.zeros_like(x * v * t)


def kl_div_of_logs_value(x: Tensor, s: Tensor) -> Tensor:
    nothing = s == -torch.inf
    s, x = torch.where(nothing, 0.0, s), torch.where(nothing, 0.0, x)
    return torch.exp(s) * (s - x)


def kl_div_of_logs_gradient(x: Tensor, s: Tensor) -> Tensor:
    return torch.zeros_like(x) - torch.exp(s)


zero_one = differentiable(ClosedForms("zero_one", zero_one_value, zero_one_gradient, zero_one_hvp))
bce = differentiable(ClosedForms("bce", bce_value, bce_gradient, bce_hvp))
bce_with_logits = differentiable(
    ClosedForms(
        "bce_with_logits",
        bce_with_logits_value,
        bce_with_logits_gradient,
        bce_with_logits_hvp,
    )
)
weighted_bce = differentiable(
    ClosedForms("weighted_bce", weighted_bce_value, weighted_bce_gradient, weighted_bce_hvp)
)
sigmoid_mse = differentiable(
    ClosedForms("sigmoid_mse", sigmoid_mse_value, sigmoid_mse_gradient, sigmoid_mse_hvp)
)
mse = differentiable(ClosedForms("mse", mse_value, mse_gradient, mse_hvp))
l1 = differentiable(ClosedForms("l1", l1_value, l1_gradient, l1_hvp))
kl_div = differentiable(ClosedForms("kl_div", kl_div_value, kl_div_gradient, kl_div_hvp))
kl_div_of_logs = differentiable(
    ClosedForms("kl_div_of_logs", kl_div_of_logs_value, kl_div_of_logs_gradient, kl_div_hvp)
)
