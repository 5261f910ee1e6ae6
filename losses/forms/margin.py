"""Closed forms of hinge losses: a margin between right and wrong classes.

They consist of max(0, u)^k, whose derivative is k max(0, u)^(k - 1). A derivative that jumps at
u = 0 is 0 there, as in torch.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..closed_form import ClosedForms, differentiable
from .binary import times
from .softmax import summed


def ramp(u: Tensor, power: int, order: int = 0) -> Tensor:
    """Return the derivative of the given order of max(0, u)^power with respect to u."""
    degree = power - order
    if degree < 0:
        return torch.zeros_like(u)
    if degree == 0:
        return math.factorial(power) * (u > 0).to(u.dtype)
    return math.perm(power, order) * torch.relu(u) ** degree


# --- hinge: L = t max(0, m - z)^k + (1 - t) max(0, m + z)^k --------------------------------------


def hinge_value(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    return times(t, ramp(margin - z, power)) + times(1 - t, ramp(margin + z, power))


def hinge_gradient(z: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    return times(1 - t, ramp(margin + z, power, 1)) - times(t, ramp(margin - z, power, 1))


def hinge_hvp(z: Tensor, v: Tensor, t: Tensor, margin: float, power: int) -> Tensor:
    up, down = ramp(margin - z, power, 2), ramp(margin + z, power, 2)
    return v * (times(t, up) + times(1 - t, down))


# --- hinge-embedding: L = x for y = 1, max(0, m - x) for y = -1 ----------------------------------


def hinge_embedding_value(x: Tensor, y: Tensor, margin: float) -> Tensor:
    # torch adds both terms for any other y: x + max(0, m - x), which is max(m, x).
    near = torch.where(y == 1, x, x.clamp_min(margin))
    return torch.where(y == -1, torch.relu(margin - x), near)


def hinge_embedding_gradient(x: Tensor, y: Tensor, margin: float) -> Tensor:
    # At x = m only x has a slope, not the hinge.
    near = torch.where(y == 1, 1.0, (x >= margin).to(x.dtype))
    return torch.where(y == -1, -(x < margin).to(x.dtype), near)


def hinge_embedding_hvp(x: Tensor, v: Tensor, y: Tensor, margin: float) -> Tensor:
    del margin
    return torch.zeros_like(x * v * y)


# --- soft-margin: L = ln(1 + exp(-y x)) ----------------------------------------------------------


def soft_margin_value(x: Tensor, y: Tensor) -> Tensor:
    return -logsigmoid(times(y, x))


def soft_margin_gradient(x: Tensor, y: Tensor) -> Tensor:
    return -y * torch.sigmoid(-times(y, x))


def soft_margin_hvp(x: Tensor, v: Tensor, y: Tensor) -> Tensor:
    u = times(y, x)
    return v * y.square() * torch.sigmoid(u) * torch.sigmoid(-u)


# --- pairs: L = sum over listed l and unlisted c of max(0, m - z_l + z_c)^k ----------------------
#
# y lists classes of a row, (..., L), and is read up to its first negative number; a class that is
# listed twice counts twice. With u_lc = m - z_l + z_c and f' = d max(0, u)^k / du, the gradient is
# f'(u_lc) at c and minus that at l, added up over the pairs. With du_lc = v_c - v_l the Hessian
# along v is the same with f''(u_lc) du_lc in place of f'(u_lc).


class _Pairs(NamedTuple):
    """u of shape (..., L, C), which pairs count, and the index of l, (..., L, 1)."""

    u: Tensor
    counted: Tensor
    at: Tensor

    def where_counted(self, x: Tensor) -> Tensor:
        return torch.where(self.counted, x, 0.0)

    def gathered(self, x: Tensor) -> Tensor:
        """Return the sum over the pairs of x_lc at c and -x_lc at l."""
        x = self.where_counted(x)
        # Entry l of row l is not counted, so it can hold the sum.
        return x.scatter(-1, self.at, -x.sum(-1, keepdim=True)).sum(-2)


def _pairs(z: Tensor, y: Tensor, margin: float) -> _Pairs:
    read = ((y < 0).cumsum(-1) == 0).unsqueeze(-1)
    at = y.clamp_min(0).unsqueeze(-1)
    rows = _rows(z, y)
    listed = torch.zeros_like(rows).scatter(-1, at, read.to(z.dtype)).amax(-2, keepdim=True)
    return _Pairs(
        _margin_plus_difference(margin, rows, rows.gather(-1, at)), read & (listed == 0), at
    )


def _rows(z: Tensor, y: Tensor) -> Tensor:
    """Return z with one row per entry of y."""
    return z.unsqueeze(-2).expand(*y.shape, z.shape[-1])


def _margin_plus_difference(margin: float, a: Tensor, b: Tensor) -> Tensor:
    """Return margin + a - b; a - b is 0 where the two are equal, at infinity too.

    Near the kink margin and a - b cancel, so that the rounding error of a - b matters. It is added
    (Knuth's TwoSum).
    """
    difference = torch.where(a == b, 0.0, a - b)
    taken = difference - a
    lost = (a - (difference - taken)) - (b + taken)
    return (margin + difference) + torch.where(lost.isfinite(), lost, 0.0)


def pairs_value(z: Tensor, y: Tensor, margin: float, power: int) -> Tensor:
    pairs = _pairs(z, y, margin)
    return pairs.where_counted(ramp(pairs.u, power)).sum((-2, -1))


def pairs_gradient(z: Tensor, y: Tensor, margin: float, power: int) -> Tensor:
    pairs = _pairs(z, y, margin)
    return pairs.gathered(ramp(pairs.u, power, 1))


def pairs_hvp(z: Tensor, v: Tensor, y: Tensor, margin: float, power: int) -> Tensor:
    pairs, rows = _pairs(z, y, margin), _rows(v, y)
    return pairs.gathered(ramp(pairs.u, power, 2) * (rows - rows.gather(-1, pairs.at)))


_hinge = ClosedForms("hinge", hinge_value, hinge_gradient, hinge_hvp)
hinge = differentiable(_hinge)
one_vs_rest_hinge = differentiable(summed("one_vs_rest_hinge", _hinge))
hinge_embedding = differentiable(
    ClosedForms(
        "hinge_embedding",
        hinge_embedding_value,
        hinge_embedding_gradient,
        hinge_embedding_hvp,
    )
)
soft_margin = differentiable(
    ClosedForms("soft_margin", soft_margin_value, soft_margin_gradient, soft_margin_hvp)
)
pairs = differentiable(ClosedForms("pairs", pairs_value, pairs_gradient, pairs_hvp, rows=True))
