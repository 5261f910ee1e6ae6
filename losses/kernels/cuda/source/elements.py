"""Losses of single numbers: value and gradient in one pass.

Each form is the closed form of the same name in losses/forms, whose comments give the reasons.
"""

import triton
import triton.language as tl

from .numbers import decay, log1p_of_share, reciprocal

# What a tensor beside input and target has: nothing, a number for each element, or numbers for the
# last dimensions, over and over.
NONE, EACH, REPEATED = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def _times(coefficient, x):
    """coefficient * x with 0 * inf = 0. Where x is NaN here, so is the coefficient or what is
    added."""
    return tl.where(coefficient == 0, 0.0, coefficient * x)


@triton.jit
def _shares(z, NARROW: tl.constexpr):
    """exp(-|z|), and a, b and c with sigmoid(z) = a c and sigmoid(-z) = b c."""
    small = decay(-tl.abs(z), NARROW)
    return (
        small,
        tl.where(z < 0, small, 1.0),
        tl.where(z < 0, 1.0, small),
        reciprocal(1 + small, NARROW),
    )


@triton.jit
def _bce_with_logits(z, t, NARROW: tl.constexpr):
    small, a, b, c = _shares(z, NARROW)
    value = _times(tl.where(z < 0, -t, 1 - t), z) + log1p_of_share(small, NARROW)
    return value, ((1 - t) * a - t * b) * c, a * c, b * c


@triton.jit
def _weighted_bce(z, t, w, NARROW: tl.constexpr):
    small, a, b, c = _shares(z, NARROW)
    positive, negative = w * t, 1 - t
    linear = _times(tl.where(z < 0, -positive, negative), z)
    value = linear + (positive + negative) * log1p_of_share(small, NARROW)
    return value, (negative * a - positive * b) * c


@triton.jit
def _sigmoid_focal(z, t, alpha, GAMMA: tl.constexpr, BALANCED: tl.constexpr, NARROW: tl.constexpr):
    bce, error, f, rest = _bce_with_logits(z, t, NARROW)
    u = t * rest + (1 - t) * f
    # As a normal number. A smaller one's power is next to nothing, or GAMMA is 0 and kappa counts
    # for nothing.
    normal = tl.maximum(u, 1.1754943508222875e-38, propagate_nan=tl.PropagateNan.ALL)
    kappa = (1 - 2 * t) * (f * rest * reciprocal(normal, NARROW))
    factor = tl.full(u.shape, 1.0, tl.float32)
    for _ in tl.static_range(GAMMA):
        factor *= normal
    if BALANCED:
        factor *= alpha * t + (1 - alpha) * (1 - t)
    return _times(factor, bce), factor * (error + GAMMA * _times(kappa, bce))


@triton.jit
def _load_broadcast(x_at, at, period, inside, KIND: tl.constexpr):
    if KIND == REPEATED:
        at = at % period
    return tl.load(x_at + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def elementwise(
    z_at,
    t_at,
    extra_at,
    w_at,
    each_at,
    sums_at,
    g_at,
    upstream_at,
    count,
    extra_period,
    w_period,
    upstream_stride,
    scale,
    alpha,
    FOCAL: tl.constexpr,
    GAMMA: tl.constexpr,
    BALANCED: tl.constexpr,
    EXTRA: tl.constexpr,
    WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pid = tl.program_id(0)
    at = pid.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    z = tl.load(z_at + at, mask=inside, other=0.0).to(tl.float32)
    t = tl.load(t_at + at, mask=inside, other=0.0).to(tl.float32)
    narrow: tl.constexpr = z_at.dtype.element_ty != tl.float32
    if FOCAL:
        value, gradient = _sigmoid_focal(z, t, alpha, GAMMA, BALANCED, narrow)
    elif EXTRA != NONE:
        w = _load_broadcast(extra_at, at, extra_period, inside, EXTRA)
        value, gradient = _weighted_bce(z, t, w, narrow)
    else:
        value, gradient, _f, _rest = _bce_with_logits(z, t, narrow)
    if WEIGHT != NONE:
        weight = _load_broadcast(w_at, at, w_period, inside, WEIGHT)
        value *= weight
        gradient *= weight
    if each_at is not None:
        tl.store(each_at + at, value, mask=inside)
    else:
        tl.store(sums_at + pid, scale * tl.sum(tl.where(inside, value, 0.0), 0))
    if g_at is not None:
        gradient *= scale
        if upstream_at is not None:
            along = tl.load(upstream_at + at * upstream_stride, mask=inside, other=0.0)
            gradient *= along.to(tl.float32)
        tl.store(g_at + at, gradient, mask=inside)


@triton.jit
def scaled(from_at, to_at, factor_at, count, IN_PLACE: tl.constexpr, BLOCK: tl.constexpr):
    """Numbers times a factor that lies on the device. In place there is nothing to do where it
    is 1."""
    factor = tl.load(factor_at).to(tl.float32)
    if IN_PLACE:
        if factor == 1:
            return
    begin = tl.program_id(0).to(tl.int64) * BLOCK
    step = tl.num_programs(0).to(tl.int64) * BLOCK
    for start in range(begin, count, step):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(from_at + at, mask=at < count, other=0.0).to(tl.float32)
        tl.store(to_at + at, x * factor, mask=at < count)
