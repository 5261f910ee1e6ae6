"""Cross-entropy of rows of logits with a class index: value and gradient of a row in one pass.

With m the largest logit of a row, e_c = exp(z_c - m) and r the sum of e_c over c != y, the total is
t = r + e_y, and

    L = (m - z_y) + ln(1 + (r + (e_y - 1))),   dL/dz_c = e_c / t,   dL/dz_y = -r / t,

which are losses.forms.softmax.index_cross_entropy. With a share u = s / C of every class besides
1 - s of the target's it is

    L = (1 - s) (m - z_y) + u sum_c (m - z_c) + ln t,
    dL/dz_c = e_c / t - u,   dL/dz_y = (s - u) e_y / t - (1 - s + u) r / t.

`whole_rows` holds rows in the registers of one program. Of longer ones `rows_twice` reads each row
a second time for its gradient, and `rows_shared` has as many programs hold a row as it needs.
"""

import triton
import triton.language as tl

from .numbers import INFINITY, LOWEST, decay, decay_of, gap, log1p


@triton.jit
def weigh(y_at, w_at, parts_at, rows, classes, ignored, BLOCK: tl.constexpr):
    """Sum the weights of the rows of one block; assert that their targets are classes."""
    pid = tl.program_id(0)
    at = pid.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < rows
    y = tl.load(y_at + at, mask=inside, other=0).to(tl.int64)
    kept = inside & (y != ignored)
    known = (y >= 0) & (y < classes)
    tl.device_assert(known | (kept == 0), "a target is no class of cross_entropy")
    weight = kept.to(tl.float32)
    if w_at is not None:
        weight = tl.load(w_at + y, mask=kept & known, other=0.0).to(tl.float32)
    tl.store(parts_at + pid, tl.sum(weight, 0))


@triton.jit
def weight_and_factor(
    row,
    inside,
    y,
    known,
    w_at,
    divisor_at,
    upstream_at,
    upstream_stride,
):
    """Return the weight of a row's loss, and the factor of its gradient."""
    weight = known.to(tl.float32)
    if w_at is not None:
        weight = tl.load(w_at + y, mask=known, other=0.0).to(tl.float32)
    factor = weight
    if divisor_at is not None:
        factor = factor / tl.load(divisor_at)
    if upstream_at is not None:
        along = tl.load(upstream_at + row * upstream_stride, mask=inside, other=0.0)
        factor = factor * along.to(tl.float32)
    return weight, factor


@triton.jit
def _loss(of_target, rest, gaps, own, smoothing, classes, SMOOTH: tl.constexpr):
    """Return the loss of a row from m - z_y, r, sum_c (m - z_c) and e_y."""
    log_total = log1p(rest + (own - 1))
    if SMOOTH:
        one = (1 - smoothing) * (of_target + log_total)
        return one + (smoothing / classes * gaps + smoothing * log_total)
    return of_target + log_total


@triton.jit
def _target_gradient(own, rest, smoothing, classes, SMOOTH: tl.constexpr):
    """Return dL/dz_y."""
    if SMOOTH:
        share = smoothing / classes
        return ((smoothing - share) * own - (1 - smoothing + share) * rest) / (rest + own)
    return -rest / (rest + own)


@triton.jit
def whole_rows(
    z_at,
    y_at,
    w_at,
    each_at,
    g_at,
    divisor_at,
    upstream_at,
    rows,
    classes,
    stride,
    ignored,
    smoothing,
    upstream_stride,
    SMOOTH: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, BLOCK)[None, :]
    here = row < rows
    inside = here[:, None] & (c < classes)
    z = tl.load(z_at + row[:, None] * stride + c, mask=inside, other=-INFINITY).to(tl.float32)
    y = tl.load(y_at + row, mask=here, other=0).to(tl.int64)
    kept = here & (y != ignored)
    known = kept & (y >= 0) & (y < classes)
    z_y = tl.load(z_at + row * stride + y, mask=known, other=float("nan")).to(tl.float32)
    weight, factor = weight_and_factor(
        row, here, y, known, w_at, divisor_at, upstream_at, upstream_stride
    )
    is_target = c == y.to(tl.int32)[:, None]

    largest = tl.max(z, 1)
    of_target = gap(largest, z_y)
    own = decay(-of_target, False)
    gaps = of_target
    if SMOOTH:
        gaps = tl.sum(tl.where(inside, gap(largest[:, None], z), 0.0), 1)
    e = decay_of(z, largest[:, None], z_at.dtype.element_ty != tl.float32)
    rest = tl.sum(tl.where(is_target, 0.0, e), 1)
    loss = weight * _loss(of_target, rest, gaps, own, smoothing, classes, SMOOTH)
    tl.store(each_at + row, tl.where(kept, loss, 0.0), mask=here)
    if g_at is not None:
        at_target = factor * _target_gradient(own, rest, smoothing, classes, SMOOTH)
        g = e * (factor / (rest + own))[:, None]
        if SMOOTH:
            g -= (factor * (smoothing / classes))[:, None]
        g = tl.where(is_target, at_target[:, None], g)
        g = tl.where(kept[:, None], g, 0.0)
        tl.store(g_at + row[:, None] * classes + c, g, mask=inside)


@triton.jit
def _target(z_at, y_at, row, classes, stride, ignored):
    """Return a row's target, whether it is kept, whether it is a class, and the class's logit."""
    y = tl.load(y_at + row).to(tl.int64)
    kept = y != ignored
    known = kept & (y >= 0) & (y < classes)
    return (
        y,
        kept,
        known,
        tl.load(z_at + row * stride + y, mask=known, other=float("nan")).to(tl.float32),
    )


@triton.jit
def rows_twice(
    z_at,
    y_at,
    w_at,
    each_at,
    g_at,
    divisor_at,
    upstream_at,
    rows,
    classes,
    stride,
    ignored,
    smoothing,
    upstream_stride,
    SMOOTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    y, kept, known, z_y = _target(z_at, y_at, row, classes, stride, ignored)
    weight, factor = weight_and_factor(
        row, row < rows, y, known, w_at, divisor_at, upstream_at, upstream_stride
    )
    z_at += row * stride

    # The sums so far are of exp(z - largest so far), and of largest so far - z.
    largest = tl.full((), -INFINITY, tl.float32)
    rest = tl.full((), 0.0, tl.float32)
    gaps = tl.full((), 0.0, tl.float32)
    for begin in range(0, classes, BLOCK):
        c = begin + tl.arange(0, BLOCK)
        z = tl.load(z_at + c, mask=c < classes, other=-INFINITY, eviction_policy="evict_last").to(
            tl.float32
        )
        before = largest
        largest = tl.maximum(largest, tl.max(z, 0))
        base = tl.maximum(largest, LOWEST)
        e = decay_of(z, base, z_at.dtype.element_ty != tl.float32)
        rest = rest * decay_of(before, base, False) + tl.sum(tl.where(c == y, 0.0, e), 0)
        if SMOOTH:
            gaps += tl.sum(tl.where(c < classes, gap(largest, z), 0.0), 0)
            gaps += tl.where(begin > 0, begin * gap(largest, before), 0.0)
    rest = tl.where(largest == -INFINITY, float("nan"), rest)
    of_target = gap(largest, z_y)
    own = decay(-of_target, False)
    loss = weight * _loss(of_target, rest, gaps, own, smoothing, classes, SMOOTH)
    tl.store(each_at + row, tl.where(kept, loss, 0.0))
    if g_at is not None:
        at_target = factor * _target_gradient(own, rest, smoothing, classes, SMOOTH)
        share = factor / (rest + own)
        blocks = tl.cdiv(classes, BLOCK)
        # Backwards: what was read last is in the cache.
        for k in range(blocks):
            c = (blocks - 1 - k) * BLOCK + tl.arange(0, BLOCK)
            z = tl.load(
                z_at + c, mask=c < classes, other=-INFINITY, eviction_policy="evict_first"
            ).to(tl.float32)
            g = decay_of(z, largest, z_at.dtype.element_ty != tl.float32) * share
            if SMOOTH:
                g -= factor * (smoothing / classes)
            g = tl.where(kept, tl.where(c == y, at_target, g), 0.0)
            tl.store(g_at + row * classes + c, g, mask=c < classes, eviction_policy="evict_first")


@triton.jit
def _packed(largest, rest):
    """Pack both in one word that is not 0, so that they are written and read atomically.

    The sign bit of `rest`, which is not negative, is set.
    """
    high = rest.to(tl.int32, bitcast=True).to(tl.int64) | 0x80000000
    return (high << 32) | (largest.to(tl.int32, bitcast=True).to(tl.int64) & 0xFFFFFFFF)


@triton.jit
def _unpacked(word):
    largest = (word & 0xFFFFFFFF).to(tl.int32).to(tl.float32, bitcast=True)
    return largest, ((word >> 32) & 0x7FFFFFFF).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def rows_shared(
    z_at,
    y_at,
    w_at,
    each_at,
    g_at,
    divisor_at,
    upstream_at,
    board_at,
    rows,
    classes,
    stride,
    ignored,
    upstream_stride,
    BLOCK: tl.constexpr,
    TEAM: tl.constexpr,
):
    # Parts are taken in the order in which programs start. So only the last row that has begun can
    # wait for programs that have not started, and never all wait. This needs the kernel to run by
    # itself.
    ticket = tl.atomic_add(board_at, 1, sem="relaxed")
    row = ticket // TEAM
    part = (ticket % TEAM).to(tl.int32)
    c = part * BLOCK + tl.arange(0, BLOCK)
    inside = c < classes
    z = tl.load(z_at + row * stride + c, mask=inside, other=-INFINITY).to(tl.float32)
    y, kept, known, z_y = _target(z_at, y_at, row, classes, stride, ignored)
    weight, factor = weight_and_factor(
        row, row < rows, y, known, w_at, divisor_at, upstream_at, upstream_stride
    )
    own_largest = tl.max(z, 0)
    e = decay_of(z, tl.maximum(own_largest, LOWEST), z_at.dtype.element_ty != tl.float32)
    own_rest = tl.sum(tl.where(c == y, 0.0, e), 0)

    board_at += 1 + row * TEAM
    tl.atomic_xchg(board_at + part, _packed(own_largest, own_rest), sem="relaxed")
    # A slot for each thread of a warp: so all of a warp see the same, and each warp waits alone.
    slots = tl.arange(0, 32)
    words = tl.load(board_at + slots, mask=slots < TEAM, other=1, volatile=True)
    while tl.min((words != 0).to(tl.int32), 0) == 0:
        words = tl.load(board_at + slots, mask=slots < TEAM, other=1, volatile=True)
    largest_of, rest_of = _unpacked(words)
    largest_of = tl.where(slots < TEAM, largest_of, -INFINITY)
    largest = tl.max(largest_of, 0)
    base = tl.maximum(largest, LOWEST)
    rest = tl.sum(tl.where(slots < TEAM, rest_of * decay_of(largest_of, base, False), 0.0), 0)
    rest = tl.where(largest == -INFINITY, float("nan"), rest)

    of_target = gap(largest, z_y)
    own = decay(-of_target, False)
    loss = weight * _loss(of_target, rest, 0.0, own, 0.0, classes, False)
    tl.store(each_at + row, tl.where(kept, loss, 0.0), mask=part == 0)
    if g_at is not None:
        at_target = factor * _target_gradient(own, rest, 0.0, classes, False)
        g = e * (decay_of(own_largest, base, False) * (factor / (rest + own)))
        g = tl.where(kept, tl.where(c == y, at_target, g), 0.0)
        tl.store(g_at + row * classes + c, g, mask=inside)
