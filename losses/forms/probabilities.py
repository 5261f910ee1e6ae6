"""Losses that compare the probabilities p = softmax(z) of a row with a row t of targets.

Such a loss is l(p, t). With e = dl/dp its gradient is J e = p (e - p.e), J = diag(p) - p p^T, and
with dp = J v and de the change of e along dp the Hessian along v is

    dp (e - p.e) + p (de - p.de - dp.e).

Because J 1 = 0, adding a constant to e in a row changes nothing. It is chosen so that no two
nearly equal numbers are subtracted.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..closed_form import ClosedForms, Formula, differentiable
from .softmax import Row, centred, distance, dot, row, softmax_change, with_class_indices, without


class ProbabilityLoss(NamedTuple):
    """l(r, t, *settings), its derivative e(r, t, *settings) with respect to p, and the change
    de(r, dp, t, *settings) of e when p changes along dp; r is `softmax.row(z)`."""

    value: Formula
    slope: Formula
    change: Formula


def of_probabilities(name: str, loss: ProbabilityLoss) -> Formula:
    """Return the differentiable loss of rows of logits and rows of targets."""

    def value(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        return loss.value(row(z), t, *settings)

    def gradient(z: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        return r.p * centred(r, loss.slope(r, t, *settings))

    def hvp(z: Tensor, v: Tensor, t: Tensor, *settings: Any) -> Tensor:
        r = row(z)
        e, dp = loss.slope(r, t, *settings), r.p * centred(r, v)
        de = loss.change(r, dp, t, *settings)
        return dp * centred(r, e) + r.p * (centred(r, de) - dot(dp, e))

    forms = ClosedForms(name, value, gradient, hvp, rows=True)
    return differentiable(with_class_indices(forms))


def error(r: Row, t: Tensor) -> Tensor:
    """Return p - t, accurate where t is 0 or 1, and 0 where p = t."""
    return torch.where(t < 0.5, r.p - t, (1 - t) - r.q)


# --- softmax-mse: l = sum_c (p_c - t_c)^2 --------------------------------------------------------

_softmax_mse = ProbabilityLoss(
    lambda r, t: error(r, t).square().sum(-1),
    lambda r, t: 2 * error(r, t),
    lambda _r, dp, _t: 2 * dp,
)


# --- expectation: l = sum_c |p_c - t_c| ----------------------------------------------------------


def _expectation_slope(r: Row, t: Tensor) -> Tensor:
    # Less their largest, so that of a right class only its own -2 is left: the gradient is then
    # 2 p_y p_c without a difference.
    sign = error(r, t).sign()
    return sign - sign.amax(-1, keepdim=True)


_expectation = ProbabilityLoss(
    lambda r, t: error(r, t).abs().sum(-1),
    _expectation_slope,
    lambda _r, dp, _t: torch.zeros_like(dp),
)


# --- chebyshev: l = max_c |p_c - t_c| ------------------------------------------------------------


def _chebyshev_slope(r: Row, t: Tensor) -> Tensor:
    # The errors of a row add up to 0. So the one class that gets too little (the right class, if
    # there is one) errs at least as much as any other; where the two seem equal it is rounding
    # that hides by how much, and its gradient is the right one. Equal errors share, as in amax.
    e = error(r, t)
    low, high = (-e).amax(-1, keepdim=True), e.amax(-1, keepdim=True)
    short = low >= high * (1 - 8 * torch.finfo(e.dtype).eps)
    hit = torch.where(short, -e == low, e == high).to(e.dtype)
    return e.sign() * hit / hit.sum(-1, keepdim=True)


_chebyshev = ProbabilityLoss(
    lambda r, t: error(r, t).abs().amax(-1),
    _chebyshev_slope,
    lambda _r, dp, _t: torch.zeros_like(dp),
)


# --- tanimoto: l = -N / D, N = p.t, D = |p|^2 + |t|^2 - N ----------------------------------------

# With E = |p - t|^2, which keeps its digits where p is near t, D = E + N. From dN/dp = t and
# dD/dp = 2 p - t the slope is [N (2 p - t) - D t] / D^2 = U / D^2, U = 2 N (p - t) - E t.


def _tanimoto_parts(r: Row, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return p - t, E, N and D."""
    off = error(r, t)
    e, n = dot(off, off), dot(r.p, t)
    return off, e, n, e + n


def _tanimoto_value(r: Row, t: Tensor) -> Tensor:
    _, _, n, d = _tanimoto_parts(r, t)
    return -(n / d).squeeze(-1)


def _tanimoto_slope(r: Row, t: Tensor) -> Tensor:
    off, e, n, d = _tanimoto_parts(r, t)
    return (2 * n * off - e * t) / d.square()


def _tanimoto_change(r: Row, dp: Tensor, t: Tensor) -> Tensor:
    off, e, n, d = _tanimoto_parts(r, t)
    dn, de = dot(dp, t), 2 * dot(off, dp)
    u, du = 2 * n * off - e * t, 2 * (dn * off + n * dp) - de * t
    return (du - 2 * u * (de + dn) / d) / d.square()


_tanimoto = ProbabilityLoss(_tanimoto_value, _tanimoto_slope, _tanimoto_change)


# --- cauchy-schwarz: L = -ln [p.t / (|p| |t|)] ---------------------------------------------------

# As p = exp(z) / sum exp(z), it is ln(sum exp(2 z)) / 2 - ln sum t exp(z) + ln(|t|^2) / 2, with the
# gradient w - s, w = softmax(2 z) and s_c = t_c exp(z_c) / sum_j t_j exp(z_j), and the Hessian
# 2 J_w - J_s. A row of targets that are all 0 has no direction: its loss is 0.


class _TargetSoftmax:
    """s and 1 - s of logits z and targets t, ln sum t exp(z - m), and m, the largest logit whose
    target is not 0. Only products of t occur, because ln t has no derivative at 0."""

    def __init__(self, z: Tensor, t: Tensor) -> None:
        self.largest = torch.where(t > 0, z, -torch.inf).amax(-1, keepdim=True)
        same = z.isinf() & (z == self.largest)
        # A class with target 0 may be far above m: bounded, so that 0 times it is 0.
        far = math.log(torch.finfo(z.dtype).max) - 1
        part = t * torch.where(same, 0.0, z - self.largest).clamp_max(far).exp()
        top = part.argmax(-1, keepdim=True)
        rest = without(top, part)
        others = rest.sum(-1, keepdim=True)
        total = part.gather(-1, top) + others
        self.none = total == 0
        total = torch.where(self.none, 1.0, total)
        self.log_total = total.log()
        self.s = part / total
        self.complement = (total - rest).scatter(-1, top, others) / total


def cauchy_schwarz_value(z: Tensor, t: Tensor) -> Tensor:
    shares, r, squares = _TargetSoftmax(z, t), row(2 * z), dot(t, t)
    squares = torch.where(shares.none, 1.0, squares)
    apart = distance(z.amax(-1, keepdim=True), shares.largest)
    far = apart + torch.log1p(r.others) / 2 - shares.log_total + squares.log() / 2
    # Where p points along t these terms cancel. There |p|^2 |t|^2 = N^2 + |u|^2 |t|^2, N = p.t,
    # where u = p - N t / |t|^2 is the part of p across t.
    p = row(z).p
    along = dot(p, t)
    across = squares * (p - along / squares * t).square().sum(-1, keepdim=True)
    near = across < along.square()
    ratio = across / torch.where(near, along, 1.0).square()
    value = torch.where(near, torch.log1p(ratio) / 2, far)
    return torch.where(shares.none, 0.0, value).squeeze(-1)


def cauchy_schwarz_gradient(z: Tensor, t: Tensor) -> Tensor:
    # w - s without the difference where either is one-hot.
    shares, r = _TargetSoftmax(z, t), row(2 * z)
    return torch.where(shares.none, 0.0, r.p * shares.complement - shares.s * r.q)


def cauchy_schwarz_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    shares, r = _TargetSoftmax(z, t), row(2 * z)
    change = 2 * r.p * centred(r, v) - softmax_change(shares.s, v)
    return torch.where(shares.none, 0.0, change)


softmax_mse = of_probabilities("softmax_mse", _softmax_mse)
expectation = of_probabilities("expectation", _expectation)
chebyshev = of_probabilities("chebyshev", _chebyshev)
tanimoto = of_probabilities("tanimoto", _tanimoto)
cauchy_schwarz = differentiable(
    ClosedForms(
        "cauchy_schwarz",
        cauchy_schwarz_value,
        cauchy_schwarz_gradient,
        cauchy_schwarz_hvp,
        rows=True,
    )
)
