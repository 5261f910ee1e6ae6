"""The bi-tempered logistic loss, temperatures 0 <= t1 <= 1 <= t2.

The tempered logarithm is log_t x = (x^(1 - t) - 1) / (1 - t), and exp_t is its inverse. The
tempered softmax p_i = exp_t2(z_i - lambda), lambda such that sum p = 1, has tails that fall as a
power. With k = t2 - 1 and x_i = lambda - z_i >= 0 a class has s_i = -ln p_i = ln(1 + k x_i) / k,
which for k -> 0 is x_i. The loss is the Bregman divergence of y (the target, in this file) and p,

    L = sum_i y_i (log_t1 y_i - log_t1 p_i) - (y_i^(2 - t1) - p_i^(2 - t1)) / (2 - t1).

Derivatives. dp_i = p_i^t2 (v_i - dlambda), and sum dp = 0 makes dlambda = e.v with the escort
distribution e = p^t2 / sum p^t2. Since dL/dp_i = p_i^-t1 (p_i - y_i), with u = (p - y) p^(t2 - t1)

    g = u - e U,  U = sum u.

Along v, with w = v - e.v: du = w (p^(2 t2 - t1) + (t2 - t1) u p^k), and from d ln p_i = p_i^k w_i
de = t2 e (p^k w - e.(p^k w)), so that H v = du - e sum(du) - U de.

float32 is computed in float64: p is a high power, 1 / k, of a sum, so that an error of its base
comes out 1 / k times as large.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from . import checks
from .arguments import elementwise, rows
from .base import Loss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import in_float64, times
from .overrides import is_overridden, overridden
from .softmax import SoftmaxParts, centred, distance, softmax_parts, sum_of_others, without

# Newton steps for lambda, measured with a logit far ahead of many others that weigh as much in all,
# of up to a million classes: FEW suffice for k = t2 - 1 up to 1/4, and MANY for k
# up to 9 (32,000 classes; there an error of 3e-8 is left at worst, near t2 = 2.3). Two classes need
# no more than OF_TWO for k up to 1. All but the last two, of which float32 needs one, are rough, in
# float32: a step from 6 digits gives 12. For k > 1 numbers of that size need not exist in float32.
OF_TWO, FEW, MANY = 4, 7, 12


class Tempered(NamedTuple):
    """Tempered softmax of a row: `s` = -ln p, and two distributions p and e = p^t2 / sum p^t2.

    Both are a `SoftmaxParts`, whose field p is then the distribution and whose q is 1 minus it.
    """

    s: Tensor
    p: SoftmaxParts
    e: SoftmaxParts

    def power(self, exponent: float) -> Tensor:
        """p^exponent, which for 0 is 1 even of p = 0."""
        return torch.exp(-exponent * self.s) if exponent else torch.ones_like(self.s)


def tempered(
    z: Tensor, t2: float, dtype: torch.dtype = torch.float64, two: bool = False
) -> Tempered:
    """Return the tempered softmax, with the digits of `dtype`, of float64 logits of `two` classes
    or more."""
    if t2 == 1:
        r = softmax_parts(z)
        return Tempered(r.s, r, r)
    s, top = _minus_log(z, t2 - 1, dtype, two)
    p, powers = torch.exp(-s), torch.exp(-t2 * s)
    return Tempered(s, _distribution(p, top), _distribution(powers, top))


def _distribution(x: Tensor, top: Tensor) -> SoftmaxParts:
    """Divide x by its sum. Only for the largest p, which may be above 1/2, 1 - p is a sum."""
    rest = without(top, x)
    others = rest.sum(-1, keepdim=True)
    total = others + x.gather(-1, top)
    p = x / total
    return SoftmaxParts(top, rest, others, p, (1 - p).scatter(-1, top, others / total))


def _minus_log(z: Tensor, k: float, dtype: torch.dtype, two: bool) -> tuple[Tensor, Tensor]:
    """Return s = -ln p of every class, and the index of the largest p.

    With lambda = max(z) + nu and S(nu) the sum of p, nu >= 0 is the root of S^-k = 1. As a function
    of nu, S^-k is a power mean with a negative exponent: increasing and concave, and linear where
    all logits are equal or k is 0. So Newton's method from 0 never passes the root, and needs few
    steps.
    """
    largest, top = z.max(-1, keepdim=True)
    gap = distance(largest, z)
    low = torch.float32 if k <= 1 else z.dtype
    rough = distance(largest.to(low), z.to(low))
    nu = torch.zeros_like(largest).to(low)
    steps = OF_TWO if two and k <= 1 else FEW if k <= 0.25 else MANY
    last = 2 if dtype == torch.float64 else 1
    for step in range(steps):
        # A Newton step from the root has the root's first derivative, two steps have the first
        # three. So autograd needs only the last two steps.
        if step == steps - 2:
            nu = nu.detach()
        if step == steps - last:
            nu, rough = nu.to(z.dtype), gap
        nu = _newton(nu, rough, top, k)
    return torch.log1p(k * (nu + gap)) / k, top


def _newton(nu: Tensor, gap: Tensor, top: Tensor, k: float) -> Tensor:
    base = k * (nu + gap)
    s = torch.log1p(base) / k
    p = torch.exp(-s)
    # S - 1, which near the root has the digits of the smaller probabilities.
    excess = without(top, p).sum(-1, keepdim=True) + torch.expm1(-s.gather(-1, top))
    slope = (p / (1 + base)).sum(-1, keepdim=True)
    return nu + (1 + excess) * torch.expm1(k * torch.log1p(excess)) / (k * slope)


def bi_tempered_value(z: Tensor, y: Tensor, t1: float, t2: float) -> Tensor:
    z64, y = in_float64(z, y)
    return _value(tempered(z64, t2, z.dtype), y, t1).to(z.dtype)


def _value(r: Tempered, y: Tensor, t1: float) -> Tensor:
    # Written so that nothing is lost at y = 0 and at y = 1: y D + (1 - y) p^(2 - t1) / (2 - t1) +
    # y log_t1(y) / (2 - t1), D the divergence of 1 and p.
    a = 1 - t1
    # At y = 0 it is the logarithm of the smallest normal number, with derivative 0.
    log = torch.log(y.clamp_min(torch.finfo(y.dtype).tiny))
    log = torch.expm1(a * log) / a if a else log
    each = times(y, _from_one(r.s, a)) + ((1 - y) * r.power(1 + a) + y * log) / (1 + a)
    return each.sum(-1)


def _from_one(s: Tensor, a: float) -> Tensor:
    """E(a) - E(a + 1) with E(a) = (1 - exp(-a s)) / a: the divergence of 1 and p = exp(-s).

    For small s its series is summed, s^2 / 2 - ...: there the two are nearly equal.
    """
    few = s.clamp_max(0.5)
    series = torch.zeros_like(s)
    for n in range(20, 1, -1):
        coefficient = ((1 + a) ** (n - 1) - a ** (n - 1)) / math.factorial(n)
        series = series * few + (-1) ** n * coefficient
    first = -torch.expm1(-a * s) / a if a else s
    second = -torch.expm1(-(1 + a) * s) / (1 + a)
    return torch.where(s < 0.5, series * few.square(), first - second)


def _error(r: Tempered, y: Tensor, t1: float, t2: float) -> Tensor:
    """u = (p - y) p^(t2 - t1)."""
    return (r.p.p * (1 - y) - y * r.p.q) * r.power(t2 - t1)


def bi_tempered_gradient(z: Tensor, y: Tensor, t1: float, t2: float) -> Tensor:
    z64, y = in_float64(z, y)
    return _gradient(tempered(z64, t2, z.dtype), y, t1, t2).to(z.dtype)


def _gradient(r: Tempered, y: Tensor, t1: float, t2: float) -> Tensor:
    u = _error(r, y, t1, t2)
    return u * r.e.q - r.e.p * sum_of_others(u)


def bi_tempered_hvp(z: Tensor, v: Tensor, y: Tensor, t1: float, t2: float) -> Tensor:
    z64, along, y = in_float64(z, v, y)
    return _hvp(tempered(z64, t2, z.dtype), along, y, t1, t2).to(z.dtype)


def _hvp(r: Tempered, along: Tensor, y: Tensor, t1: float, t2: float) -> Tensor:
    e, w, u = r.e.p, centred(r.e, along), _error(r, y, t1, t2)
    heavy = r.power(t2 - 1)
    du = w * (r.power(2 * t2 - t1) + (t2 - t1) * u * heavy)
    de = t2 * e * centred(r.e, heavy * w)
    return du * r.e.q - e * sum_of_others(du) - u.sum(-1, keepdim=True) * de


bi_tempered_formula = differentiable(
    ClosedForms("bi_tempered", bi_tempered_value, bi_tempered_gradient, bi_tempered_hvp, rows=True)
)


def bi_tempered_logistic(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Bi-tempered logistic loss: a bounded divergence from a softmax with heavy tails.

    With log_t x = (x^(1 - t) - 1) / (1 - t), exp_t its inverse, and p_c = exp_t2(z_c - l), l such
    that sum p = 1: L = sum_c t_c (log_t1 t_c - log_t1 p_c) - (t_c^(2-t1) - p_c^(2-t1)) / (2 - t1),
    at least 0 and for a class index at most 1 / (1 - t1). With u = (p - t) p^(t2-t1) and
    e = p^t2 / sum p^t2, dL/dz = u - e sum(u).
    For t1 = t2 = 1 it is cross-entropy, for a distribution less its entropy.

    Args:
        input: logits, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: class indices of input's shape without C, of any integer dtype; or probabilities
            of input's shape.
        weight: a factor w for each class, (C,): a row weighs w_y, or sum_c w_c t_c.
        t1: the temperature of the logarithm, in [0, 1]; below 1 the loss is bounded.
        t2: the temperature of the softmax, in [1, 10]; above 1 its tails fall as a power, and the
            gradient of an example that is far on the wrong side goes to 0.
        ignore_index: a class index that contributes neither loss nor gradient.
        reduction: 'mean', 'sum' or 'none'. 'mean' divides by the sum of the weights of the rows
            that are not ignored if target is indices, else by the number of rows.
    Raises:
        ValueError: the batch sizes differ; unknown reduction; temperature out of range.
        RuntimeError: any other mismatch of shapes or dtypes; ignore_index with probabilities.
        IndexError: a class index out of range (seen on the CPU; a device-side error on CUDA); an
            input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Amid et al. 2019, arXiv 1906.03361, as the authors' code has it; they name no defaults.
        There five steps approximate l, which for a thousand classes can leave sum p 1 % off.
    """
    if is_overridden(input, target, weight):
        return overridden(bi_tempered_logistic, locals())
    name = "bi_tempered_logistic"
    _check_temperatures(name, t1, t2)
    loss = bi_tempered_formula
    settings = (float(t1), float(t2))
    return rows(loss, name, input, target, weight, ignore_index, reduction, *settings)


class BiTemperedLogisticLoss(Loss):
    """A bounded divergence from a softmax with heavy tails.

    See `losses.functional.bi_tempered_logistic`.
    """

    function = staticmethod(bi_tempered_logistic)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        t1: float = 0.8,
        t2: float = 1.2,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"weight": weight}, t1=t1, t2=t2, ignore_index=ignore_index, reduction=reduction
        )


def bi_tempered_logistic_textbook(z: Tensor, t: Tensor, t1: float, t2: float) -> Tensor:
    p = _tempered_softmax(z, t2)
    each = _tempered_xlogy(t, t, t1) - _tempered_xlogy(t, p, t1)
    return (each - (t ** (2 - t1) - p ** (2 - t1)) / (2 - t1)).sum(-1)


def _tempered_xlogy(x: Tensor, y: Tensor, t: float) -> Tensor:
    """Return x log_t y, which is 0 for x = 0."""
    return torch.xlogy(x, y) if t == 1 else x * (y ** (1 - t) - 1) / (1 - t)


def _tempered_softmax(z: Tensor, t: float) -> Tensor:
    if t == 1:
        return torch.softmax(z, -1)
    # exp_t(z - lambda) is (w + k (max z - z))^(-1/k) with k = t - 1, w = 1 + k (lambda - max z).
    # (sum p)^-k is concave in w, so Newton's steps climb to the w at which it is 1, from w = 1.
    k = t - 1
    gap = k * (z.amax(-1, keepdim=True) - z)
    w = 1 + 0 * gap.amax(-1, keepdim=True)
    for _ in range(12):  # 11 reach 160 digits for t2 up to 10 and for 1,000 classes
        p = (w + gap) ** (-1 / k)
        total = p.sum(-1, keepdim=True)
        w = w + (1 - total**-k) * total ** (k + 1) / (p / (w + gap)).sum(-1, keepdim=True)
    return (w + gap) ** (-1 / k)


# --- of one logit z: the loss of the row (0, z) with the target (1 - t, t) -----------------------


def _of_logit(z: Tensor, t: Tensor, t2: float) -> tuple[Tempered, Tensor]:
    # 1 - t of a float32 has no rounding error in float64.
    z64, t = in_float64(z, t)
    row = torch.stack([torch.zeros_like(z64), z64], -1)
    return tempered(row, t2, z.dtype, two=True), torch.stack([1 - t, t], -1)


def sigmoid_bi_tempered_value(z: Tensor, t: Tensor, t1: float, t2: float) -> Tensor:
    return _value(*_of_logit(z, t, t2), t1).to(z.dtype)


# The derivatives are copied: forward mode has no use for a view as the output of a function.
def sigmoid_bi_tempered_gradient(z: Tensor, t: Tensor, t1: float, t2: float) -> Tensor:
    return _gradient(*_of_logit(z, t, t2), t1, t2)[..., 1].to(z.dtype, copy=True)


def sigmoid_bi_tempered_hvp(z: Tensor, v: Tensor, t: Tensor, t1: float, t2: float) -> Tensor:
    r, y = _of_logit(z, t, t2)
    # Along the second logit alone.
    along = torch.stack([torch.zeros_like(v), v], -1).to(y.dtype)
    return _hvp(r, along, y, t1, t2)[..., 1].to(z.dtype, copy=True)


_FORMS = (sigmoid_bi_tempered_value, sigmoid_bi_tempered_gradient, sigmoid_bi_tempered_hvp)
sigmoid_bi_tempered_formula = differentiable(ClosedForms("sigmoid_bi_tempered", *_FORMS))


def sigmoid_bi_tempered_logistic(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    t1: float = 0.8,
    t2: float = 1.2,
    reduction: str = "mean",
) -> Tensor:
    """Bi-tempered logistic loss of one logit z: that of the two logits (0, z).

    L and dL/dz are `bi_tempered_logistic`'s with the target (1 - t, t) and the derivative by the
    second logit. For t1 = t2 = 1 it is binary cross-entropy, for a soft target less its entropy.

    Args:
        input: logits, any shape, floating point.
        target: the probability of class 1, in [0, 1], of input's shape, floating point or bool.
        weight: a factor for each element, broadcastable to input's shape.
        t1, t2: the temperatures, as in `bi_tempered_logistic`.
        reduction: 'mean' over the elements, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; unknown reduction; t1 or t2 out of range.
        RuntimeError: weight cannot be broadcast to input's shape; integer target.
        NotImplementedError: input is not floating point.
    Source: as `bi_tempered_logistic`; the authors' code has two classes in the same way.
    """
    if is_overridden(input, target, weight):
        return overridden(sigmoid_bi_tempered_logistic, locals())
    name = "sigmoid_bi_tempered_logistic"
    _check_temperatures(name, t1, t2)
    loss = sigmoid_bi_tempered_formula
    return elementwise(loss, name, input, target, weight, reduction, float(t1), float(t2))


class SigmoidBiTemperedLogisticLoss(Loss):
    """The bi-tempered logistic loss of one logit.

    See `losses.functional.sigmoid_bi_tempered_logistic`.
    """

    function = staticmethod(sigmoid_bi_tempered_logistic)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        t1: float = 0.8,
        t2: float = 1.2,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"weight": weight}, t1=t1, t2=t2, reduction=reduction)


def sigmoid_bi_tempered_logistic_textbook(z: Tensor, t: Tensor, t1: float, t2: float) -> Tensor:
    rows, targets = torch.stack([0 * z, z], -1), torch.stack([1 - t, t], -1)
    return bi_tempered_logistic_textbook(rows, targets, t1, t2)


def _check_temperatures(name: str, t1: float, t2: float) -> None:
    checks.setting(name, "t1", t1, least=0.0, most=1.0)
    checks.setting(name, "t2", t2, least=1.0, most=10.0)


ENTRIES = (
    Entry(
        "bi-tempered-logistic",
        BiTemperedLogisticLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        bi_tempered_logistic_textbook,
        "bounded divergence from a softmax with heavy tails",
        formula="-log_t₁ p_y - (1 - Σ_c p_c^(2 - t₁)) / (2 - t₁), p = exp_t₂(z - λ)",
        gradient="u - e Σ_j u_j, u = (p - e_y) p^(t₂ - t₁), e = p^t₂ / Σ_j p_j^t₂",
        range="[0, 1/(1 - t₁)]",
        use="where labels are noisy, near the boundary or far from it",
        source="Amid et al. 2019, arXiv 1906.03361",
    ),
    Entry(
        "sigmoid-bi-tempered-logistic",
        SigmoidBiTemperedLogisticLoss,
        "binary",
        "logits",
        ("probability",),
        sigmoid_bi_tempered_logistic_textbook,
        "bi-tempered logistic loss of one logit",
        formula="bi-tempered logistic loss of the logits (0, z)",
        gradient="its derivative by the second logit",
        range="[0, 1/(1 - t₁)]",
        use="where labels are noisy, near the boundary or far from it",
        source="Amid et al. 2019, arXiv 1906.03361",
    ),
)
