"""Reductions over the classes of rows, block by block.

With m the largest number of a row and e_c = exp(z_c - m), `others` is the sum of all e_c without
one of the largest, so that it keeps its digits where the model is sure of a class. A row without a
number above -infinity has no probabilities: m is NaN.
"""

import triton
import triton.language as tl

from .numbers import (
    DOWN,
    INFINITY,
    KEEP,
    LARGEST,
    PER_LN2,
    ROUNDER,
    UP,
    decay,
    larger,
    minus_ln2,
    split,
)


@triton.jit
def of_classes(x_at, c, inside, other: tl.constexpr = 0.0):
    """Return the numbers of a block of classes, and `other` for what is no class."""
    return tl.load(x_at + c, mask=inside, other=other).to(tl.float32)


@triton.jit
def at_class(x_at, index, here, classes):
    """Return the number of one class of each row; NaN for an index that is no class."""
    known = here & (index >= 0) & (index < classes)
    return tl.load(x_at + index, mask=known, other=float("nan")).to(tl.float32)


@triton.jit
def _larger(a, b):
    return tl.maximum(a, b, propagate_nan=KEEP)


@triton.jit
def largest(x):
    """Return the largest number of each row of a block; NaN if one is."""
    return tl.reduce(x, 1, _larger, keep_dims=True)


@triton.jit
def _scaled(z, largest):
    """Return two numbers of which the product is 2^64 exp(z - largest), for z <= largest.

    Both numbers are split into a multiple of ln 2 and a rest. So no difference is rounded: in
    float32 that would be a relative error of 4e-6 in exp(-80). Above 256 differences are exact.
    """
    far = tl.abs(largest) > 256
    shift = tl.where(far, largest, 0.0)
    end = tl.where(far, 0.0, largest)
    shifted, rest = split(end)
    x = larger(z - shift, end - 128.0)
    # With the exponent of 2^64 and of 1, the last bits of `bits` are those of a power of two.
    rounder = (ROUNDER + (UP + 127)) - (shifted - ROUNDER)
    bits = x * PER_LN2 + rounder
    e = tl.exp2(minus_ln2(x, bits - rounder) * PER_LN2 - rest * PER_LN2)
    return e, (bits.to(tl.int32, bitcast=True) << 23).to(tl.float32, bitcast=True)


@triton.jit
def exponential(z, largest, NARROW: tl.constexpr):
    """Return exp(z - largest) for z <= largest, 1 where the two are equal, at infinity too."""
    if NARROW or z.dtype == tl.float64:
        e = decay(z - largest, NARROW)
    else:
        e, power = _scaled(z, largest)
        e = (e * power) * DOWN
    return tl.where(z == largest, 1.0, e)


@triton.jit
def _sum_below(z, base, tied, NARROW: tl.constexpr):
    """Return the sum of exp(z - base) of each row, without those that are tied with the base."""
    if NARROW or z.dtype == tl.float64:
        e, unit = decay(z - base, NARROW), 1.0
    else:
        e, power = _scaled(z, base)
        e, unit = e * power, DOWN
    return tl.sum(tl.where(tied, 0.0, e), 1, keep_dims=True).to(tl.float64) * unit


@triton.jit
def exponentials(z, most, below, ties, NARROW: tl.constexpr):
    """Add a block of classes to the sums of a row.

    Args:
        z: the numbers, -infinity for what is no class.
        most: the largest so far.
        below: the sum of exp(z - most) of those that are smaller.
        ties: how many are as large.
    """
    before = most
    most = tl.maximum(before, tl.max(z, 1, keep_dims=True))
    # Finite, so that no -infinity is taken from another.
    base = tl.maximum(most, -LARGEST)
    tied = z == base
    grown = most > before
    kept = tl.where(grown, (below + ties) * decay(tl.minimum(before - base, 0.0), False), below)
    below = kept + _sum_below(z, base, tied, NARROW)
    ties = tl.where(grown, 0.0, ties) + tl.sum(tl.where(tied, 1.0, 0.0), 1, keep_dims=True)
    return most, below, ties


@triton.jit
def statistics(most, below, ties):
    """Return the largest number of each row and `others`."""
    nothing = most == -INFINITY
    return tl.where(nothing, float("nan"), most), (below + (ties - 1)).to(most.dtype)


@triton.jit
def save(saved_at, here, largest, others):
    tl.store(saved_at, largest, mask=here)
    tl.store(saved_at + 1, others, mask=here)


@triton.jit
def restored(saved_at, here):
    return (
        tl.load(saved_at, mask=here, other=0.0),
        tl.load(saved_at + 1, mask=here, other=0.0),
    )


@triton.jit
def first_of_largest(x, c, most, first):
    """Add a block of classes to the largest number of each row, and to the class that has it."""
    of_block = tl.max(x, 1, keep_dims=True)
    at = tl.min(tl.where(x == of_block, c, 0x7FFFFFFF), 1, keep_dims=True)
    return tl.maximum(most, of_block), tl.where(of_block > most, at, first)
