"""Kernels of losses of single numbers.

`VALUE` and `GRADIENT` are the printed functions of a loss.
"""

import triton
import triton.language as tl

# What a tensor beside the input has: nothing, a number for each element, or numbers for the last
# dimensions, over and over.
NONE, EACH, REPEATED = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def _numbers(x_at, at, period, inside, KIND: tl.constexpr):
    x = tl.full(at.shape, 1.0, tl.float32)
    if KIND == EACH:
        x = tl.load(x_at + at, mask=inside, other=0.0).to(tl.float32)
    if KIND == REPEATED:
        x = tl.load(x_at + at % period, mask=inside, other=0.0).to(tl.float32)
    return x


@triton.jit
def values(
    z_at,
    t_at,
    w_at,
    weight_at,
    each_at,
    sums_at,
    k_at,
    count,
    w_period,
    weight_period,
    VALUE: tl.constexpr,
    W: tl.constexpr,
    WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pid = tl.program_id(0)
    at = pid.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    z = tl.load(z_at + at, mask=inside, other=0.0).to(tl.float32)
    t = tl.load(t_at + at, mask=inside, other=0.0).to(tl.float32)
    w = _numbers(w_at, at, w_period, inside, W)
    value = VALUE(z, t, w, k_at, z_at.dtype.element_ty != tl.float32)
    value *= _numbers(weight_at, at, weight_period, inside, WEIGHT)
    if each_at is not None:
        tl.store(each_at + at, value, mask=inside)
    else:
        tl.store(sums_at + pid, tl.sum(tl.where(inside, value, 0.0), 0))


@triton.jit
def gradients(
    z_at,
    t_at,
    w_at,
    weight_at,
    g_at,
    upstream_at,
    k_at,
    count,
    w_period,
    weight_period,
    scale,
    GRADIENT: tl.constexpr,
    UPSTREAM: tl.constexpr,
    W: tl.constexpr,
    WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    z = tl.load(z_at + at, mask=inside, other=0.0).to(tl.float32)
    t = tl.load(t_at + at, mask=inside, other=0.0).to(tl.float32)
    w = _numbers(w_at, at, w_period, inside, W)
    g = GRADIENT(z, t, w, k_at, z_at.dtype.element_ty != tl.float32)
    g *= _numbers(weight_at, at, weight_period, inside, WEIGHT)
    if UPSTREAM == EACH:
        upstream = tl.load(upstream_at + at, mask=inside, other=0.0)
    else:
        upstream = tl.load(upstream_at)
    tl.store(g_at + at, g * (scale * upstream.to(tl.float32)), mask=inside)
