"""Losses of rows of soft-capped logits, u = c tanh(z / c), each logit by itself.

With g and H the gradient and the Hessian of the loss at u, and u', u'' those of the cap,

    dL/dz = u' g,  and along v the Hessian is u' H (u' v) + u'' v g.

float32 is computed in float64: exp(u) would multiply the rounding error of u by up to 30.
"""

from typing import Any

import torch
from torch import Tensor

from .closed_form import ClosedForms
from .numerics import in_float64

SMALL_CAP = 64.0
"""Largest cap at which the rounding error of one exponential, times the cap, does not count."""


def cap(z: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """Return u and u'."""
    # Both of e = exp(-2 |x|), of which 1 / cosh^2 x does not cancel as 1 - tanh^2 x does.
    y = (2 / c * z).abs()
    e = torch.exp(-y)
    share = 1 / (1 + e)
    # 1 - e loses digits near 0, which a large cap multiplies.
    size = c * ((1 - e if c <= SMALL_CAP else -torch.expm1(-y)) * share)
    return torch.where(z < 0, -size, size), 4 * e * share * share


def cap_second_derivative(z: Tensor, c: float) -> Tensor:
    return -2 / c * torch.tanh(z / c) * cap(z, c)[1]


def capped(forms: ClosedForms) -> ClosedForms:
    """Return the forms of the loss of capped logits; their last setting is the cap c."""

    def value(z: Tensor, *rest: Any) -> Tensor:
        z64, *others = in_float64(z, *rest[:-1])
        return forms.value(cap(z64, rest[-1])[0], *others).to(z.dtype)

    def gradient(z: Tensor, *rest: Any) -> Tensor:
        z64, *others = in_float64(z, *rest[:-1])
        u, slope = cap(z64, rest[-1])
        return (slope * forms.gradient(u, *others)).to(z.dtype)

    def hvp(z: Tensor, v: Tensor, *rest: Any) -> Tensor:
        z64, v64, *others = in_float64(z, v, *rest[:-1])
        c = rest[-1]
        u, slope = cap(z64, c)
        from_loss = slope * forms.hvp(u, slope * v64, *others)
        from_cap = cap_second_derivative(z64, c) * v64 * forms.gradient(u, *others)
        product: Tensor = from_loss + from_cap
        return product.to(z.dtype)

    return ClosedForms(f"capped_{forms.name}", value, gradient, hvp, forms.rows)
