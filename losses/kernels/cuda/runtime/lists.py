"""Kernels of losses of rows with a list of right classes: one row per program.

They are the sum over the pairs of a listed class l and an unlisted class c of a loss of z_c and
z_l, over the number of classes. `VALUE` and `GRADIENT` are that loss's printed functions.
"""

import triton
import triton.language as tl


@triton.jit
def _row(z_at, list_at, classes, BLOCK: tl.constexpr):
    """Return a row's pointers, classes and numbers, the length of its list, and what it leaves out.

    The list ends at its first negative number.
    """
    row = tl.program_id(0).to(tl.int64)
    c = tl.arange(0, BLOCK)
    inside = c < classes
    z_at += row * classes
    list_at += row * classes
    y = tl.load(list_at + c, mask=inside, other=-1).to(tl.int32)
    tl.device_assert(y < classes, "a target is no class")
    count = tl.min(tl.where(y < 0, c, classes), 0)
    unlisted = inside
    for k in range(count):
        unlisted = unlisted & (c != tl.load(list_at + k).to(tl.int32))
    z = tl.load(z_at + c, mask=inside, other=0.0).to(tl.float32)
    return row, z_at, list_at, c, z, count, unlisted


@triton.jit
def values(z_at, list_at, each_at, k_at, classes, VALUE: tl.constexpr, BLOCK: tl.constexpr):
    narrow: tl.constexpr = z_at.dtype.element_ty != tl.float32
    row, z_at, list_at, _c, z, count, unlisted = _row(z_at, list_at, classes, BLOCK)
    total = tl.zeros((), tl.float32)
    for k in range(count):
        of_listed = tl.load(z_at + tl.load(list_at + k)).to(tl.float32)
        value = VALUE(z, of_listed, 1.0, k_at, narrow)
        total += tl.sum(tl.where(unlisted, value, 0.0), 0)
    tl.store(each_at + row, total / classes)


@triton.jit
def gradients(
    z_at,
    list_at,
    g_at,
    upstream_at,
    k_at,
    classes,
    upstream_step,
    scale,
    GRADIENT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    narrow: tl.constexpr = z_at.dtype.element_ty != tl.float32
    row, z_at, list_at, c, z, count, unlisted = _row(z_at, list_at, classes, BLOCK)
    g = tl.zeros((BLOCK,), tl.float32)
    for k in range(count):
        y = tl.load(list_at + k).to(tl.int32)
        slope = GRADIENT(z, tl.load(z_at + y).to(tl.float32), 1.0, k_at, narrow)
        slope = tl.where(unlisted, slope, 0.0)
        g += slope - tl.where(c == y, tl.sum(slope, 0), 0.0)
    upstream = tl.load(upstream_at + row * upstream_step).to(tl.float32)
    tl.store(g_at + row * classes + c, g * (scale * upstream / classes), mask=c < classes)
