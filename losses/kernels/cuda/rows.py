"""Cross-entropy's kernels on torch's tensors: layouts, reductions, and which kernel for a row."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .call import OPTIONS, Call, Computed


class Plan(NamedTuple):
    """Which kernel computes a row: 'whole', 'twice' or 'shared'; how many numbers a program holds
    at a time, in how many warps, and the registers that a thread may have."""

    way: str
    block: int
    warps: int
    registers: int | None = None


# Overrides `plan_of`, for measurements.
chosen: Plan | None = None
# Classes that one program can hold, and parts of a row that can wait for each other.
_WHOLE, _PARTS = 16384, 32
# Elements per thread.
_HELD = 32
_TILE = 4096
# Elements per program with target distributions; more would spill registers.
_TILE_OF_SHARES = 2048


def plan_of(classes: int, smooth: bool, narrow: bool, by_itself: bool = True) -> Plan:
    """Return the fastest plan, as measured on an H200 for 32,768 and 131,072 classes.

    With 16-bit logits arithmetic is the bottleneck, so reading them twice is cheaper than
    synchronising programs. Programs may wait for each other only if the kernel runs `by_itself`.
    """
    if chosen is not None:
        return chosen
    block = 1 << (classes - 1).bit_length()
    if block <= _WHOLE:
        warps = max(_TILE, block) // (32 * _HELD)
        # So that as many programs fit a multiprocessor as its registers hold rows.
        return Plan("whole", block, warps, 64 if block >= _TILE else None)
    if narrow:
        return Plan("twice", 4096, 4)
    if smooth or not by_itself or classes > _PARTS * 8192:
        return Plan("twice", 16384, 16)
    return Plan("shared", 4096, 4, 64) if classes <= 65536 else Plan("shared", 8192, 8, 64)


def _on_the_default_stream(z: Tensor) -> bool:
    """Return whether z's kernel runs on the default stream, without another one beside it."""
    cuda: Any = torch.cuda
    return not z.is_cuda or bool(cuda.current_stream(z.device) == cuda.default_stream(z.device))


class Rows(NamedTuple):
    """Arguments of every kernel.

    Attributes:
        z: logits (rows, classes).
        weight: weights of the classes, or None.
        each, gradient: outputs.
        divisor: divisor of the mean, or None.
        upstream, step: upstream gradient and its stride from row to row.
    """

    z: Tensor
    weight: Tensor | None
    each: Tensor
    gradient: Tensor | None
    divisor: Tensor | None
    upstream: Tensor | None
    step: int


def compute(call: Call, gradient: bool, upstream: Tensor | None) -> Computed:
    input = call.input
    z = _rows_of(input)
    count, classes = z.shape
    weight = None if call.weight is None else call.weight.contiguous()
    y, total = None, None
    if call.target.shape != input.shape:
        y = call.target.reshape(-1).contiguous()
        total = _total_weight(call, y, weight, classes)
    elif call.reduction == "mean":
        total = torch.full((), count, dtype=torch.float32, device=z.device)
    along = upstream.reshape(-1) if upstream is not None else None
    rows = Rows(
        z,
        weight,
        torch.empty(
            count, dtype=call.dtype if call.reduction == "none" else torch.float32, device=z.device
        ),
        torch.empty((count, classes), dtype=z.dtype, device=z.device) if gradient else None,
        total if call.reduction == "mean" else None,
        along,
        along.stride(0) if along is not None and along.numel() > 1 else 0,
    )
    smoothing = call.settings[0]
    if y is not None and (weight is None or smoothing == 0):
        _by_index(rows, y, call.ignored, smoothing)
    else:
        _by_shares(rows, None if y is not None else _rows_of(call.target), y, call)
    loss = _reduced(call, rows) if upstream is None else None
    return loss, None if rows.gradient is None else _laid_out(rows.gradient, input)


def _by_index(rows: Rows, y: Tensor, ignored: int, smoothing: float) -> None:
    """Compute rows with class indices; smoothing gives every class the same share."""
    from .source import softmax

    z, weight, *rest, step = rows
    tensors = (z, y, weight, *rest)
    count, classes = z.shape
    numbers = (count, classes, z.stride(0), ignored)
    plan = plan_of(classes, smoothing > 0, z.element_size() < 4, _on_the_default_stream(z))
    sizes: dict[str, Any] = {"BLOCK": plan.block, "num_warps": plan.warps, **OPTIONS}
    if plan.registers is not None:
        sizes["maxnreg"] = plan.registers
    if plan.way == "shared":
        team = -(-classes // plan.block)
        board = torch.zeros(1 + count * team, dtype=torch.int64, device=z.device)
        softmax.rows_shared[(count * team,)](*tensors, board, *numbers, step, **sizes, TEAM=team)
        return
    sizes["SMOOTH"] = smoothing > 0
    if plan.way == "twice":
        softmax.rows_twice[(count,)](*tensors, *numbers, smoothing, step, **sizes)
    else:
        at_once = max(1, _TILE // plan.block)
        grid = (-(-count // at_once),)
        softmax.whole_rows[grid](*tensors, *numbers, smoothing, step, **sizes, ROWS=at_once)


def _by_shares(rows: Rows, t: Tensor | None, y: Tensor | None, call: Call) -> None:
    """Compute rows with target distributions, or with indices, smoothing and class weights."""
    from .source import shares

    z, *rest, step = rows
    count, classes = z.shape
    smoothing = call.settings[0]
    block = min(_TILE_OF_SHARES, 1 << (classes - 1).bit_length())
    at_once = _TILE_OF_SHARES // block
    shares.rows_of_shares[(-(-count // at_once),)](
        z,
        t,
        y,
        *rest,
        count,
        classes,
        z.stride(0),
        0 if t is None else t.stride(0),
        call.ignored,
        1 - smoothing,
        smoothing / classes,
        step,
        ROWS=at_once,
        BLOCK=block,
        num_warps=8,
        **OPTIONS,
    )


def _rows_of(input: Tensor) -> Tensor:
    """Return (rows, classes) with contiguous classes, a view if they are contiguous already."""
    if input.dim() == 1:
        return input.contiguous().unsqueeze(0)
    z = input.movedim(1, -1) if input.dim() > 2 else input
    z = z.reshape(-1, z.shape[-1])
    return z if z.stride(1) == 1 else z.contiguous()


def _laid_out(g: Tensor, input: Tensor) -> Tensor:
    """Rows in input's shape."""
    if input.dim() <= 2:
        return g.view(input.shape)
    return g.view(input.shape[0], *input.shape[2:], input.shape[1]).movedim(-1, 1)


def _total_weight(call: Call, y: Tensor, weight: Tensor | None, classes: int) -> Tensor:
    """Return the sum of the rows' weights; a wrong index fails an assertion on the device."""
    from .source import softmax

    block = 4096
    programs = -(-len(y) // block)
    parts = torch.empty(programs, dtype=torch.float32, device=y.device)
    softmax.weigh[(programs,)](
        y,
        weight,
        parts,
        len(y),
        classes,
        call.ignored,
        BLOCK=block,
        num_warps=8,
        **OPTIONS,
        debug=True,
    )
    return parts.sum() if programs > 1 else parts.squeeze(0)


def _reduced(call: Call, rows: Rows) -> Tensor:
    if call.reduction == "none":
        shape = call.input.shape
        return rows.each.view(shape[:1] + shape[2:] if len(shape) > 1 else ())
    total = rows.each.sum()
    return (total if rows.divisor is None else total / rows.divisor).to(call.dtype)
