"""Functions of numbers for the kernels on CUDA.

In float32 they are off by a few ulp at most over the whole range of their argument, denormal
numbers, infinities and NaN included. The device's own exp, which multiplies by 1 / ln 2 and rounds,
is off by |x| / 10 ulp, and its own logarithm near 1 by any number of them: the steps here are those
of the C++ `runtime/numbers.h`. In float64, in which few formulas compute, they are the device's.
"""

import triton
import triton.language as tl

KEEP = tl.constexpr(tl.PropagateNan.ALL)
INFINITY = tl.constexpr(float("inf"))
LARGEST = tl.constexpr(3.4028234663852886e38)
# 1 / ln 2; and ln 2 in two parts, the first of which has 12 binary digits: its product with an
# integer of 12 is exact.
PER_LN2 = tl.constexpr(1.4426950408889634)
LN2_HIGH = tl.constexpr(0.693115234375)
LN2_LOW = tl.constexpr(3.1946184945309417e-05)
# 1.5 * 2^23: adding it rounds to an integer, which the last bits then hold.
ROUNDER = tl.constexpr(12582912.0)
UP = tl.constexpr(64)
# 2^-64.
DOWN = tl.constexpr(5.421010862427522e-20)
# sqrt(1/2), as bits.
ROOT = tl.constexpr(0x3F3504F3)


@triton.jit
def larger(x, bound):
    """Return the larger number; NaN for NaN."""
    return tl.maximum(x, bound, propagate_nan=KEEP)


@triton.jit
def smaller(x, bound):
    """Return the smaller number; NaN for NaN."""
    return tl.minimum(x, bound, propagate_nan=KEEP)


@triton.jit
def root(x):
    return tl.sqrt(x) if x.dtype == tl.float64 else tl.sqrt_rn(x)


@triton.jit
def minus_ln2(x, n):
    """Return x - n ln 2 for an integer n."""
    return (x - n * LN2_HIGH) - n * LN2_LOW


@triton.jit
def split(x):
    """Return a number with n in its last bits, and r: x = n ln 2 + r, |r| <= ln(2) / 2."""
    shifted = x * PER_LN2 + ROUNDER
    return shifted, minus_ln2(x, shifted - ROUNDER)


@triton.jit
def _power_of_two(n):
    """Return 2^n for an integer n that is the exponent of a normal number."""
    return ((n + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _decay(x):
    shifted, r = split(larger(x, -104.0))
    # 2^n need not be a normal number, 2^(n + up) is one.
    power = (shifted.to(tl.int32, bitcast=True) << 23) + ((127 + UP) << 23)
    return (tl.exp2(r * PER_LN2) * power.to(tl.float32, bitcast=True)) * DOWN


@triton.jit
def decay(x, NARROW: tl.constexpr):
    """Return exp(x) for x <= 0.

    NARROW takes the device's own function, here and below. It is accurate enough for inputs and
    results of at most 11 significant bits.
    """
    # Not by early returns: what follows one is compiled all the same.
    if x.dtype == tl.float64:
        found = tl.exp(x)
    elif NARROW:
        found = tl.exp2(x * PER_LN2)
    else:
        found = _decay(x)
    return found


@triton.jit
def exp(x):
    return tl.exp(x) if x.dtype == tl.float64 else _exp(x)


@triton.jit
def _exp(x):
    shifted, r = split(smaller(larger(x, -104.0), 89.0))
    # 2^n in two factors, because it need not be a normal number while exp(x) is one.
    n = shifted.to(tl.int32, bitcast=True) - 0x4B400000
    half = n >> 1
    return (tl.exp2(r * PER_LN2) * _power_of_two(half)) * _power_of_two(n - half)


@triton.jit
def expm1(x):
    """Return exp(x) - 1."""
    return _expm1_float64(x) if x.dtype == tl.float64 else _expm1(x)


@triton.jit
def _expm1_float64(x):
    e = tl.exp(x)
    # The error of e - 1 cancels that of the logarithm.
    near = (e - 1) * (x / tl.log(e))
    return tl.where(e == 1, x, tl.where((e - 1 == -1) | (e == INFINITY), e - 1, near))


@triton.jit
def _expm1(x):
    y = smaller(larger(x, -18.0), 89.0)
    shifted, r = split(y)
    total = (1.0 / 5040 * r + 1.0 / 720) * r + 1.0 / 120
    total = ((total * r + 1.0 / 24) * r + 1.0 / 6) * r + 0.5
    total = (total * r + 1) * r
    # Half of 2^n, which need not be a number where exp(x) - 1 is one.
    half = _power_of_two(shifted.to(tl.int32, bitcast=True) - 0x4B400001)
    return 2 * (half * total + (half - 0.5))


@triton.jit
def tanh(x):
    e = expm1(-2 * tl.abs(x))
    found = -e / (2 + e)
    return tl.where(x < 0, -found, found)


@triton.jit
def log1p_of_share(x):
    """Return ln(1 + x) for x in [0, 1]."""
    return log1p(x) if x.dtype == tl.float64 else _log1p_of_share(x)


@triton.jit
def _log1p_of_share(x):
    """Return ln(1 + x), as 2 artanh(s) with s = x / (2 + x).

    The polynomial in s^2 is that of its degree whose largest relative error, 4.5e-9, is the least.
    """
    s = x / (2 + x)
    square = s * s
    total = 0.1400599312 * square + 0.140009027
    total = total * square + 0.2001076362
    total = total * square + 0.3333320814
    return 2 * s * (total * square + 1)


@triton.jit
def _log_of_sum(x, more):
    """Return ln(x + more) for a `more` below the rounding error of x, in float32."""
    # A denormal number is made a normal one first.
    small = x < 1.1754943508222875e-38
    normal = tl.where(small, x * 16777216.0, x)
    # normal = m 2^e with m in [sqrt(1/2), sqrt(2)).
    offset = normal.to(tl.int32, bitcast=True) - ROOT
    e = (offset >> 23).to(tl.float32) - tl.where(small, 24.0, 0.0)
    m = ((offset & 0x7FFFFF) + ROOT).to(tl.float32, bitcast=True)
    s = (m - 1) / (m + 1)
    square = s * s
    total = 1.0 / 11
    for k in tl.static_range(5):
        total = total * square + 1.0 / (9 - 2 * k)
    found = e * LN2_HIGH + (2 * s * total + (e * LN2_LOW + more / x))
    # +0 and -0, what is negative or NaN, and infinity.
    edge = tl.where(x == 0, -INFINITY, tl.where(x > 0, x, float("nan")))
    return tl.where((x > 0) & (x < INFINITY), found, edge)


@triton.jit
def log(x):
    return tl.log(x) if x.dtype == tl.float64 else _log_of_sum(x, 0.0)


@triton.jit
def log1p(x):
    """Return ln(1 + x)."""
    return _log1p_float64(x) if x.dtype == tl.float64 else _log1p(x)


@triton.jit
def _log1p_float64(x):
    near = 1 + x
    # The error of near - 1 cancels that of the logarithm.
    found = tl.log(near) * (x / (near - 1))
    return tl.where(near == 1, x, tl.where(near == INFINITY, near, found))


@triton.jit
def _log1p(x):
    near = 1 + x
    # The rounding error of the sum.
    return _log_of_sum(near, tl.where(near < INFINITY, x - (near - 1), 0.0))


@triton.jit
def power(x, exponent):
    """Return x^exponent for x >= 0, in float64, so that the logarithm's rounding does not count."""
    return tl.exp(exponent * tl.log(x.to(tl.float64))).to(x.dtype)


@triton.jit
def sign(x):
    """Return 1, 0 or -1; 0 for NaN, as torch has it."""
    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, 0.0))


@triton.jit
def round_to_bfloat16(x):
    bits = x.to(tl.int32, bitcast=True)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return tl.where(x == x, (bits & -65536).to(tl.float32, bitcast=True), x)
