"""Functions of one number for the kernels on CUDA, of float32 and off by a few ulp at most over the
whole range of their argument, denormal numbers, infinities and NaN included.

The device's own exp, which multiplies by 1 / ln 2 and rounds, is off by |x| / 10 ulp, and its own
logarithm near 1 by any number of them: the steps here are those of source/numbers.h, but where
another takes fewer of the device's instructions.
"""

import triton
import triton.language as tl

_KEEP = tl.constexpr(tl.PropagateNan.ALL)
INFINITY = tl.constexpr(float("inf"))
_LARGEST = tl.constexpr(3.4028234663852886e38)
LOWEST = tl.constexpr(-3.4028234663852886e38)
# 1 / ln 2; and ln 2 in two parts, the first of so few digits that its product with an exponent is
# exact.
_PER_LN2 = tl.constexpr(1.4426950408889634)
_LN2_HIGH = tl.constexpr(0.693145751953125)
_LN2_LOW = tl.constexpr(1.42860676533018704e-06)
# 1.5 * 2^23: what is added to it is rounded to an integer, which its last bits then are.
_ROUNDER = tl.constexpr(12582912.0)
_UP = tl.constexpr(64)


@triton.jit
def decay(x, NARROW: tl.constexpr):
    """exp(x) for x <= 0. With NARROW, here as below, as the device has it, which is enough for
    numbers that came with 11 digits at most and that are rounded to as many."""
    if NARROW:
        return tl.exp2(x * _PER_LN2)
    x = tl.maximum(x, -104.0, propagate_nan=_KEEP)
    shifted = x * _PER_LN2 + _ROUNDER
    n = shifted - _ROUNDER
    share = tl.exp2(((x - n * _LN2_HIGH) - n * _LN2_LOW) * _PER_LN2)
    # 2^n need not be a normal number, 2^(n + up) is one.
    power = (shifted.to(tl.int32, bitcast=True) << 23) + ((127 + _UP) << 23)
    return (share * power.to(tl.float32, bitcast=True)) * 5.421010862427522e-20


@triton.jit
def decay_of(z, largest, NARROW: tl.constexpr):
    """exp(z - largest) for z <= largest, 1 where both are infinite; NaN if both are -infinity."""
    least = tl.minimum(largest, _LARGEST)
    return decay(tl.minimum(z - least, 0.0, propagate_nan=_KEEP), NARROW)


@triton.jit
def gap(largest, z):
    """largest - z, which is 0 where they are equal, at infinity too."""
    return tl.where(z == largest, 0.0, largest - z)


@triton.jit
def times(coefficient, x):
    """coefficient * x with 0 * inf = 0: what is weighted by nothing contributes nothing."""
    return tl.where((coefficient == 0) & (tl.abs(x) == INFINITY), 0.0, coefficient * x)


@triton.jit
def reciprocal(x, NARROW: tl.constexpr):
    """1 / x for x in [2^-126, 2^126], in half the instructions of the device's division, which has
    other numbers to think of: by that of the root, and with a step of Newton's unless NARROW."""
    root = tl.rsqrt(x)
    found = root * root
    if NARROW:
        return found
    return found + found * (1 - x * found)


@triton.jit
def log1p_of_share(x, NARROW: tl.constexpr):
    """ln(1 + x) for x in [0, 1], as 2 artanh(s) with s = x / (2 + x).

    The polynomial in s^2 is that of its degree whose largest relative error, 4.5e-9, is the least;
    Taylor's needs four more coefficients for as much.
    """
    s = x * reciprocal(2 + x, NARROW)
    square = s * s
    total = 0.1400599312 * square + 0.140009027
    total = total * square + 0.2001076362
    total = total * square + 0.3333320814
    return 2 * s * (total * square + 1)


@triton.jit
def log1p(x):
    """ln(1 + x) for x >= 0."""
    near = 1 + x
    # What the sum was rounded by.
    more = tl.where(near < INFINITY, x - (near - 1), 0.0)
    # near = m 2^e with m in [sqrt(1/2), sqrt(2)).
    root: tl.constexpr = 0x3F3504F3
    offset = near.to(tl.int32, bitcast=True) - root
    e = (offset >> 23).to(tl.float32)
    m = ((offset & 0x7FFFFF) + root).to(tl.float32, bitcast=True)
    s = (m - 1) / (m + 1)
    square = s * s
    total = 1.0 / 11
    for k in tl.static_range(5):
        total = total * square + 1.0 / (9 - 2 * k)
    found = e * _LN2_HIGH + (2 * s * total + (e * _LN2_LOW + more / near))
    return tl.where(near < INFINITY, found, near)
