"""Kernels of losses of rows of classes: ROWS rows per program, in blocks of BLOCK classes.

`VALUE` and `GRADIENT` are the printed functions of a loss.
"""

import triton
import triton.language as tl

from .softmax import of_classes


@triton.jit
def weigh(y_at, weight_at, parts_at, rows, classes, ignored, BLOCK: tl.constexpr):
    """Sum the weights of the rows of one block; assert that their targets are classes."""
    pid = tl.program_id(0)
    at = pid.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < rows
    y = tl.load(y_at + at, mask=inside, other=0).to(tl.int64)
    kept = inside & (y != ignored)
    known = (y >= 0) & (y < classes)
    tl.device_assert(known | (kept == 0), "a target is no class")
    weight = kept.to(tl.float32)
    if weight_at is not None:
        weight = tl.load(weight_at + y, mask=kept & known, other=0.0).to(tl.float32)
    tl.store(parts_at + pid, tl.sum(weight, 0))


@triton.jit
def _targets(y_at, row, rows, ignored):
    """Return the class index of each row, and whether the row counts."""
    here = row < rows
    y = row
    if y_at is not None:
        y = tl.load(y_at + row, mask=here, other=0)
        here = here & (y.to(tl.int64) != ignored)
    # Classes are counted in 32 bits, in which a comparison is one instruction.
    return y.to(tl.int32), here


@triton.jit
def _weights(weight_at, t_at, y, here, classes, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Return the weight of each row: that of its class, or their sum times its targets."""
    total = tl.full((ROWS, 1), 1.0, tl.float32)
    if weight_at is not None:
        if t_at is None:
            known = here & (y >= 0) & (y < classes)
            total = tl.load(weight_at + y, mask=known, other=0.0).to(tl.float32)
        else:
            total -= 1.0
            for begin in range(0, classes, BLOCK):
                c = begin + tl.arange(0, BLOCK)[None, :]
                inside = here & (c < classes)
                of_block = of_classes(t_at, c, inside) * of_classes(weight_at, c, inside)
                total += tl.sum(of_block, 1, keep_dims=True)
    return total


@triton.jit
def values(
    z_at,
    t_at,
    y_at,
    w_at,
    weight_at,
    saved_at,
    each_at,
    k_at,
    rows,
    classes,
    z_step,
    t_step,
    ignored,
    VALUE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    narrow: tl.constexpr = z_at.dtype.element_ty != tl.float32
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    y, here = _targets(y_at, row, rows, ignored)
    z_at += row * z_step
    if t_at is not None:
        t_at += row * t_step
    if saved_at is not None:
        saved_at += 2 * row
    weight = _weights(weight_at, t_at, y, here, classes, ROWS, BLOCK)
    value = weight * VALUE(z_at, t_at, w_at, saved_at, y, here, classes, k_at, narrow, ROWS, BLOCK)
    tl.store(each_at + row, tl.where(here, value, 0.0), mask=row < rows)


@triton.jit
def gradients(
    z_at,
    t_at,
    y_at,
    w_at,
    weight_at,
    saved_at,
    g_at,
    divisor_at,
    upstream_at,
    k_at,
    rows,
    classes,
    z_step,
    t_step,
    upstream_step,
    ignored,
    GRADIENT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    narrow: tl.constexpr = z_at.dtype.element_ty != tl.float32
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    y, here = _targets(y_at, row, rows, ignored)
    z_at += row * z_step
    g_at += row * classes
    if t_at is not None:
        t_at += row * t_step
    if saved_at is not None:
        saved_at += 2 * row
    factor = tl.load(upstream_at + row * upstream_step, mask=row < rows, other=0.0).to(tl.float32)
    factor *= _weights(weight_at, t_at, y, here, classes, ROWS, BLOCK)
    if divisor_at is not None:
        factor = factor / tl.load(divisor_at)
    GRADIENT(
        z_at,
        t_at,
        w_at,
        saved_at,
        y,
        here,
        g_at,
        row < rows,
        factor,
        classes,
        k_at,
        narrow,
        ROWS,
        BLOCK,
    )
