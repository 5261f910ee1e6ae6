"""Cross-entropy of rows of logits whose target has a share a_c of every class: a distribution, or
an index of which every class gets a part that its weight makes another one.

With m the largest logit of a row, e_c = exp(z_c - m), r = sum_c e_c - 1 (the sum without one of the
largest, so that it keeps its digits) and A = sum_c a_c

    L = sum_c a_c (m - z_c) + A ln(1 + r),   dL/dz_c = p_c (A - a_c) - a_c q_c,
    p_c = e_c / (1 + r),   q_c = 1 - p_c = (1 + r - e_c) / (1 + r), for the largest r / (1 + r),

which is losses.forms.softmax.cross_entropy.
"""

import triton
import triton.language as tl

from .numbers import INFINITY, LOWEST, decay_of, gap, log1p, times
from .softmax import weight_and_factor


@triton.jit
def _share(t_at, w_at, row, y, c, inside, t_stride, own, every):
    """a_c = w_c (own t_c + every), with t the row e_y where there are indices."""
    if t_at is not None:
        t = tl.load(t_at + row[:, None] * t_stride + c, mask=inside, other=0.0).to(tl.float32)
        a = own * t + every
    else:
        a = tl.where(c == y[:, None], own + every, every)
    if w_at is not None:
        a *= tl.load(w_at + c, mask=inside, other=0.0).to(tl.float32)
    return tl.where(inside, a, 0.0)


@triton.jit
def rows_of_shares(
    z_at,
    t_at,
    y_at,
    w_at,
    each_at,
    g_at,
    divisor_at,
    upstream_at,
    rows,
    classes,
    stride,
    t_stride,
    ignored,
    own,
    every,
    upstream_stride,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    here = row < rows
    kept = here
    y = row
    if y_at is not None:
        y = tl.load(y_at + row, mask=here, other=0).to(tl.int64)
        kept = here & (y != ignored)
    z_at += row[:, None] * stride
    narrow: tl.constexpr = z_at.dtype.element_ty != tl.float32

    # The sums so far: of e_c without those of the largest so far, of which there are `ties`, of a_c
    # and of a_c (largest so far - z_c).
    largest = tl.full((ROWS,), -INFINITY, tl.float32)
    below = tl.full((ROWS,), 0.0, tl.float32)
    ties = tl.full((ROWS,), 0.0, tl.float32)
    total = tl.full((ROWS,), 0.0, tl.float32)
    gaps = tl.full((ROWS,), 0.0, tl.float32)
    for begin in range(0, classes, BLOCK):
        c = begin + tl.arange(0, BLOCK)[None, :]
        inside = here[:, None] & (c < classes)
        z = tl.load(z_at + c, mask=inside, other=-INFINITY).to(tl.float32)
        a = _share(t_at, w_at, row, y, c, inside, t_stride, own, every)
        before = largest
        largest = tl.maximum(largest, tl.max(z, 1))
        base = tl.maximum(largest, LOWEST)
        e = decay_of(z, base[:, None], narrow)
        tied = inside & (z == largest[:, None])
        grown = largest > before
        below = tl.where(grown, (below + ties) * decay_of(before, base, False), below)
        below += tl.sum(tl.where(tied, 0.0, e), 1)
        ties = tl.where(grown, 0.0, ties) + tl.sum(tied.to(tl.float32), 1)
        gaps += times(total, gap(largest, before))
        gaps += tl.sum(tl.where(inside, times(a, gap(largest[:, None], z)), 0.0), 1)
        total += tl.sum(a, 1)
    rest = tl.where(largest == -INFINITY, float("nan"), below + (ties - 1))
    loss = gaps + total * log1p(rest)
    tl.store(each_at + row, tl.where(kept, loss, 0.0), mask=here)
    if g_at is not None:
        # The weights of the classes are in their shares.
        _one, factor = weight_and_factor(
            row, here, y, kept, None, divisor_at, upstream_at, upstream_stride
        )
        share = 1 / (1 + rest)
        base = tl.maximum(largest, LOWEST)
        blocks = tl.cdiv(classes, BLOCK)
        # Backwards: what was read last is in the cache.
        for k in range(blocks):
            c = (blocks - 1 - k) * BLOCK + tl.arange(0, BLOCK)[None, :]
            inside = here[:, None] & (c < classes)
            z = tl.load(z_at + c, mask=inside, other=-INFINITY).to(tl.float32)
            a = _share(t_at, w_at, row, y, c, inside, t_stride, own, every)
            e = decay_of(z, base[:, None], narrow)
            others = tl.where(z == largest[:, None], rest[:, None], (1 + rest)[:, None] - e)
            g = share[:, None] * (e * (total[:, None] - a) - a * others)
            g = tl.where(kept[:, None], g * factor[:, None], 0.0)
            tl.store(g_at + row[:, None] * classes + c, g, mask=inside)
